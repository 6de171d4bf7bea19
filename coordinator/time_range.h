// The bounds of a range or chunk, read back from the description that the planner gave it (TimeDisplay).
//
// Pure; any thread.
#ifndef HYPERSHIFT_COORDINATOR_TIME_RANGE_H_
#define HYPERSHIFT_COORDINATOR_TIME_RANGE_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace hypershift {

// Internal time: see hypertable_spec.h.
struct TimeRange {
  int64_t start = 0;
  std::optional<int64_t> end;
  bool integer = false;
};

// Of "2001-01-05 to 2001-01-06 12:00:00", "-5 to 42" or "chunk from 2001-01-05"; empty if it is nothing like that.
std::optional<TimeRange> ParseTimeRange(absl::string_view description);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_TIME_RANGE_H_
