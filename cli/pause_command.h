// `hypershift pause` and `hypershift resume`.
#ifndef HYPERSHIFT_CLI_PAUSE_COMMAND_H_
#define HYPERSHIFT_CLI_PAUSE_COMMAND_H_

#include <string>

#include "common/transport_security.h"

namespace hypershift {

// Each returns the exit status: 0 done, also if it was so before; 2 no coordinator answers, or the migration has ended.
int RunPauseCommand(const std::string& coordinator, const TransportSecurity& security);
int RunResumeCommand(const std::string& coordinator, const TransportSecurity& security);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_PAUSE_COMMAND_H_
