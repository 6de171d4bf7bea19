// How long to wait before trying again. Pure: the caller owns the clock, the count and the decision whether an error is
// worth it (IsRetryable).
#ifndef HYPERSHIFT_COMMON_RETRY_H_
#define HYPERSHIFT_COMMON_RETRY_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace hypershift {

struct BackoffPolicy {
  absl::Duration initial = absl::Milliseconds(250);
  absl::Duration maximum = absl::Seconds(30);
  double multiplier = 2.0;  // At least 1.
  int limit = 10;           // Retries; 0 = none.
};

// The pause before retry number `attempt` (1 is the first), without its random part; nothing once the limit is passed.
std::optional<absl::Duration> BackoffDelay(const BackoffPolicy& policy, int attempt);

// The same shortened by up to a half, so that many clients that failed together don't return together. The same seed
// and attempt give the same pause: use the task's id, or whatever tells the clients apart.
std::optional<absl::Duration> BackoffDelayWithJitter(const BackoffPolicy& policy, int attempt, uint64_t seed);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_RETRY_H_
