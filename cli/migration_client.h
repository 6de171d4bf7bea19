// The client of a coordinator's MigrationService, as every command uses it.
#ifndef HYPERSHIFT_CLI_MIGRATION_CLIENT_H_
#define HYPERSHIFT_CLI_MIGRATION_CLIENT_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/transport_security.h"
#include "hypershift/v1/migration.grpc.pb.h"

namespace hypershift {

// How long one call may take.
inline constexpr absl::Duration kMigrationCallTimeout = absl::Seconds(10);

// The address must have passed CheckConnecting(). Connects lazily and again after a loss; a silent peer is noticed by
// keepalives. Any thread may use the stub.
std::unique_ptr<v1::MigrationService::Stub> ConnectToCoordinator(const std::string& address,
                                                                 const TransportSecurity& security);

void SetTimeout(grpc::ClientContext* context, absl::Duration timeout);

// A failed call's error for the operator: it names the address and what to look at. Keeps the code.
absl::Status DescribeCallError(const std::string& address, const absl::Status& error);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_MIGRATION_CLIENT_H_
