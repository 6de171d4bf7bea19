#include "common/http_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/http_server.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

bool IsIpAddress(const std::string& host) {
  in_addr v4;
  in6_addr v6;
  return inet_pton(AF_INET, host.c_str(), &v4) == 1 || inet_pton(AF_INET6, host.c_str(), &v6) == 1;
}

bool IsLoopbackHost(const std::string& host) {
  if (absl::EqualsIgnoreCase(host, "localhost")) return true;
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

// The host of "host", "host:port", "[v6]" or "[v6]:port"; empty if it is none of these.
std::string HostOf(absl::string_view text) {
  if (absl::ConsumePrefix(&text, "[")) {
    const size_t end = text.find(']');
    return end == absl::string_view::npos ? "" : std::string(text.substr(0, end));
  }
  return std::string(text.substr(0, text.rfind(':')));
}

}  // namespace

absl::StatusOr<HttpAddress> HttpAddress::Parse(absl::string_view text) {
  HttpAddress address;
  const size_t colon = text.rfind(':');
  // Perhaps a database's URI in the wrong place: it must not be repeated.
  const bool well = !absl::StrContains(text, "@") && colon != absl::string_view::npos &&
                    absl::SimpleAtoi(text.substr(colon + 1), &address.port) && address.port >= 0 &&
                    address.port <= 65535;
  if (well) address.host = HostOf(text);
  const bool bare_v6 = well && text[0] != '[' && absl::StrContains(address.host, ":");
  if (address.host.empty() || bare_v6 || absl::StrContains(address.host, "/")) {
    return absl::InvalidArgumentError("an address must be host:port, as 127.0.0.1:8080 or [::1]:8080");
  }
  return address;
}

std::string HttpAddress::Text() const {
  const bool v6 = absl::StrContains(host, ":");
  return absl::StrCat(v6 ? "[" : "", host, v6 ? "]:" : ":", port);
}

bool HttpAddress::IsLoopback() const { return IsLoopbackHost(host); }

absl::Status CheckHttpOptions(const HttpOptions& options) {
  HS_ASSIGN_OR_RETURN(const HttpAddress address, HttpAddress::Parse(options.address));
  if (address.IsLoopback() || options.insecure || !options.tls_certificate_file.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "'", options.address, "' is not on loopback, and without TLS anybody who listens in would read what ",
      "is shown: use 127.0.0.1 and, from elsewhere, a tunnel (ssh -L ", address.port, ":127.0.0.1:", address.port,
      " this-machine)"));
}

bool HostIsExpected(absl::string_view host_header, absl::string_view listen_host) {
  const std::string host = HostOf(absl::StripAsciiWhitespace(host_header));
  if (host.empty()) return false;
  return IsLoopbackHost(host) || IsIpAddress(host) || absl::EqualsIgnoreCase(host, listen_host);
}

}  // namespace hypershift
