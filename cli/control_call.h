// One call to a coordinator, as the commands make it that ask once or steer; and how answers look as JSON.
#ifndef HYPERSHIFT_CLI_CONTROL_CALL_H_
#define HYPERSHIFT_CLI_CONTROL_CALL_H_

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <string>

#include "cli/migration_client.h"
#include "common/grpc_status.h"
#include "hypershift/v1/migration.grpc.pb.h"

namespace hypershift {

// A coordinator that is asked several times. Errors are for the operator: they name the address.
class ControlClient {
 public:
  ControlClient(const std::string& coordinator, const TransportSecurity& security)
      : coordinator_(coordinator), stub_(ConnectToCoordinator(coordinator, security)) {}

  template <typename Request, typename Response>
  absl::Status Ask(grpc::Status (v1::MigrationService::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                   const Request& request, Response* response) {
    grpc::ClientContext context;
    SetTimeout(&context, kMigrationCallTimeout);
    const absl::Status answered = FromGrpcStatus((stub_.get()->*method)(&context, request, response));
    return answered.ok() ? answered : DescribeCallError(coordinator_, answered);
  }

 private:
  const std::string coordinator_;
  const std::unique_ptr<v1::MigrationService::Stub> stub_;
};

// Says it on standard error, as one line, and returns the exit status for it.
int RefuseCommand(const absl::Status& error);

// Protobuf's JSON with every field, and a line break.
std::string MessageAsJson(const google::protobuf::Message& message, bool one_line);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_CONTROL_CALL_H_
