#include "coordinator/block_order.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "coordinator/hypertable_spec.h"

namespace hypershift {
namespace {

// Of the samples. Of rows in random order, over more than a few chunks, less than two thirds are in some order.
constexpr double kLeastInOrder = 0.9;
// Of the ranges, when the mean chunk is complete: with rows in order it is a half. Later, early compression gains
// nothing.
constexpr double kLatestMean = 0.9;
// Between two samples. Where more time passes there, most of it is a hole without rows; and there would be a task for
// each chunk of it.
constexpr int64_t kMostChunksBetween = 64;
constexpr int64_t kFarthest = INT64_MAX / 4;

// The longest non-descending subsequence of `values`: places.
std::vector<int> LongestAscending(const std::vector<int64_t>& values) {
  std::vector<int> ends;  // Where the best sequence of each length ends.
  std::vector<int> before(values.size(), -1);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto at = std::upper_bound(ends.begin(), ends.end(), values[i], [&](int64_t value, int place) {
      return value < values[static_cast<size_t>(place)];
    });
    if (at != ends.begin()) before[i] = *(at - 1);
    if (at == ends.end()) {
      ends.push_back(static_cast<int>(i));
    } else {
      *at = static_cast<int>(i);
    }
  }
  std::vector<int> places;
  for (int place = ends.empty() ? -1 : ends.back(); place >= 0; place = before[static_cast<size_t>(place)]) {
    places.push_back(place);
  }
  std::reverse(places.begin(), places.end());
  return places;
}

}  // namespace

std::vector<int> LongestOrder(const std::vector<BlockSample>& samples, int64_t chunk_interval) {
  std::vector<int64_t> chunks;
  chunks.reserve(samples.size());
  // Their numbers, for which there is always a negative.
  for (const BlockSample& sample : samples) chunks.push_back(ChunkStart(sample.time, chunk_interval) / chunk_interval);
  std::vector<int> ascending = LongestAscending(chunks);
  for (int64_t& chunk : chunks) chunk = -chunk;
  std::vector<int> descending = LongestAscending(chunks);
  return ascending.size() >= descending.size() ? ascending : descending;
}

void BlockOrder::Add(const std::vector<int64_t>& first_blocks, const std::vector<BlockSample>& samples) {
  const int first_range = ranges_;
  ranges_ += static_cast<int>(first_blocks.size());
  if (first_blocks.empty()) return;
  const auto range_of = [&](const BlockSample& sample) {
    const auto after = std::upper_bound(first_blocks.begin() + 1, first_blocks.end(), sample.block);
    return first_range + static_cast<int>(after - first_blocks.begin()) - 1;
  };
  // An integer may lie where a chunk would end beyond what an integer can be.
  std::vector<BlockSample> ordered;
  std::copy_if(samples.begin(), samples.end(), std::back_inserter(ordered),
               [](const BlockSample& sample) { return std::abs(sample.time / 2) < kFarthest; });
  if (ordered.empty()) return;
  // In a single range it does not matter what lies where.
  if (first_blocks.size() == 1) {
    std::sort(ordered.begin(), ordered.end(),
              [](const BlockSample& a, const BlockSample& b) { return a.time < b.time; });
  }
  const std::vector<int> places = LongestOrder(ordered, chunk_interval_);
  samples_ += static_cast<int64_t>(ordered.size());
  in_order_ += static_cast<int64_t>(places.size());
  // From each sample to the next but one: rows that came a little late lie behind the first of the next chunk.
  for (size_t i = 0; i < places.size(); ++i) {
    const BlockSample& from = ordered[static_cast<size_t>(places[i])];
    const BlockSample& to = ordered[static_cast<size_t>(places[std::min(i + 2, places.size() - 1)])];
    const auto [first, last] = std::minmax({range_of(from), range_of(to)});
    AddChunks(from.time, to.time, first, last);
  }
  // A stray shows that its range holds rows of its chunk, and nothing of the chunks between.
  size_t next = 0;
  for (size_t i = 0; i < ordered.size(); ++i) {
    if (next < places.size() && static_cast<size_t>(places[next]) == i) {
      ++next;
    } else {
      AddChunks(ordered[i].time, ordered[i].time, range_of(ordered[i]), range_of(ordered[i]));
    }
  }
}

void BlockOrder::AddChunks(int64_t from, int64_t to, int first_range, int last_range) {
  const auto [first, last] = std::minmax({ChunkStart(from, chunk_interval_), ChunkStart(to, chunk_interval_)});
  const auto add = [&](int64_t chunk) {
    std::set<int>& ranges = chunks_[chunk];
    for (int range = first_range; range <= last_range; ++range) ranges.insert(range);
  };
  // Numbers of chunks, so that nothing overflows.
  if (last / chunk_interval_ - first / chunk_interval_ > kMostChunksBetween) {
    add(first);
    add(last);
    return;
  }
  for (int64_t chunk = first;; chunk += chunk_interval_) {
    add(chunk);
    if (chunk == last) return;
  }
}

RangesOfChunks BlockOrder::EarlyChunks() const {
  if (ranges_ < 2 || chunks_.empty()) return {};
  if (static_cast<double>(in_order_) < kLeastInOrder * static_cast<double>(samples_)) return {};
  double complete = 0;
  for (const auto& [chunk, ranges] : chunks_) complete += static_cast<double>(*ranges.rbegin() + 1) / ranges_;
  return complete <= kLatestMean * static_cast<double>(chunks_.size()) ? chunks_ : RangesOfChunks();
}

}  // namespace hypershift
