#include "cli/retry_command.h"

#include <grpcpp/grpcpp.h>

#include <cstdio>

#include "cli/format.h"
#include "cli/migration_client.h"
#include "common/grpc_status.h"
#include "coordinator/exit_status.h"

namespace hypershift {

int RunRetryCommand(const std::string& coordinator, const TransportSecurity& security, const std::string& table) {
  const auto stub = ConnectToCoordinator(coordinator, security);
  grpc::ClientContext context;
  SetTimeout(&context, kMigrationCallTimeout);
  v1::RetryTableRequest request;
  request.set_table(table);
  v1::RetryTableResponse response;
  const absl::Status answered = FromGrpcStatus(stub->RetryTable(&context, request, &response));
  if (!answered.ok()) {
    std::fprintf(stderr, "hypershift: %s\n", std::string(DescribeCallError(coordinator, answered).message()).c_str());
    return kExitBadInput;
  }
  std::printf("%s of %s will be tried again.\n",
              response.steps() == 1 ? "One step" : (FormatCount(response.steps()) + " steps").c_str(),
              SafeText(table).c_str());
  return kExitDone;
}

}  // namespace hypershift
