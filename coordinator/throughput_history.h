// How fast a migration has been, from its first sample to now, in a bounded number of points: when there are too many,
// neighbours are put together.
//
// Pure; not thread-safe.
#ifndef HYPERSHIFT_COORDINATOR_THROUGHPUT_HISTORY_H_
#define HYPERSHIFT_COORDINATOR_THROUGHPUT_HISTORY_H_

#include <cstdint>
#include <deque>
#include <vector>

#include "absl/time/time.h"

namespace hypershift {

class ThroughputHistory {
 public:
  struct Point {
    absl::Time start;
    absl::Duration length;
    double bytes = 0;
    double rows = 0;
  };

  // `limit`: points at most, at least 2. `step`: the shortest length of one.
  ThroughputHistory(size_t limit, absl::Duration step) : limit_(limit), step_(step) {}

  // What has been copied so far, committed or in flight. The first sample only says where counting begins; a sum that
  // falls (an attempt was rolled back) counts as standing still.
  void Add(absl::Time now, int64_t bytes, int64_t rows);

  const std::vector<Point>& points() const { return points_; }
  // Over the last ten seconds; 0 before there are two samples.
  double BytesPerSecond() const;
  double RowsPerSecond() const;

 private:
  struct Sample {
    absl::Time time;
    // Sums that never fall.
    double bytes = 0;
    double rows = 0;
  };

  void Halve();

  const size_t limit_;
  absl::Duration step_;
  std::vector<Point> points_;
  std::deque<Sample> recent_;
  int64_t last_bytes_ = 0;
  int64_t last_rows_ = 0;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_THROUGHPUT_HISTORY_H_
