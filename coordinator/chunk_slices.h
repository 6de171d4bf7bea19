// The slices of a hypertable's dimensions that bound its chunks, as TimescaleDB itself would draw them.
//
// Pure.
#ifndef HYPERSHIFT_COORDINATOR_CHUNK_SLICES_H_
#define HYPERSHIFT_COORDINATOR_CHUNK_SLICES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/hypertable_spec.h"

namespace hypershift {

// From `start` to before `end`: internal time, or values of the hash.
struct Slice {
  int64_t start = 0;
  int64_t end = 0;
};

// Of the time dimension, for the chunk that begins at `start`, a multiple of the interval. Where an integer's type ends
// within the interval, nothing bounds the slice on that side (TimescaleDB, calculate_open_range_default).
Slice TimeSlice(const HypertableSpec& hypertable, int64_t start);

// Of a hash dimension with that many partitions (1 or more), in their order.
std::vector<Slice> HashSlices(int number_partitions);

// What create_chunk takes as `slices`, JSON, for each chunk of the interval that begins at `start`: one, or one for
// each hash partition.
std::vector<std::string> ChunkSlices(const HypertableSpec& hypertable, int64_t start);

// Over how many of an interval's chunks the rows of one segment are spread; `segmentby` as in force on the target. 1 or
// more; by the statistics, so no whole number.
double ChunksPerSegment(const HypertableSpec& hypertable, const std::vector<std::string>& segmentby);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_CHUNK_SLICES_H_
