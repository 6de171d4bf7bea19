// Whether a worker that has no connection strings may be given the coordinator's, passwords included. Pure.
#ifndef HYPERSHIFT_COORDINATOR_CONNECTION_OFFER_H_
#define HYPERSHIFT_COORDINATOR_CONNECTION_OFFER_H_

#include <string>

#include "absl/status/status.h"
#include "common/connection_string.h"

namespace hypershift {

struct ConnectionOffer {
  ConnectionString source;
  ConnectionString target;
  // Callers have shown a token or a client certificate.
  bool callers_are_known = false;
};

// By which way a worker asks.
struct Caller {
  std::string peer;        // As grpc::ServerContext::peer() has it.
  bool encrypted = false;  // The connection is TLS.
};

// kFailedPrecondition: others could read the passwords, or anybody could ask for them; or the strings name this machine
// and the worker is on another one. The message says what to do.
absl::Status MayGiveConnections(const ConnectionOffer& offer, const Caller& caller);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_CONNECTION_OFFER_H_
