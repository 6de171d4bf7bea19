// `hypershift clone` and `hypershift verify`: a coordinator and one worker in this process, over the same gRPC service
// that distributed runs use, with progress and a summary.
#ifndef HYPERSHIFT_CLI_RUN_COMMAND_H_
#define HYPERSHIFT_CLI_RUN_COMMAND_H_

#include "cli/command_line.h"

namespace hypershift {

// Returns the exit status (coordinator/exit_status.h). Blocks to the end; takes SIGINT and SIGTERM. Called once, before
// other threads exist.
int RunMigration(const Command& command);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_RUN_COMMAND_H_
