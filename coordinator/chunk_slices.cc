#include "coordinator/chunk_slices.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"

namespace hypershift {
namespace {

// pg_type.dat
constexpr Oid kInt2Oid = 21;
constexpr Oid kInt4Oid = 23;

std::string JsonString(const std::string& text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string SliceJson(const std::string& column, const Slice& slice) {
  return absl::StrCat(JsonString(column), ": [", slice.start, ", ", slice.end, "]");
}

}  // namespace

Slice TimeSlice(const HypertableSpec& hypertable, int64_t start) {
  Slice slice{start, start + hypertable.chunk_interval};
  int64_t least = std::numeric_limits<int32_t>::min();
  int64_t greatest = std::numeric_limits<int32_t>::max();
  if (hypertable.time_column->base_type == kInt2Oid) {
    least = std::numeric_limits<int16_t>::min();
    greatest = std::numeric_limits<int16_t>::max();
  } else if (hypertable.time_column->base_type != kInt4Oid) {
    // No interval of a bigint that holds values is cut short, nor one of times in any year that people write.
    return slice;
  }
  if (slice.start < least) slice.start = std::numeric_limits<int64_t>::min();
  if (slice.end > greatest) slice.end = std::numeric_limits<int64_t>::max();
  return slice;
}

std::vector<Slice> HashSlices(int number_partitions) {
  // Hashes are from 0 to here. The last partition takes what the division leaves over; and nothing is outside.
  constexpr int64_t kGreatestHash = std::numeric_limits<int32_t>::max();
  const int64_t width = kGreatestHash / number_partitions;
  std::vector<Slice> slices;
  for (int64_t i = 0; i < number_partitions; ++i) slices.push_back({i * width, (i + 1) * width});
  slices.front().start = std::numeric_limits<int64_t>::min();
  slices.back().end = std::numeric_limits<int64_t>::max();
  return slices;
}

std::vector<std::string> ChunkSlices(const HypertableSpec& hypertable, int64_t start) {
  const std::string time = SliceJson(hypertable.time_column->name, TimeSlice(hypertable, start));
  if (hypertable.partitioning_column == nullptr) return {absl::StrCat("{", time, "}")};
  std::vector<std::string> chunks;
  for (const Slice& slice : HashSlices(hypertable.chunks_per_interval())) {
    chunks.push_back(absl::StrCat("{", time, ", ", SliceJson(hypertable.partitioning_column->name, slice), "}"));
  }
  return chunks;
}

double ChunksPerSegment(const HypertableSpec& hypertable, const std::vector<std::string>& segmentby) {
  const Column* column = hypertable.partitioning_column;
  if (column == nullptr || std::find(segmentby.begin(), segmentby.end(), column->name) != segmentby.end()) return 1;
  const double partitions = hypertable.chunks_per_interval();
  return column->distinct >= 1 ? std::min(partitions, column->distinct) : partitions;
}

}  // namespace hypershift
