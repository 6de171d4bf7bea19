#include "common/retry.h"

#include <algorithm>

namespace hypershift {
namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): every bit
// of the input changes about half of the output's.
uint64_t Mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

}  // namespace

std::optional<absl::Duration> BackoffDelay(const BackoffPolicy& policy, int attempt) {
  if (attempt < 1 || attempt > policy.limit) return std::nullopt;
  absl::Duration delay = policy.initial;
  // Multiplied step by step and capped on the way, so that no attempt overflows; a limit of thousands stays cheap.
  for (int i = 1; i < attempt && delay < policy.maximum; ++i) {
    const absl::Duration longer = delay * std::max(policy.multiplier, 1.0);
    if (longer == delay) break;
    delay = longer;
  }
  return std::min(delay, policy.maximum);
}

std::optional<absl::Duration> BackoffDelayWithJitter(const BackoffPolicy& policy, int attempt, uint64_t seed) {
  const std::optional<absl::Duration> delay = BackoffDelay(policy, attempt);
  if (!delay) return std::nullopt;
  const uint64_t bits = Mix(Mix(seed) + static_cast<uint64_t>(attempt));
  const double fraction = static_cast<double>(bits >> 11) * 0x1.0p-53;  // [0, 1)
  return *delay * (1.0 - 0.5 * fraction);
}

}  // namespace hypershift
