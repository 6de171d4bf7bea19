// `hypershift drain WORKER`: sends one worker home when it has finished what it runs.
#ifndef HYPERSHIFT_CLI_DRAIN_COMMAND_H_
#define HYPERSHIFT_CLI_DRAIN_COMMAND_H_

#include <string>

#include "common/transport_security.h"

namespace hypershift {

// Does not wait for the worker's end. Returns the exit status: 0 it drains; 2 no such worker, it is the last that holds
// the snapshot, or no coordinator answers.
int RunDrainCommand(const std::string& coordinator, const TransportSecurity& security, const std::string& worker);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_DRAIN_COMMAND_H_
