// Who may call the coordinator at all, and how often: the one place that every call passes, whatever service and method
// it names, before its request is read.
//
// Thread-safe.
#ifndef HYPERSHIFT_COORDINATOR_CALL_GATE_H_
#define HYPERSHIFT_COORDINATOR_CALL_GATE_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "common/secret.h"
#include "coordinator/rate_limiter.h"

namespace hypershift {

class CallGate {
 public:
  // An empty token lets everybody in who has a connection.
  explicit CallGate(Secret token, const Clock* clock = SystemClock::Get());

  // `path` is "/package.Service/Method", `authorization` the header's value or empty, `connection` the same number for
  // all calls over one connection. kUnauthenticated: it needs the token; health checks don't. kResourceExhausted: too
  // many.
  absl::Status Admit(absl::string_view path, absl::string_view authorization, uintptr_t connection);

 private:
  void LogRefusal(absl::string_view path, absl::Time now);

  const Secret token_;
  const Clock* const clock_;
  Mutex mutex_;
  RateLimiter limiter_ ABSL_GUARDED_BY(mutex_);
  absl::Time next_log_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  int64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_CALL_GATE_H_
