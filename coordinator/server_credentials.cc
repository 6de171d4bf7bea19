#include "coordinator/server_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <string>
#include <utility>

#include "common/bearer_token.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#define HS_HANDED_TO_GRPC(address) __tsan_release(address)
#define HS_HANDED_BY_GRPC(address) __tsan_acquire(address)
#endif
#endif
#ifndef HS_HANDED_TO_GRPC
// Debian's gRPC is not built for ThreadSanitizer, which therefore does not see how gRPC hands a pointer from one thread
// to another.
#define HS_HANDED_TO_GRPC(address) static_cast<void>(address)
#define HS_HANDED_BY_GRPC(address) static_cast<void>(address)
#endif

namespace hypershift {
namespace {

absl::string_view View(const grpc_slice& slice) {
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

// gRPC's core calls it for each call, when its headers are there. All calls over a connection share `connection`.
void AskGate(void* state, grpc_auth_context* connection, const grpc_metadata* metadata, size_t count,
             grpc_process_auth_metadata_done_cb done, void* user_data) {
  absl::string_view path;
  absl::string_view authorization;
  for (size_t i = 0; i < count; ++i) {
    const absl::string_view key = View(metadata[i].key);
    if (key == ":path") path = View(metadata[i].value);
    if (key == kAuthorizationHeader) authorization = View(metadata[i].value);
  }
  HS_HANDED_BY_GRPC(state);
  CallGate* const gate = static_cast<std::shared_ptr<CallGate>*>(state)->get();
  const absl::Status admitted = gate->Admit(path, authorization, reinterpret_cast<uintptr_t>(connection));
  const std::string message(admitted.message());
  done(user_data, nullptr, 0, nullptr, 0, static_cast<grpc_status_code>(admitted.code()), message.c_str());
}

grpc_server_credentials* MakeTls(const TransportSecurity& security) {
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
          security.key_file, security.certificate_file, security.authorities_file, kCertificateReloadSeconds));
  options.watch_identity_key_cert_pairs();
  if (!security.authorities_file.empty()) {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc_tls_server_credentials_create(options.c_credentials_options());
}

// gRPC's C++ classes ask a processor of calls on encrypted connections only; its core asks on all.
class GatedCredentials final : public grpc::ServerCredentials {
 public:
  GatedCredentials(const TransportSecurity& security, std::shared_ptr<CallGate> gate)
      : credentials_(security.certificate_file.empty() ? grpc_insecure_server_credentials_create()
                                                       : MakeTls(security)) {
    grpc_auth_metadata_processor processor;
    processor.process = &AskGate;
    processor.destroy = [](void* state) { delete static_cast<std::shared_ptr<CallGate>*>(state); };
    processor.state = new std::shared_ptr<CallGate>(std::move(gate));
    HS_HANDED_TO_GRPC(processor.state);
    grpc_server_credentials_set_auth_metadata_processor(credentials_, processor);
  }
  ~GatedCredentials() override { grpc_server_credentials_release(credentials_); }

  // The gate is the only one.
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  grpc_server_credentials* const credentials_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const TransportSecurity& security,
                                                               std::shared_ptr<CallGate> gate) {
  return std::make_shared<GatedCredentials>(security, std::move(gate));
}

}  // namespace hypershift
