// Where an HTTP server listens. Pure; any thread.
#ifndef HYPERSHIFT_COMMON_HTTP_ADDRESS_H_
#define HYPERSHIFT_COMMON_HTTP_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hypershift {

struct HttpAddress {
  std::string host;  // Without brackets.
  int port = 0;

  // "127.0.0.1:8080", "[::1]:0". kInvalidArgument: neither that nor a name and a port.
  static absl::StatusOr<HttpAddress> Parse(absl::string_view text);
  std::string Text() const;
  // By its spelling only: a name that resolves to loopback here may not do so tomorrow.
  bool IsLoopback() const;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_HTTP_ADDRESS_H_
