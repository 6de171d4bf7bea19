// A column whose values are times or integers, so that ranges of it can be told apart and cut anywhere.
//
// Pure. "Internal" values are TimescaleDB's: microseconds since the Unix epoch for time types, the number itself for
// integers (facts: _timescaledb_functions.create_chunk takes slices in it).
#ifndef HYPERSHIFT_COORDINATOR_TIME_COLUMN_H_
#define HYPERSHIFT_COORDINATOR_TIME_COLUMN_H_

#include <cstdint>
#include <optional>
#include <string>

#include "coordinator/catalog.h"

namespace hypershift {

enum class TimeType { kTimestamptz, kTimestamp, kDate, kInteger };

inline constexpr int64_t kMicrosecondsPerDay = 86'400'000'000;

struct TimeColumn {
  const Table* table = nullptr;
  std::string name;
  TimeType type = TimeType::kTimestamptz;

  // Ranges begin and end at multiples of this: the smallest difference between two values.
  int64_t step() const { return type == TimeType::kDate ? kMicrosecondsPerDay : 1; }
};

// nullopt: a type of another kind. `base_type`: domains looked through.
std::optional<TimeType> TimeTypeOf(Oid base_type);

// An SQL literal of the column's type for an internal value: '2001-01-05 00:00:00+00'::timestamptz, 42.
std::string TimeLiteral(TimeType type, int64_t internal);
// For people: 2001-01-05, 2001-01-05 12:00:00, 42.
std::string TimeDisplay(TimeType type, int64_t internal);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_TIME_COLUMN_H_
