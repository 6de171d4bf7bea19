// How long a round trip to each server takes, as the statements around copies show it; reported to the coordinator.
//
// Thread-safe.
#ifndef HYPERSHIFT_WORKER_ROUND_TRIPS_H_
#define HYPERSHIFT_WORKER_ROUND_TRIPS_H_

#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "common/mutex.h"

namespace hypershift {

class RoundTrip {
 public:
  // The time of a statement that costs the server next to nothing.
  void Add(absl::Duration took) {
    MutexLock lock(&mutex_);
    // What is quicker shows that the rest was work; what is slower counts when it lasts.
    latency_ = !latency_.has_value() || took < *latency_ ? took : *latency_ + (took - *latency_) / 8;
  }
  std::optional<absl::Duration> latency() const {
    MutexLock lock(&mutex_);
    return latency_;
  }

 private:
  mutable Mutex mutex_;
  std::optional<absl::Duration> latency_ ABSL_GUARDED_BY(mutex_);
};

struct RoundTrips {
  RoundTrip source;
  RoundTrip target;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_ROUND_TRIPS_H_
