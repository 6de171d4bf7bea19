#include "coordinator/call_gate.h"

#include <utility>

#include "absl/strings/match.h"
#include "common/bearer_token.h"
#include "common/log.h"

namespace hypershift {
namespace {

// A worker of 256 slots that does nothing but the smallest tasks makes fewer.
constexpr double kCallsPerSecond = 1000;
constexpr double kBurst = 2000;
constexpr absl::Duration kLogInterval = absl::Seconds(10);
constexpr size_t kMaxLoggedPath = 100;

}  // namespace

CallGate::CallGate(Secret token, const Clock* clock)
    : token_(std::move(token)), clock_(clock), limiter_(kCallsPerSecond, kBurst) {}

absl::Status CallGate::Admit(absl::string_view path, absl::string_view authorization, uintptr_t connection) {
  const absl::Time now = clock_->Now();
  {
    MutexLock lock(&mutex_);
    // Before the token: guesses are calls too.
    if (!limiter_.Take(connection, now)) return absl::ResourceExhaustedError("too many calls: try again in a second");
  }
  if (token_.empty() || absl::StartsWith(path, "/grpc.health.v1.Health/")) return absl::OkStatus();
  if (Authorizes(authorization, token_)) return absl::OkStatus();
  LogRefusal(path, now);
  return absl::UnauthenticatedError(
      authorization.empty()
          ? "this coordinator wants a token: give --token-file FILE or set HYPERSHIFT_TOKEN"
          : "the token is not this coordinator's: compare --token-file or HYPERSHIFT_TOKEN on both sides");
}

void CallGate::LogRefusal(absl::string_view path, absl::Time now) {
  MutexLock lock(&mutex_);
  ++refused_;
  if (now < next_log_) return;
  LogWarning("a call without the coordinator's token",
             {{"method", path.substr(0, kMaxLoggedPath)}, {"calls", refused_}});
  next_log_ = now + kLogInterval;
  refused_ = 0;
}

}  // namespace hypershift
