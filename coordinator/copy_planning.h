// What the plans of all tables have in common: what is said of the table, and a copy task.
//
// Pure.
#ifndef HYPERSHIFT_COORDINATOR_COPY_PLANNING_H_
#define HYPERSHIFT_COORDINATOR_COPY_PLANNING_H_

#include <cstdint>
#include <string>

#include "coordinator/copy_sql.h"
#include "coordinator/planner.h"

namespace hypershift {

// Tasks of a table follow each other at this distance, so that there is room between them.
inline constexpr int64_t kSequenceStep = 1000;

TablePlan DescribeTable(const PlannerInput& input, const Table& table, int id);

// Whether what is done for the table takes less time than its round trips, so that its tasks may share transactions.
bool IsSmall(const PlannerInput& input, const Table& table);

// Without barrier, gates and sequence.
PlannedTask MakeCopy(const Table& table, int id, const CopyShape& shape, const std::string& description);
// The fields whose values compression may rewrite.
void SetRewritableFields(const HypertableSpec& hypertable, v1::CopyWork* copy);

void AddSetting(google::protobuf::RepeatedPtrField<v1::Setting>* settings, const std::string& name,
                const std::string& value);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_COPY_PLANNING_H_
