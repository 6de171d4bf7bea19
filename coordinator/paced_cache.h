// A value that is costly to make and asked for often: made anew at most once a second, and never so often that making
// it takes more than a tenth of the time. Many readers cost no more than one.
//
// Thread-safe. While one caller makes it anew, the others get the one before; only the first value is waited for.
#ifndef HYPERSHIFT_COORDINATOR_PACED_CACHE_H_
#define HYPERSHIFT_COORDINATOR_PACED_CACHE_H_

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace hypershift {

template <typename T>
class PacedCache {
 public:
  using Value = std::shared_ptr<const T>;
  using Make = std::function<absl::StatusOr<T>()>;

  PacedCache(Make make, absl::Duration least_interval, const Clock* clock = SystemClock::Get())
      : make_(std::move(make)), least_interval_(least_interval), clock_(clock) {}

  // The error of the last attempt, if there is one.
  absl::StatusOr<Value> Get() {
    {
      MutexLock lock(&mutex_);
      while (making_ && !made_) changed_.Wait(&mutex_);
      if (making_ || clock_->Now() < next_) return value_;
      making_ = true;
    }
    const absl::Time begin = clock_->Now();
    absl::StatusOr<T> made = make_();
    const absl::Time end = clock_->Now();
    MutexLock lock(&mutex_);
    if (made.ok()) {
      value_ = std::make_shared<const T>(*std::move(made));
    } else {
      value_ = made.status();
    }
    next_ = begin + std::max(least_interval_, kPause * (end - begin));
    cost_ = end - begin;
    making_ = false;
    made_ = true;
    changed_.NotifyAll();
    return value_;
  }

  // The next Get() makes it anew.
  void Expire() {
    MutexLock lock(&mutex_);
    next_ = absl::InfinitePast();
  }

  // How long it took to make the last one.
  absl::Duration cost() const {
    MutexLock lock(&mutex_);
    return cost_;
  }

 private:
  static constexpr int kPause = 10;

  const Make make_;
  const absl::Duration least_interval_;
  const Clock* const clock_;
  mutable Mutex mutex_;
  CondVar changed_;
  absl::StatusOr<Value> value_ ABSL_GUARDED_BY(mutex_) = absl::UnavailableError("not known yet");
  absl::Time next_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Duration cost_ ABSL_GUARDED_BY(mutex_);
  bool making_ ABSL_GUARDED_BY(mutex_) = false;
  bool made_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_PACED_CACHE_H_
