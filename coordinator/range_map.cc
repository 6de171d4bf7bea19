#include "coordinator/range_map.h"

#include <algorithm>

namespace hypershift {
namespace {

using v1::TaskKind;
using v1::TaskState;

RangeStage StageOfCopy(TaskState::State state) {
  switch (state) {
    case TaskState::STATE_LEASED:
      return RangeStage::kCopying;
    case TaskState::STATE_DONE:
      return RangeStage::kCopied;
    case TaskState::STATE_FAILED:
      return RangeStage::kFailed;
    default:
      return RangeStage::kWaiting;
  }
}

RangeStage StageOfCompression(TaskState::State state) {
  switch (state) {
    case TaskState::STATE_LEASED:
      return RangeStage::kCompressing;
    case TaskState::STATE_DONE:
      return RangeStage::kCompressed;
    case TaskState::STATE_FAILED:
      return RangeStage::kFailed;
    default:
      return RangeStage::kCopied;
  }
}

}  // namespace

const std::array<const char*, kRangeStages> kRangeStageNames = {"waiting",     "copying",    "copied",
                                                                "compressing", "compressed", "failed"};

void RangeMap::Add(const v1::TaskInfo& task) {
  if (!task.has_range_start()) return;
  if (task.kind() == TaskKind::KIND_COPY && task.has_range_end()) {
    ranges_.push_back({task.range_start(), task.range_end(), StageOfCopy(task.state())});
    integer_ = task.range_is_integer();
  } else if (task.kind() == TaskKind::KIND_PREPARE_CHUNK) {
    chunk_starts_.push_back(task.range_start());
  } else if (task.kind() == TaskKind::KIND_COMPRESS) {
    compressions_.push_back({task.range_start(), task.state()});
  }
}

void RangeMap::Finish() {
  const auto by_start = [](const auto& left, const auto& right) { return left.start < right.start; };
  std::sort(ranges_.begin(), ranges_.end(), by_start);
  std::sort(compressions_.begin(), compressions_.end(), by_start);
  std::sort(chunk_starts_.begin(), chunk_starts_.end());
  for (Range& range : ranges_) {
    if (range.stage != RangeStage::kCopied) continue;
    // Its chunk is the last one that begins no later than it does.
    auto chunk = std::upper_bound(chunk_starts_.begin(), chunk_starts_.end(), range.start);
    if (chunk == chunk_starts_.begin()) continue;
    const Chunk wanted{*--chunk, TaskState::STATE_UNSPECIFIED};
    auto compression = std::lower_bound(compressions_.begin(), compressions_.end(), wanted, by_start);
    if (compression == compressions_.end() || compression->start != wanted.start) continue;
    range.stage = StageOfCompression(compression->state);
  }
}

std::array<int64_t, kRangeStages> RangeMap::Totals() const {
  std::array<int64_t, kRangeStages> totals{};
  for (const Range& range : ranges_) ++totals[static_cast<size_t>(range.stage)];
  return totals;
}

std::vector<RangeBucket> RangeMap::Buckets(size_t limit) const {
  std::vector<RangeBucket> buckets;
  if (ranges_.empty() || limit == 0) return buckets;
  const bool each = ranges_.size() <= limit;
  // In floating point: the whole of time does not fit into the difference of two integers.
  const double first = static_cast<double>(ranges_.front().start);
  double last = first;
  for (const Range& range : ranges_) last = std::max(last, static_cast<double>(range.end));
  const double width = std::max((last - first) / static_cast<double>(limit), 1.0);
  int64_t current = -1;
  for (const Range& range : ranges_) {
    const auto number = std::min(static_cast<int64_t>((static_cast<double>(range.start) - first) / width),
                                 static_cast<int64_t>(limit) - 1);
    if (each || number != current) {
      current = number;
      buckets.push_back({range.start, range.end, {}});
    }
    RangeBucket& bucket = buckets.back();
    bucket.end = std::max(bucket.end, range.end);
    ++bucket.counts[static_cast<size_t>(range.stage)];
  }
  return buckets;
}

}  // namespace hypershift
