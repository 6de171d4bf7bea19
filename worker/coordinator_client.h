// The worker's side of WorkerService: several addresses in turn, a deadline on every call.
//
// A call goes round the addresses once, beginning with the one that answered last, for as long as they answer
// UNAVAILABLE or not at all. When none answers, the journal on the target is asked where the leader is (at most every
// few seconds). Repeating over time is the caller's business. Nothing else is retried: any other answer is returned.
//
// Thread-safe.
#ifndef HYPERSHIFT_WORKER_COORDINATOR_CLIENT_H_
#define HYPERSHIFT_WORKER_COORDINATOR_CLIENT_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/mutex.h"
#include "common/transport_security.h"
#include "hypershift/v1/worker.grpc.pb.h"

namespace hypershift {

class CoordinatorClient {
 public:
  // Where the leader listens, by the journal; any error when it can't be said.
  using LeaderLookup = std::function<absl::StatusOr<std::string>()>;

  // Addresses must have passed CheckConnecting(); the journal's is checked here.
  CoordinatorClient(const std::vector<std::string>& addresses, TransportSecurity security, LeaderLookup leader_lookup);

  absl::StatusOr<v1::RegisterResponse> Register(const v1::RegisterRequest& request);
  // Waits a little longer than the request asks the coordinator to. kCancelled: Interrupt() was called.
  absl::StatusOr<v1::SynchronizeResponse> Synchronize(const v1::SynchronizeRequest& request);
  absl::Status Complete(const v1::CompleteRequest& request);
  absl::Status Fail(const v1::FailRequest& request);

  // Breaks off the Synchronize() under way, if any.
  void Interrupt();

 private:
  struct Endpoint {
    std::string address;
    std::shared_ptr<grpc::Channel> channel;
    std::shared_ptr<v1::WorkerService::Stub> stub;
  };
  using OneCall = std::function<grpc::Status(v1::WorkerService::Stub*, grpc::ClientContext*)>;

  static Endpoint MakeEndpoint(const std::string& address, const TransportSecurity& security);
  absl::Status CallAround(absl::string_view method, absl::Duration timeout, bool interruptible, const OneCall& call);
  absl::Status CallOne(const Endpoint& endpoint, absl::string_view method, absl::Duration timeout, bool interruptible,
                       const OneCall& call);
  Endpoint Current() const;
  size_t EndpointCount() const;
  // Moves on to the next address, unless another thread has already left this one.
  void Leave(const std::string& address);
  // True: the journal named an address that was not known, and it is now the current one.
  bool FindLeader();

  const TransportSecurity security_;
  const LeaderLookup leader_lookup_;

  mutable Mutex mutex_;
  std::vector<Endpoint> endpoints_ ABSL_GUARDED_BY(mutex_);
  size_t current_ ABSL_GUARDED_BY(mutex_) = 0;
  const size_t configured_endpoints_;
  absl::Time next_lookup_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  grpc::ClientContext* interruptible_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_COORDINATOR_CLIENT_H_
