// How a coordinator and those who call it protect what they say: TLS, client certificates, a token, or none of these.
//
// One struct for all programs. Off this machine nothing is said or listened to without TLS, unless the operator
// insists. Certificates are read again when their files change, for connections made from then on.
#ifndef HYPERSHIFT_COMMON_TRANSPORT_SECURITY_H_
#define HYPERSHIFT_COMMON_TRANSPORT_SECURITY_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/secret.h"

namespace hypershift {

// How often certificate files are looked at.
inline constexpr unsigned kCertificateReloadSeconds = 2;

struct TransportSecurity {
  // PEM files; empty = none. The own certificate with its chain, and its key.
  std::string certificate_file;
  std::string key_file;
  // Of whom the other side's certificate must come. A coordinator that has it lets nobody in without one.
  std::string authorities_file;
  // Empty: callers need none, or have none.
  Secret token;
  // The operator insists on a connection that others can read.
  bool insecure = false;

  // Of a client only: TLS by the system's authorities when there is no authorities_file.
  bool system_authorities = false;
  // Of a client only: the name that the coordinator's certificate must have; empty = the address' host.
  std::string server_name;
};

// Whether a coordinator may listen there. kInvalidArgument, kNotFound: it may not, or a file is not as it must be; one
// line with the remedy.
absl::Status CheckListening(absl::string_view address, const TransportSecurity& security);

// What strangers can do at an address that CheckListening() allowed only because the operator insisted; else empty.
std::string ExposureOf(absl::string_view address, const TransportSecurity& security);

// Whether a client may connect there; errors likewise. Looks at no file: CheckClientFiles() does, once.
absl::Status CheckConnecting(absl::string_view address, const TransportSecurity& security);
absl::Status CheckClientFiles(const TransportSecurity& security);

// A channel to an address that CheckConnecting() allowed. Its calls carry the token. Connects lazily.
std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address, const TransportSecurity& security,
                                           grpc::ChannelArguments arguments);

// What a coordinator in this process asks of its own clients.
TransportSecurity SecurityOfOwnClients(const TransportSecurity& server);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_TRANSPORT_SECURITY_H_
