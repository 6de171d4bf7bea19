// `hypershift plan`: what `clone` would do, without doing it.
#ifndef HYPERSHIFT_CLI_PLAN_COMMAND_H_
#define HYPERSHIFT_CLI_PLAN_COMMAND_H_

#include "cli/command_line.h"

namespace hypershift {

// Prints to standard output and returns the exit status: 0; 2 when a migration would be refused, after a line on
// standard error for each reason. As JSON, refusals are in the object too.
int RunPlanCommand(const Command& command);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_PLAN_COMMAND_H_
