// Bytes per second over the last seconds, of what is reported in pieces.
//
// Pure: now is passed in and does not go back. Not thread-safe; some dozens of samples at most.
#ifndef HYPERSHIFT_COORDINATOR_BYTE_RATE_H_
#define HYPERSHIFT_COORDINATOR_BYTE_RATE_H_

#include <algorithm>
#include <cstdint>
#include <deque>

#include "absl/time/time.h"

namespace hypershift {

class ByteRate {
 public:
  void Add(int64_t bytes, absl::Time now) {
    if (began_ == absl::InfiniteFuture()) began_ = now;
    if (!samples_.empty() && now - samples_.back().at < kStep) {
      samples_.back().bytes += bytes;
    } else {
      samples_.push_back({now, bytes});
    }
    while (now - samples_.front().at > kWindow) samples_.pop_front();
  }

  int64_t PerSecond(absl::Time now) const {
    int64_t bytes = 0;
    for (const Sample& sample : samples_) {
      if (now - sample.at <= kWindow) bytes += sample.bytes;
    }
    // What began just now has not had the whole window.
    const absl::Duration time = std::clamp(now - began_, absl::Seconds(1), kWindow);
    return static_cast<int64_t>(static_cast<double>(bytes) / absl::ToDoubleSeconds(time));
  }

 private:
  static constexpr absl::Duration kWindow = absl::Seconds(8);
  static constexpr absl::Duration kStep = absl::Milliseconds(200);
  struct Sample {
    absl::Time at;
    int64_t bytes;
  };
  absl::Time began_ = absl::InfiniteFuture();
  std::deque<Sample> samples_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_BYTE_RATE_H_
