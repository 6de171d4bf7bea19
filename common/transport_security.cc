#include "common/transport_security.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/support/client_interceptor.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/bearer_token.h"
#include "common/certificate_files.h"
#include "common/coordinator_address.h"
#include "common/pg_status.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

bool ConnectsByTls(const TransportSecurity& security) {
  return security.system_authorities || !security.authorities_file.empty();
}

// Adds the token to each call. Not call credentials: these refuse a plain connection, which may be a unix socket.
class TokenInterceptor final : public grpc::experimental::Interceptor {
 public:
  explicit TokenInterceptor(const Secret* authorization) : authorization_(authorization) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(grpc::experimental::InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->emplace(kAuthorizationHeader, authorization_->Reveal());
    }
    methods->Proceed();
  }

 private:
  const Secret* const authorization_;
};

class TokenInterceptorFactory final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit TokenInterceptorFactory(const Secret& token) : authorization_(AuthorizationOf(token)) {}

  grpc::experimental::Interceptor* CreateClientInterceptor(grpc::experimental::ClientRpcInfo*) override {
    return new TokenInterceptor(&authorization_);
  }

 private:
  const Secret authorization_;
};

std::shared_ptr<grpc::ChannelCredentials> ClientCredentials(const TransportSecurity& security) {
  if (!ConnectsByTls(security)) return grpc::InsecureChannelCredentials();
  grpc::experimental::TlsChannelCredentialsOptions options;
  if (!security.authorities_file.empty() || !security.key_file.empty()) {
    options.set_certificate_provider(std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
        security.key_file, security.certificate_file, security.authorities_file, kCertificateReloadSeconds));
  }
  if (!security.authorities_file.empty()) options.watch_root_certs();
  if (!security.key_file.empty()) options.watch_identity_key_cert_pairs();
  return grpc::experimental::TlsCredentials(options);
}

absl::Status CheckPair(const TransportSecurity& security) {
  if (security.certificate_file.empty() == security.key_file.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("--tls-cert and --tls-key belong together: give both");
}

// What a coordinator lacks for an address off this machine; empty = nothing.
std::string Lack(const TransportSecurity& security) {
  if (security.certificate_file.empty()) return "TLS (--tls-cert, --tls-key)";
  if (security.authorities_file.empty() && security.token.empty()) {
    return "client certificates (--tls-ca) or a token (--token-file, HYPERSHIFT_TOKEN)";
  }
  return "";
}

}  // namespace

absl::Status CheckListening(absl::string_view address, const TransportSecurity& security) {
  HS_RETURN_IF_ERROR(WithContext(CheckListenAddress(address), "--listen"));
  HS_RETURN_IF_ERROR(CheckPair(security));
  if (!security.authorities_file.empty() && security.certificate_file.empty()) {
    return absl::InvalidArgumentError("--tls-ca asks for client certificates, which needs --tls-cert and --tls-key");
  }
  const std::string lack = Lack(security);
  if (!IsLocalAddress(address) && !lack.empty() && !security.insecure) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--listen: ", address, " can be reached from other machines and needs ", lack, "; --insecure listens without"));
  }
  if (!security.certificate_file.empty()) {
    HS_RETURN_IF_ERROR(
        WithContext(CheckCertificate(security.certificate_file, security.key_file, absl::Now()), "--tls-cert"));
  }
  if (security.authorities_file.empty()) return absl::OkStatus();
  return WithContext(CheckAuthorities(security.authorities_file), "--tls-ca");
}

std::string ExposureOf(absl::string_view address, const TransportSecurity& security) {
  if (IsLocalAddress(address)) return "";
  const bool open = security.authorities_file.empty() && security.token.empty();
  if (!security.certificate_file.empty() && !open) return "";
  std::string exposed = absl::StrCat("--insecure: at ", address);
  if (open) {
    absl::StrAppend(&exposed,
                    " everybody can stop this migration, see its tables, and join as a worker, which is given "
                    "SQL that reads the source and writes the target");
  }
  if (security.certificate_file.empty()) {
    absl::StrAppend(&exposed, open ? ", and " : " ", "everybody on the way can read and change what is said",
                    security.token.empty() ? "" : ", the token included");
  }
  return exposed;
}

absl::Status CheckConnecting(absl::string_view address, const TransportSecurity& security) {
  HS_RETURN_IF_ERROR(CheckCoordinatorAddress(address));
  if (ConnectsByTls(security) || security.insecure || IsLocalAddress(address)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("coordinator address '", address,
                   "' is not on this machine: give --tls-ca FILE, or --tls when its certificate is a public one; "
                   "--insecure speaks without TLS"));
}

absl::Status CheckClientFiles(const TransportSecurity& security) {
  HS_RETURN_IF_ERROR(CheckPair(security));
  if (!security.certificate_file.empty() && !ConnectsByTls(security)) {
    return absl::InvalidArgumentError("--tls-cert is of no use without --tls-ca FILE or --tls");
  }
  if (!security.certificate_file.empty()) {
    HS_RETURN_IF_ERROR(
        WithContext(CheckCertificate(security.certificate_file, security.key_file, absl::Now()), "--tls-cert"));
  }
  if (security.authorities_file.empty()) return absl::OkStatus();
  return WithContext(CheckAuthorities(security.authorities_file), "--tls-ca");
}

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address, const TransportSecurity& security,
                                           grpc::ChannelArguments arguments) {
  // http_proxy is for the world outside.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (!security.server_name.empty()) arguments.SetSslTargetNameOverride(security.server_name);
  std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> interceptors;
  if (!security.token.empty()) interceptors.push_back(std::make_unique<TokenInterceptorFactory>(security.token));
  return grpc::experimental::CreateCustomChannelWithInterceptors(address, ClientCredentials(security), arguments,
                                                                 std::move(interceptors));
}

TransportSecurity SecurityOfOwnClients(const TransportSecurity& server) {
  TransportSecurity client;
  client.token = server.token;
  return client;
}

}  // namespace hypershift
