// hypershift: the command line.
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/cancel_command.h"
#include "cli/command_line.h"
#include "cli/drain_command.h"
#include "cli/list_commands.h"
#include "cli/pause_command.h"
#include "cli/plan_command.h"
#include "cli/retry_command.h"
#include "cli/run_command.h"
#include "cli/set_command.h"
#include "cli/status_command.h"
#include "common/journal_sql.h"
#include "common/log.h"
#include "coordinator/exit_status.h"
#include "coordinator/journal.h"
#include "worker/program.h"

namespace hypershift {
namespace {

int Refuse(const absl::Status& status) {
  std::fprintf(stderr, "hypershift: %s\n", std::string(status.message()).c_str());
  return kExitBadInput;
}

int RunCleanup(const Command& command) {
  Journal journal(command.target);
  const absl::Status dropped = journal.Drop(command.force);
  if (!dropped.ok()) return Refuse(dropped);
  std::puts("The journal is removed; the migrated tables stay.");
  return kExitDone;
}

// The leader's address stands in the journal on the target.
absl::StatusOr<std::string> FindCoordinator(const ConnectionString& target) {
  Journal journal(target);
  absl::StatusOr<PgSession*> session = journal.Session();
  if (!session.ok()) return session.status();
  const absl::StatusOr<pqxx::result> rows = (*session)->Query(kLeaderAddressSql);
  if (!rows.ok() || rows->empty()) {
    return absl::NotFoundError("target: no coordinator leads a migration into it now");
  }
  return std::string((*rows)[0][0].c_str());
}

// The commands that ask a running coordinator.
int RunClient(const Command& command) {
  StatusOptions options = command.status;
  if (options.coordinator.empty()) {
    absl::StatusOr<std::string> found = FindCoordinator(command.target);
    if (!found.ok()) return Refuse(found.status());
    options.coordinator = *found;
  }
  const absl::Status allowed = CheckConnecting(options.coordinator, options.security);
  if (!allowed.ok()) return Refuse(allowed);
  InitLog({});
  switch (command.kind) {
    case CommandKind::kTables:
      return RunTablesCommand(options.coordinator, options.security, options.json);
    case CommandKind::kTasks:
      return RunTasksCommand(options.coordinator, options.security, command.table, command.state, options.json);
    case CommandKind::kWorkers:
      return RunWorkersCommand(options.coordinator, options.security, options.json);
    case CommandKind::kPause:
      return RunPauseCommand(options.coordinator, options.security);
    case CommandKind::kResume:
      return RunResumeCommand(options.coordinator, options.security);
    case CommandKind::kCancel:
      return RunCancelCommand(options.coordinator, options.security, command.yes);
    case CommandKind::kDrain:
      return RunDrainCommand(options.coordinator, options.security, command.worker);
    case CommandKind::kRetry:
      return RunRetryCommand(options.coordinator, options.security, command.table);
    case CommandKind::kSet:
      return RunSetCommand(options.coordinator, options.security, command.limits, command.change_limits);
    default:
      return RunStatusCommand(options);
  }
}

int Main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "worker") == 0) return RunWorkerProgram(argc - 1, argv + 1);
  const absl::StatusOr<Command> command = ParseCommand(argc, argv);
  if (!command.ok()) return Refuse(command.status());
  switch (command->kind) {
    case CommandKind::kMessage:
      std::fputs(command->message.c_str(), stdout);
      return kExitDone;
    case CommandKind::kClone:
    case CommandKind::kVerify:
      return RunMigration(*command);
    case CommandKind::kPlan:
      return RunPlanCommand(*command);
    case CommandKind::kCleanup:
      return RunCleanup(*command);
    default:
      return RunClient(*command);
  }
}

}  // namespace
}  // namespace hypershift

int main(int argc, char** argv) { return hypershift::Main(argc, argv); }
