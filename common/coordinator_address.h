// Where a coordinator listens: "host:port" or "unix:/path". Pure functions.
#ifndef HYPERSHIFT_COMMON_COORDINATOR_ADDRESS_H_
#define HYPERSHIFT_COMMON_COORDINATOR_ADDRESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hypershift {

// kInvalidArgument: not of either form. Whether anything may be said there is common/transport_security's to judge.
absl::Status CheckCoordinatorAddress(absl::string_view address);
// The same for an address to listen on, where port 0 means any free one.
absl::Status CheckListenAddress(absl::string_view address);

// Whether it can't leave this machine: a unix socket, or loopback by its spelling. A name that resolves to loopback
// here may not do so tomorrow.
bool IsLocalAddress(absl::string_view address);

// The same of a host alone, as in "127.0.0.1", "::1" or "localhost".
bool IsLocalHost(absl::string_view host);

// What others are told of a coordinator that listens at `bound`: this, but for an address that means every interface
// and is nowhere to connect to; then `host_name` with the same port.
std::string AdvertisedAddress(absl::string_view bound, absl::string_view host_name);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_COORDINATOR_ADDRESS_H_
