#include "common/coordinator_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace hypershift {
namespace {

// By its spelling only: a name that resolves to loopback here may not do so tomorrow.
bool IsLoopback(const std::string& host) {
  if (host == "localhost") return true;
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

absl::Status CheckAddress(absl::string_view address, int lowest_port) {
  // Perhaps a database's URI in the wrong place: it must not be repeated.
  if (absl::StrContains(address, "@")) {
    return absl::InvalidArgumentError("a coordinator address must be host:port or unix:/path, without a user");
  }
  if (absl::StartsWith(address, "unix:")) {
    if (address.size() > 5) return absl::OkStatus();
    return absl::InvalidArgumentError("coordinator address 'unix:' names no socket");
  }
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == absl::string_view::npos || colon == 0 || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      port < lowest_port || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("coordinator address '", address, "' is neither host:port nor unix:/path"));
  }
  absl::string_view host = address.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  if (IsLoopback(std::string(host))) return absl::OkStatus();
  return absl::UnimplementedError(absl::StrCat("coordinator address '", address,
                                               "' is not on this machine, and TLS is not there yet: only loopback and "
                                               "unix:/path addresses are taken"));
}

}  // namespace

absl::Status CheckCoordinatorAddress(absl::string_view address) { return CheckAddress(address, 1); }

absl::Status CheckListenAddress(absl::string_view address) { return CheckAddress(address, 0); }

}  // namespace hypershift
