#include "worker/coordinator_client.h"

#include <chrono>
#include <utility>

#include "absl/time/clock.h"
#include "common/failpoint.h"
#include "common/grpc_status.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr absl::Duration kSynchronizeMargin = absl::Seconds(10);
constexpr absl::Duration kLookupInterval = absl::Seconds(1);
constexpr int kMaxReceivedBytes = 64 << 20;
constexpr int kReconnectMilliseconds = 200;
constexpr int kMaxReconnectMilliseconds = 500;
constexpr int kConnectMilliseconds = 2000;

// How long a call waits for a connection that is not there. While nobody waits, gRPC (1.51) does not look at what a
// server answers to an attempt to connect, but every 5 s.
constexpr absl::Duration kConnectionWait = absl::Milliseconds(500);

bool IsNoAnswer(const absl::Status& status) { return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status); }

}  // namespace

CoordinatorClient::CoordinatorClient(const std::vector<std::string>& addresses, TransportSecurity security,
                                     LeaderLookup leader_lookup)
    : security_(std::move(security)),
      leader_lookup_(std::move(leader_lookup)),
      configured_endpoints_(addresses.size()) {
  for (const std::string& address : addresses) endpoints_.push_back(MakeEndpoint(address, security_));
}

CoordinatorClient::Endpoint CoordinatorClient::MakeEndpoint(const std::string& address,
                                                            const TransportSecurity& security) {
  grpc::ChannelArguments arguments;
  // By itself gRPC waits up to two minutes between attempts to connect.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMilliseconds);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMilliseconds);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectMilliseconds);
  arguments.SetMaxReceiveMessageSize(kMaxReceivedBytes);
  std::shared_ptr<grpc::Channel> channel = OpenChannel(address, security, arguments);
  return {address, channel, v1::WorkerService::NewStub(channel)};
}

absl::StatusOr<v1::RegisterResponse> CoordinatorClient::Register(const v1::RegisterRequest& request) {
  v1::RegisterResponse response;
  HS_RETURN_IF_ERROR(
      CallAround("Register", kCallTimeout, false, [&](v1::WorkerService::Stub* stub, grpc::ClientContext* context) {
        return stub->Register(context, request, &response);
      }));
  return response;
}

absl::StatusOr<v1::SynchronizeResponse> CoordinatorClient::Synchronize(const v1::SynchronizeRequest& request) {
  v1::SynchronizeResponse response;
  const absl::Duration wait = absl::Seconds(request.wait().seconds()) + absl::Nanoseconds(request.wait().nanos());
  HS_RETURN_IF_ERROR(CallAround("Synchronize", wait + kSynchronizeMargin, true,
                                [&](v1::WorkerService::Stub* stub, grpc::ClientContext* context) {
                                  return stub->Synchronize(context, request, &response);
                                }));
  return response;
}

absl::Status CoordinatorClient::Complete(const v1::CompleteRequest& request) {
  v1::CompleteResponse response;
  return CallAround("Complete", kCallTimeout, false, [&](v1::WorkerService::Stub* stub, grpc::ClientContext* context) {
    return stub->Complete(context, request, &response);
  });
}

absl::Status CoordinatorClient::Fail(const v1::FailRequest& request) {
  v1::FailResponse response;
  return CallAround("Fail", kCallTimeout, false, [&](v1::WorkerService::Stub* stub, grpc::ClientContext* context) {
    return stub->Fail(context, request, &response);
  });
}

void CoordinatorClient::Interrupt() {
  MutexLock lock(&mutex_);
  if (interruptible_ != nullptr) interruptible_->TryCancel();
}

absl::Status CoordinatorClient::CallAround(absl::string_view method, absl::Duration timeout, bool interruptible,
                                           const OneCall& call) {
  absl::Status status = absl::UnavailableError("no coordinator address is known");
  const size_t count = EndpointCount();
  for (size_t tried = 0; tried < count; ++tried) {
    const Endpoint endpoint = Current();
    status = CallOne(endpoint, method, timeout, interruptible, call);
    if (!IsNoAnswer(status)) return status;
    Leave(endpoint.address);
  }
  if (!FindLeader()) return absl::UnavailableError(status.message());
  status = CallOne(Current(), method, timeout, interruptible, call);
  return IsNoAnswer(status) ? absl::UnavailableError(status.message()) : status;
}

absl::Status CoordinatorClient::CallOne(const Endpoint& endpoint, absl::string_view method, absl::Duration timeout,
                                        bool interruptible, const OneCall& call) {
  // Whether it is there then or not, the call finds out, and has the better words for it.
  (void)endpoint.channel->WaitForConnected(absl::ToChronoTime(absl::Now() + kConnectionWait));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  if (interruptible) {
    MutexLock lock(&mutex_);
    interruptible_ = &context;
  }
  const absl::Status status = AtFailpoint(Failpoint::kWorkerRpcSent, method,
                                          [&] { return FromGrpcStatus(call(endpoint.stub.get(), &context)); });
  if (interruptible) {
    MutexLock lock(&mutex_);
    interruptible_ = nullptr;
  }
  return status.ok() ? AtFailpoint(Failpoint::kWorkerRpcAnswered, method) : status;
}

CoordinatorClient::Endpoint CoordinatorClient::Current() const {
  MutexLock lock(&mutex_);
  return endpoints_[current_ % endpoints_.size()];
}

size_t CoordinatorClient::EndpointCount() const {
  MutexLock lock(&mutex_);
  return endpoints_.size();
}

void CoordinatorClient::Leave(const std::string& address) {
  MutexLock lock(&mutex_);
  if (endpoints_[current_ % endpoints_.size()].address == address) current_ = (current_ + 1) % endpoints_.size();
}

bool CoordinatorClient::FindLeader() {
  {
    MutexLock lock(&mutex_);
    if (leader_lookup_ == nullptr || absl::Now() < next_lookup_) return false;
    next_lookup_ = absl::Now() + kLookupInterval;
  }
  const absl::StatusOr<std::string> address = leader_lookup_();
  if (!address.ok()) return false;
  const absl::Status checked = CheckConnecting(*address, security_);
  if (!checked.ok()) {
    LogWarning("the journal's leader can't be used", {{"error", checked.message()}});
    return false;
  }
  MutexLock lock(&mutex_);
  for (const Endpoint& endpoint : endpoints_) {
    if (endpoint.address == *address) return false;
  }
  // One place for what the journal says: leaders come and go.
  endpoints_.resize(configured_endpoints_);
  endpoints_.push_back(MakeEndpoint(*address, security_));
  current_ = endpoints_.size() - 1;
  return true;
}

}  // namespace hypershift
