// The ranges of one hypertable along its time column, and how they stand: what the web page draws. However many there
// are, an answer holds a bounded number of pieces.
//
// Pure; not thread-safe while ranges are added.
#ifndef HYPERSHIFT_COORDINATOR_RANGE_MAP_H_
#define HYPERSHIFT_COORDINATOR_RANGE_MAP_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "hypershift/v1/types.pb.h"

namespace hypershift {

// The life of a range, in this order; failed can follow any.
enum class RangeStage : uint8_t { kWaiting, kCopying, kCopied, kCompressing, kCompressed, kFailed };
inline constexpr int kRangeStages = 6;
// "waiting", "copying", …
extern const std::array<const char*, kRangeStages> kRangeStageNames;

struct RangeBucket {
  int64_t start = 0;
  int64_t end = 0;
  // Ranges by stage. One that reaches over several buckets is counted in the one where it begins.
  std::array<int64_t, kRangeStages> counts{};
};

class RangeMap {
 public:
  // Takes copies, preparations and compressions of one table; others are ignored.
  void Add(const v1::TaskInfo& task);
  // Once, after the last Add.
  void Finish();

  bool empty() const { return ranges_.empty(); }
  bool integer() const { return integer_; }
  size_t size() const { return ranges_.size(); }
  std::array<int64_t, kRangeStages> Totals() const;
  // One for each range if they are no more than `limit`, else that many of equal time, without the empty ones. In the
  // order of time. A gap is time without rows.
  std::vector<RangeBucket> Buckets(size_t limit) const;

 private:
  struct Range {
    int64_t start;
    int64_t end;
    RangeStage stage;
  };
  struct Chunk {
    int64_t start;
    v1::TaskState::State state;
  };

  std::vector<Range> ranges_;
  std::vector<Chunk> compressions_;
  std::vector<int64_t> chunk_starts_;
  bool integer_ = false;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_RANGE_MAP_H_
