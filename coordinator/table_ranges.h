// How large the ranges of a table are to be, and how one is cut that knows no chunks: by blocks, or by its key.
//
// Pure.
#ifndef HYPERSHIFT_COORDINATOR_TABLE_RANGES_H_
#define HYPERSHIFT_COORDINATOR_TABLE_RANGES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/planner.h"

namespace hypershift {

inline constexpr int64_t kBlockBytes = 8192;  // Of PostgreSQL.

// What one range of a table of that size aims at.
int64_t RangeBytes(const PlannerInput& input, int64_t table_bytes);

// What of a table of that size each slot may do in one go, so that all end at about the same time.
int64_t ShareOfSlot(const PlannerInput& input, int64_t table_bytes);

// They are disjoint, and cover the table whatever its size has become.
struct TableRange {
  std::string where;  // Empty = the whole table.
  std::string description;
  int64_t first_block = 0;  // Of a range of blocks, which ends where the next begins.
};
using Ranges = std::vector<TableRange>;

// One range without a condition when the table is not split.
Ranges RangesOf(const PlannerInput& input, const Table& table);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_TABLE_RANGES_H_
