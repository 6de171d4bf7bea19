// What people have asked of a migration while it runs: pause, limits, the end. It stands in the journal, and holds as
// soon as it does.
//
// Pure values and functions.
#ifndef HYPERSHIFT_COORDINATOR_STEERING_H_
#define HYPERSHIFT_COORDINATOR_STEERING_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "common/limits.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

struct Steering {
  absl::Time paused_since = absl::InfiniteFuture();  // The infinite future: it is not.
  absl::Time cancelled_at = absl::InfiniteFuture();  // Likewise.
  v1::Limits limits;

  bool paused() const { return paused_since != absl::InfiniteFuture(); }
  bool cancelled() const { return cancelled_at != absl::InfiniteFuture(); }
};

// What is to change; unset: nothing. Later wishes are laid over earlier ones.
struct SteeringWish {
  std::optional<bool> paused = std::nullopt;
  bool cancel = false;
  v1::Limits limits = {};
};

inline void OverlayWish(const SteeringWish& later, SteeringWish* wish) {
  if (later.paused.has_value()) wish->paused = later.paused;
  wish->cancel = wish->cancel || later.cancel;
  OverlayLimits(later.limits, &wish->limits);
}

// A second pause, or a second end, keeps the time of the first.
inline Steering Fulfil(const SteeringWish& wish, Steering steering, absl::Time now) {
  if (wish.paused.has_value() && *wish.paused != steering.paused()) {
    steering.paused_since = *wish.paused ? now : absl::InfiniteFuture();
  }
  if (wish.cancel && !steering.cancelled()) steering.cancelled_at = now;
  OverlayLimits(wish.limits, &steering.limits);
  return steering;
}

// A worker's share of a limit, by the copies that it runs of all that run; 0 if there is no limit. Who runs none gets
// what one more copy would, until its share is told anew with its first.
inline int64_t ShareOfRate(int64_t limit, int64_t own_copies, int64_t all_copies) {
  if (limit <= 0) return 0;
  const int64_t own = own_copies > 0 ? own_copies : 1;
  const int64_t all = own_copies > 0 ? all_copies : all_copies + 1;
  const int64_t share = limit / all * own + limit % all * own / all;
  return share > 0 ? share : 1;
}

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_STEERING_H_
