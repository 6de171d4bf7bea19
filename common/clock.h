// Where a component gets the time from, so that tests need not wait. Leases expire by the target's clock, not by this
// one: it serves heartbeats, back-off and displays.
#ifndef HYPERSHIFT_COMMON_CLOCK_H_
#define HYPERSHIFT_COMMON_CLOCK_H_

#include <chrono>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/mutex.h"

namespace hypershift {

// Thread-safe, as are all implementations.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

// The machine's clock as it stood when it was first asked, and the time that has passed since: setting the machine's
// clock moves no deadline. Lives for ever.
class SystemClock : public Clock {
 public:
  static const SystemClock* Get() {
    static const SystemClock* const kClock = new SystemClock;
    return kClock;
  }
  absl::Time Now() const override {
    return began_ + absl::FromChrono(std::chrono::steady_clock::now() - steady_began_);
  }

 private:
  SystemClock() : began_(absl::Now()), steady_began_(std::chrono::steady_clock::now()) {}

  const absl::Time began_;
  const std::chrono::steady_clock::time_point steady_began_;
};

// Stands still until a test moves it.
class FakeClock : public Clock {
 public:
  explicit FakeClock(absl::Time now = absl::UnixEpoch()) : now_(now) {}

  absl::Time Now() const override {
    MutexLock lock(&mutex_);
    return now_;
  }
  void Advance(absl::Duration duration) {
    MutexLock lock(&mutex_);
    now_ += duration;
  }

 private:
  mutable Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_CLOCK_H_
