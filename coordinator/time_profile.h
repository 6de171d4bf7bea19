// Where the rows of a future hypertable lie along its time column: which chunks they fill, and roughly how many rows
// each.
//
// The chunks are exact under the snapshot that the session holds: every row with a finite, non-NULL time lies in one of
// them. One index probe per chunk that holds rows, in one round trip; the table is not read.
#ifndef HYPERSHIFT_COORDINATOR_TIME_PROFILE_H_
#define HYPERSHIFT_COORDINATOR_TIME_PROFILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/pg_session.h"
#include "coordinator/hypertable_spec.h"

namespace hypershift {

struct TimeProfile {
  bool empty = true;
  bool has_null = false;
  bool has_negative_infinity = false;
  bool has_positive_infinity = false;
  int64_t minimum = 0;  // Internal; of the finite values.
  int64_t maximum = 0;
  std::vector<int64_t> chunk_starts;  // Of chunks that hold rows, ascending.
  // Bounds of buckets that hold equally many rows, as the planner's statistics have them; may be empty.
  std::vector<int64_t> histogram;

  // Share of the rows in [start, end), 0 to 1, by the histogram; by equal shares of the chunks without one.
  double ShareOf(int64_t start, int64_t end, int64_t chunk_interval) const;
};

// NULL, infinities, minimum and maximum. Without a time index only what statistics and constraints can tell.
absl::StatusOr<TimeProfile> ReadTimeBounds(PgSession* session, const HypertableSpec& hypertable);
// The highest finite value alone, for an integer time column without an index: what "old" is measured from. Reads the
// whole table.
absl::Status ReadTimeMaximum(PgSession* session, const HypertableSpec& hypertable, TimeProfile* profile);
// The chunks and the histogram, into a profile that ReadTimeBounds has made. Needs a time index.
absl::Status ReadTimeChunks(PgSession* session, const HypertableSpec& hypertable, TimeProfile* profile);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_TIME_PROFILE_H_
