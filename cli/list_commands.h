// `hypershift tables`, `tasks` and `workers`: what a coordinator knows, as aligned columns or as JSON.
#ifndef HYPERSHIFT_CLI_LIST_COMMANDS_H_
#define HYPERSHIFT_CLI_LIST_COMMANDS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/transport_security.h"
#include "hypershift/v1/migration.pb.h"

namespace hypershift {

// Pure; safe for a terminal. `columns`: 0 = as wide as it needs.
std::string FormatTables(const v1::ListTablesResponse& tables, int columns);
std::string FormatWorkers(const v1::ListWorkersResponse& workers, int columns, absl::Time now);
std::string FormatTasks(const std::vector<v1::TaskInfo>& tasks, int columns);

// "pending", "leased", "done", "failed"; empty: all of them. kInvalidArgument: none of these.
absl::StatusOr<v1::TaskState::State> ParseTaskState(const std::string& name);

// Each prints to standard output and returns the exit status: 0; 2 no coordinator answers, or it has no such table. As
// JSON: tables and workers as one object, tasks as one a line.
int RunTablesCommand(const std::string& coordinator, const TransportSecurity& security, bool json);
int RunWorkersCommand(const std::string& coordinator, const TransportSecurity& security, bool json);
// `table`: schema.name, empty = all.
int RunTasksCommand(const std::string& coordinator, const TransportSecurity& security, const std::string& table,
                    v1::TaskState::State state, bool json);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_LIST_COMMANDS_H_
