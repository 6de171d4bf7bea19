// What `hypershift` was asked to do: its arguments, its environment and the configuration file, laid over each other.
//
// A flag wins over the environment, which wins over the file. Single-threaded, at the start of the program. Errors are
// one line for the user, never with a password.
#ifndef HYPERSHIFT_CLI_COMMAND_LINE_H_
#define HYPERSHIFT_CLI_COMMAND_LINE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/status_command.h"
#include "common/config.h"
#include "common/connection_string.h"
#include "coordinator/coordinator.h"

namespace hypershift {

enum class CommandKind {
  kMessage,
  kClone,
  kPlan,
  kVerify,
  kStatus,
  kTables,
  kTasks,
  kWorkers,
  kPause,
  kResume,
  kCancel,
  kDrain,
  kRetry,
  kSet,
  kCleanup
};

struct Command {
  CommandKind kind = CommandKind::kMessage;
  std::string message;  // --help, --version: print and exit 0.
  // kClone, kPlan and kVerify.
  CoordinatorOptions coordinator;
  std::string report_file;
  bool json = false;  // kPlan.
  // All others.
  StatusOptions status;
  ConnectionString target;
  std::string table;
  std::string worker;
  v1::TaskState::State state = v1::TaskState::STATE_UNSPECIFIED;
  v1::Limits limits;
  bool change_limits = false;
  bool yes = false;
  bool force = false;
};

// `argv[0]` is the program. kInvalidArgument, kNotFound: bad input. Old spellings without a command (`hypershift -S …
// -T … -C …`) mean clone.
absl::StatusOr<Command> ParseCommand(int argc, const char* const* argv);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_COMMAND_LINE_H_
