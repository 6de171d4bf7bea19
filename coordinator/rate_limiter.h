// How many calls may be made: one bucket of tokens for each caller.
//
// Pure: no clock of its own, not thread-safe. Remembers a bounded number of callers.
#ifndef HYPERSHIFT_COORDINATOR_RATE_LIMITER_H_
#define HYPERSHIFT_COORDINATOR_RATE_LIMITER_H_

#include <cstddef>
#include <cstdint>
#include <map>

#include "absl/time/time.h"

namespace hypershift {

class RateLimiter {
 public:
  // A caller may make `burst` calls at once, and `calls_per_second` for as long as it likes.
  RateLimiter(double calls_per_second, double burst) : calls_per_second_(calls_per_second), burst_(burst) {}

  // Whether `caller` may make a call at `now`, which does not go backwards.
  bool Take(uintptr_t caller, absl::Time now);

  size_t callers() const { return buckets_.size(); }

 private:
  struct Bucket {
    double left = 0;
    absl::Time at;
  };

  double LeftAt(const Bucket& bucket, absl::Time now) const;
  // Whoever could make a whole burst again need not be remembered.
  void ForgetIdle(absl::Time now);

  const double calls_per_second_;
  const double burst_;
  std::map<uintptr_t, Bucket> buckets_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_RATE_LIMITER_H_
