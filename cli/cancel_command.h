// `hypershift cancel`: gives a migration up for good.
#ifndef HYPERSHIFT_CLI_CANCEL_COMMAND_H_
#define HYPERSHIFT_CLI_CANCEL_COMMAND_H_

#include <string>

#include "common/transport_security.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

// What would be lost, and what would stay: some lines. Pure.
std::string DescribeCancel(const v1::MigrationInfo& migration);

// Without `yes` it says what would be lost and asks, if somebody sits at the terminal. Returns the exit status: 0
// cancelled; 2 not: nobody said yes, no coordinator answers, or the migration has ended.
int RunCancelCommand(const std::string& coordinator, const TransportSecurity& security, bool yes);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_CANCEL_COMMAND_H_
