// `hypershift set`: shows the limits of a running migration, and changes them.
#ifndef HYPERSHIFT_CLI_SET_COMMAND_H_
#define HYPERSHIFT_CLI_SET_COMMAND_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/transport_security.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

// "max-slots 4 max-bytes-per-second 50MB" as words. kInvalidArgument: no such limit, no value for it, or a wrong one.
absl::StatusOr<v1::Limits> ParseSetWords(const std::vector<std::string>& words);

// A line for each limit. Pure.
std::string FormatLimits(const v1::Limits& limits);

// Changes what is set in `changes`, if anything, and shows all. Returns the exit status: 0; 2 no coordinator answers,
// or the migration has ended.
int RunSetCommand(const std::string& coordinator, const TransportSecurity& security, const v1::Limits& changes,
                  bool change);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_SET_COMMAND_H_
