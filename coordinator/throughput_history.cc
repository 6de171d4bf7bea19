#include "coordinator/throughput_history.h"

#include <algorithm>

namespace hypershift {
namespace {

constexpr absl::Duration kRecent = absl::Seconds(10);

}  // namespace

void ThroughputHistory::Add(absl::Time now, int64_t bytes, int64_t rows) {
  if (recent_.empty()) {
    recent_.push_back({now, 0, 0});
  } else if (now <= recent_.back().time) {
    return;
  } else {
    const Sample& before = recent_.back();
    const double more_bytes = static_cast<double>(std::max<int64_t>(bytes - last_bytes_, 0));
    const double more_rows = static_cast<double>(std::max<int64_t>(rows - last_rows_, 0));
    const absl::Duration passed = now - before.time;
    if (points_.empty() || points_.back().length >= step_) {
      if (points_.size() >= limit_) Halve();
      points_.push_back({before.time, absl::ZeroDuration(), 0, 0});
    }
    points_.back().length += passed;
    points_.back().bytes += more_bytes;
    points_.back().rows += more_rows;
    recent_.push_back({now, before.bytes + more_bytes, before.rows + more_rows});
    while (recent_.size() > 2 && recent_[1].time <= now - kRecent) recent_.pop_front();
  }
  last_bytes_ = bytes;
  last_rows_ = rows;
}

void ThroughputHistory::Halve() {
  std::vector<Point> merged;
  for (size_t i = 0; i < points_.size(); i += 2) {
    Point point = points_[i];
    if (i + 1 < points_.size()) {
      point.length += points_[i + 1].length;
      point.bytes += points_[i + 1].bytes;
      point.rows += points_[i + 1].rows;
    }
    merged.push_back(point);
  }
  points_ = std::move(merged);
  step_ *= 2;
}

double ThroughputHistory::BytesPerSecond() const {
  if (recent_.size() < 2) return 0;
  return (recent_.back().bytes - recent_.front().bytes) /
         absl::ToDoubleSeconds(recent_.back().time - recent_.front().time);
}

double ThroughputHistory::RowsPerSecond() const {
  if (recent_.size() < 2) return 0;
  return (recent_.back().rows - recent_.front().rows) /
         absl::ToDoubleSeconds(recent_.back().time - recent_.front().time);
}

}  // namespace hypershift
