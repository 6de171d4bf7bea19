// `hypershift retry`: makes a table's failed steps run again while the migration runs.
#ifndef HYPERSHIFT_CLI_RETRY_COMMAND_H_
#define HYPERSHIFT_CLI_RETRY_COMMAND_H_

#include <string>

#include "common/transport_security.h"

namespace hypershift {

// Returns the exit status: 0 done; 2 no coordinator answers, no such table, or nothing to retry. Says so on standard
// output or error.
int RunRetryCommand(const std::string& coordinator, const TransportSecurity& security, const std::string& table);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_RETRY_COMMAND_H_
