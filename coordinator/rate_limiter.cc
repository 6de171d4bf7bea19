#include "coordinator/rate_limiter.h"

#include <algorithm>

namespace hypershift {
namespace {

constexpr size_t kMaxCallers = 4096;

}  // namespace

double RateLimiter::LeftAt(const Bucket& bucket, absl::Time now) const {
  return std::min(burst_, bucket.left + absl::ToDoubleSeconds(now - bucket.at) * calls_per_second_);
}

bool RateLimiter::Take(uintptr_t caller, absl::Time now) {
  auto found = buckets_.find(caller);
  if (found == buckets_.end()) {
    if (buckets_.size() >= kMaxCallers) ForgetIdle(now);
    if (buckets_.size() >= kMaxCallers) return false;
    found = buckets_.emplace(caller, Bucket{burst_, now}).first;
  }
  Bucket& bucket = found->second;
  bucket.left = LeftAt(bucket, now);
  bucket.at = now;
  if (bucket.left < 1) return false;
  bucket.left -= 1;
  return true;
}

void RateLimiter::ForgetIdle(absl::Time now) {
  std::erase_if(buckets_, [&](const auto& entry) { return LeftAt(entry.second, now) >= burst_; });
}

}  // namespace hypershift
