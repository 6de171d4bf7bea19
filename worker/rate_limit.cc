#include "worker/rate_limit.h"

#include <algorithm>

namespace hypershift {
namespace {

// Of a second's worth: what an idle bucket holds, so that a range's beginning and end, when nothing is read, cost no
// throughput; and what one reader takes at once.
constexpr double kCapacity = 0.75;
constexpr int64_t kQuantaPerSecond = 50;
constexpr int64_t kMostQuantum = 64 << 10;
// So soon a waiting reader notices that it is to give up.
constexpr absl::Duration kLookAround = absl::Milliseconds(50);

}  // namespace

void RateLimit::SetRate(int64_t bytes_per_second) {
  const int64_t rate = std::max<int64_t>(bytes_per_second, 0);
  MutexLock lock(&mutex_);
  if (rate == rate_) return;
  Refill();
  // Nothing has gathered, or is owed, while there was no limit.
  if (rate_ == 0) {
    level_ = 0;
    refilled_at_ = clock_->Now();
  }
  rate_ = rate;
  level_ = std::min(level_, Capacity());
  quantum_ = rate == 0 ? 0 : std::clamp<int64_t>(rate / kQuantaPerSecond, 1, kMostQuantum);
  changed_.NotifyAll();
}

double RateLimit::Capacity() const { return static_cast<double>(rate_) * kCapacity; }

void RateLimit::Refill() {
  const absl::Time now = clock_->Now();
  if (rate_ == 0) return;
  level_ += absl::ToDoubleSeconds(now - refilled_at_) * static_cast<double>(rate_);
  level_ = std::min(level_, Capacity());
  refilled_at_ = now;
}

bool RateLimit::Take(int64_t bytes, const std::function<bool()>& gives_up) {
  if (quantum() == 0) return true;
  const absl::Time began = clock_->Now();
  MutexLock lock(&mutex_);
  const uint64_t ticket = ++last_ticket_;
  queue_.push_back(ticket);
  bool taken = true;
  while (rate_ > 0) {
    Refill();
    const bool first = queue_.front() == ticket;
    if (first && level_ > 0) break;
    if (gives_up()) {
      taken = false;
      break;
    }
    const absl::Duration due =
        first ? absl::Seconds((1 - level_) / static_cast<double>(rate_)) + absl::Microseconds(100) : kLookAround;
    changed_.WaitFor(&mutex_, std::min(due, kLookAround));
  }
  queue_.erase(std::find(queue_.begin(), queue_.end(), ticket));
  if (taken && rate_ > 0) level_ -= static_cast<double>(bytes);
  waited_ += clock_->Now() - began;
  changed_.NotifyAll();
  return taken;
}

void RateLimit::Charge(int64_t bytes) {
  if (quantum() == 0) return;
  MutexLock lock(&mutex_);
  if (rate_ == 0) return;
  Refill();
  level_ -= static_cast<double>(bytes);
}

absl::Duration RateLimit::waited() const {
  MutexLock lock(&mutex_);
  return waited_;
}

}  // namespace hypershift
