#include "common/coordinator_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace hypershift {
namespace {

constexpr absl::string_view kUnix = "unix:";

// "[::1]:80" is "::1". Of an address that has been checked.
absl::string_view HostOf(absl::string_view address) {
  absl::string_view host = address.substr(0, address.rfind(':'));
  if (absl::StartsWith(host, "[") && absl::EndsWith(host, "]")) host = host.substr(1, host.size() - 2);
  return host;
}

// gRPC would take more, such as a scheme of its own or a list of addresses.
bool IsHost(absl::string_view host) {
  in6_addr v6;
  if (inet_pton(AF_INET6, std::string(host).c_str(), &v6) == 1) return true;
  return !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
  });
}

absl::Status CheckAddress(absl::string_view address, int lowest_port) {
  // Perhaps a database's URI in the wrong place: it must not be repeated.
  if (absl::StrContains(address, "@")) {
    return absl::InvalidArgumentError("a coordinator address must be host:port or unix:/path, without a user");
  }
  if (absl::StartsWith(address, kUnix)) {
    if (address.size() > kUnix.size()) return absl::OkStatus();
    return absl::InvalidArgumentError("coordinator address 'unix:' names no socket");
  }
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < lowest_port ||
      port > 65535 || !IsHost(HostOf(address))) {
    return absl::InvalidArgumentError(
        absl::StrCat("coordinator address '", address, "' is neither host:port nor unix:/path"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckCoordinatorAddress(absl::string_view address) { return CheckAddress(address, 1); }

absl::Status CheckListenAddress(absl::string_view address) { return CheckAddress(address, 0); }

bool IsLocalHost(absl::string_view host) {
  const std::string text(host);
  if (text == "localhost") return true;
  in_addr v4;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  return inet_pton(AF_INET6, text.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool IsLocalAddress(absl::string_view address) {
  return absl::StartsWith(address, kUnix) || IsLocalHost(HostOf(address));
}

std::string AdvertisedAddress(absl::string_view bound, absl::string_view host_name) {
  if (absl::StartsWith(bound, kUnix)) return std::string(bound);
  const std::string host(HostOf(bound));
  in_addr v4;
  in6_addr v6;
  const bool everywhere = (inet_pton(AF_INET, host.c_str(), &v4) == 1 && v4.s_addr == INADDR_ANY) ||
                          (inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6));
  if (!everywhere || host_name.empty()) return std::string(bound);
  return absl::StrCat(host_name, bound.substr(bound.rfind(':')));
}

}  // namespace hypershift
