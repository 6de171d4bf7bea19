// Where a coordinator listens: "host:port" or "unix:/path". Pure functions.
#ifndef HYPERSHIFT_COMMON_COORDINATOR_ADDRESS_H_
#define HYPERSHIFT_COMMON_COORDINATOR_ADDRESS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hypershift {

// kInvalidArgument: not of either form. kUnimplemented: an address off this machine, which needs TLS.
absl::Status CheckCoordinatorAddress(absl::string_view address);
// The same for an address to listen on, where port 0 means any free one.
absl::Status CheckListenAddress(absl::string_view address);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_COORDINATOR_ADDRESS_H_
