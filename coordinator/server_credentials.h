// What the coordinator's gRPC server asks of a connection, and of each call over it.
#ifndef HYPERSHIFT_COORDINATOR_SERVER_CREDENTIALS_H_
#define HYPERSHIFT_COORDINATOR_SERVER_CREDENTIALS_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "common/transport_security.h"
#include "coordinator/call_gate.h"

namespace hypershift {

// TLS or not, as `security` says, which must have passed CheckListening(). Every call passes `gate`, on plain
// connections as well: gRPC's own plain credentials would not ask it.
std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const TransportSecurity& security,
                                                               std::shared_ptr<CallGate> gate);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_SERVER_CREDENTIALS_H_
