// Holds all readers of a worker back together to so many bytes a second: a token bucket.
//
// Thread-safe. Whoever waits is served in the order of asking, so that no slot starves beside others. A large piece
// may be taken as soon as anything is there, and is then paid off: what follows waits longer. An idle bucket fills up
// to three quarters of a second's worth. Without a limit it costs one load.
#ifndef HYPERSHIFT_WORKER_RATE_LIMIT_H_
#define HYPERSHIFT_WORKER_RATE_LIMIT_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace hypershift {

class RateLimit {
 public:
  explicit RateLimit(const Clock* clock = SystemClock::Get()) : clock_(clock) {}
  RateLimit(const RateLimit&) = delete;
  RateLimit& operator=(const RateLimit&) = delete;

  // 0 = no limit. Also holds for those who wait already.
  void SetRate(int64_t bytes_per_second);

  // How many bytes are worth asking for at once; 0 = there is no limit.
  int64_t quantum() const { return quantum_.load(std::memory_order_relaxed); }

  // Takes what has been read; blocks until it is due. False: `gives_up` has become true, which is looked at ten times a
  // second or more; nothing was taken.
  bool Take(int64_t bytes, const std::function<bool()>& gives_up);
  // Takes without waiting; others wait for it.
  void Charge(int64_t bytes);

  // How long all callers together were held back.
  absl::Duration waited() const;

 private:
  void Refill() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double Capacity() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock* const clock_;
  std::atomic<int64_t> quantum_{0};
  mutable Mutex mutex_;
  CondVar changed_;
  int64_t rate_ ABSL_GUARDED_BY(mutex_) = 0;
  double level_ ABSL_GUARDED_BY(mutex_) = 0;  // Bytes that may be taken; below 0: what is still to be paid off.
  absl::Time refilled_at_ ABSL_GUARDED_BY(mutex_);
  std::deque<uint64_t> queue_ ABSL_GUARDED_BY(mutex_);  // Who waits, the first to be served in front.
  uint64_t last_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration waited_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_RATE_LIMIT_H_
