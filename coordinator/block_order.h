// Which block ranges of a table hold rows of which chunk, as far as a sample of its blocks tells: so that a chunk can
// be compressed when those ranges are copied, and not only when all are.
//
// Pure. What it says is an expectation, and may be wrong for rows that the sample has not seen; nothing but the moment
// of a compression may depend on it. Times are internal.
#ifndef HYPERSHIFT_COORDINATOR_BLOCK_ORDER_H_
#define HYPERSHIFT_COORDINATOR_BLOCK_ORDER_H_

#include <cstdint>
#include <map>
#include <set>
#include <vector>

namespace hypershift {

// A row that was looked at.
struct BlockSample {
  int64_t block = 0;
  int64_t time = 0;
};

// The ranges that are expected to hold rows of each chunk, by the chunk's start; ranges count from 0 over all tables.
using RangesOfChunks = std::map<int64_t, std::set<int>>;

class BlockOrder {
 public:
  explicit BlockOrder(int64_t chunk_interval) : chunk_interval_(chunk_interval) {}

  // One table, or one leaf of a partitioned one, in the order in which they are copied. `first_blocks`: of each of its
  // ranges, ascending. `samples`: in the order of the blocks.
  void Add(const std::vector<int64_t>& first_blocks, const std::vector<BlockSample>& samples);

  // The chunks that are expected to be complete while the copy goes on. Empty: the rows don't follow the order of time,
  // so that chunks would be complete at the end only. A chunk whose rows no sample comes near is left out.
  RangesOfChunks EarlyChunks() const;

 private:
  void AddChunks(int64_t from, int64_t to, int first_range, int last_range);

  const int64_t chunk_interval_;
  RangesOfChunks chunks_;
  int ranges_ = 0;
  int64_t samples_ = 0;
  int64_t in_order_ = 0;
};

// The largest part of the samples whose chunks are in order, ascending or descending, whichever has more: their places,
// ascending. The others are strays. O(n log n).
std::vector<int> LongestOrder(const std::vector<BlockSample>& samples, int64_t chunk_interval);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_BLOCK_ORDER_H_
