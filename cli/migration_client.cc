#include "cli/migration_client.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/format.h"

namespace hypershift {
namespace {

// A thousand tables and their messages are larger than gRPC's own limit.
constexpr int kMaxReceivedBytes = 64 << 20;

// gRPC's own words, without the part that says nothing.
absl::string_view Reason(const absl::Status& error) {
  absl::string_view message(error.message().data(), error.message().size());
  constexpr absl::string_view kLast = "last error: UNKNOWN: ";
  const size_t last = message.rfind(kLast);
  return last == absl::string_view::npos ? message : message.substr(last + kLast.size());
}

std::string Describe(const std::string& address, const absl::Status& error) {
  const std::string message = SafeText(Reason(error));
  switch (error.code()) {
    case absl::StatusCode::kUnavailable:
      if (absl::StrContains(message, "SSL") || absl::StrContains(message, "handshake") ||
          absl::StrContains(absl::AsciiStrToLower(message), "name verification")) {
        return absl::StrCat("no secure connection to ", address, " can be made (", message,
                            "): compare --tls-ca, --tls-cert and --tls-server-name with the coordinator's certificate");
      }
      return absl::StrCat("no coordinator is ready at ", address, " (", message,
                          "): check the address, and that the migration runs; it takes some seconds to start");
    case absl::StatusCode::kDeadlineExceeded:
      return absl::StrCat("the coordinator at ", address, " does not answer within ",
                          HumanDuration(kMigrationCallTimeout),
                          ": check the network between, and the coordinator's log");
    case absl::StatusCode::kUnimplemented:
      return absl::StrCat("what answers at ", address, " is no coordinator of this version: check the address");
    default:
      return absl::StrCat("the coordinator at ", address, " answers: ", message);
  }
}

}  // namespace

std::unique_ptr<v1::MigrationService::Stub> ConnectToCoordinator(const std::string& address,
                                                                 const TransportSecurity& security) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  // Ends a stream whose other side has silently gone.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  arguments.SetMaxReceiveMessageSize(kMaxReceivedBytes);
  return v1::MigrationService::NewStub(OpenChannel(address, security, arguments));
}

void SetTimeout(grpc::ClientContext* context, absl::Duration timeout) {
  context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
}

absl::Status DescribeCallError(const std::string& address, const absl::Status& error) {
  return absl::Status(error.code(), Describe(SafeText(address), error));
}

}  // namespace hypershift
