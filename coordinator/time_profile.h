// Where the rows of a table lie along a column: between which values, roughly how many where, and which chunks of a
// future hypertable they fill.
//
// The chunks are exact under the snapshot that the session holds: every row with a finite, non-NULL value lies in one
// of them. One index probe per chunk that holds rows, in one round trip; the table is not read.
#ifndef HYPERSHIFT_COORDINATOR_TIME_PROFILE_H_
#define HYPERSHIFT_COORDINATOR_TIME_PROFILE_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/pg_session.h"
#include "coordinator/block_order.h"
#include "coordinator/time_column.h"

namespace hypershift {

// As the planner's statistics have the values of one table's time column. Either may be empty: bounds of buckets that
// hold equally many rows, ascending; and values that many rows share, ascending, each with the share of all rows that
// have it or one before it here. Rows of these are not counted in the buckets.
struct TimeStatistics {
  double weight = 1;  // Of the table among others that make up one hypertable, in bytes.
  std::vector<int64_t> histogram;
  std::vector<std::pair<int64_t, double>> common;

  bool empty() const { return histogram.size() < 2 && common.empty(); }
  // Share of the table's rows below `value`, 0 to 1.
  double ShareBelow(int64_t value) const;
};

struct TimeProfile {
  bool empty = true;
  bool has_null = false;
  bool has_negative_infinity = false;
  bool has_positive_infinity = false;
  int64_t minimum = 0;  // Internal; of the finite values.
  int64_t maximum = 0;
  std::vector<int64_t> chunk_starts;       // Of chunks that hold rows, ascending.
  std::vector<TimeStatistics> statistics;  // Of the table, or of each of its partitions; without those that have none.
  // Of a table, or of each of its partitions, that is copied by blocks and could be compressed while it is.
  std::map<Oid, std::vector<BlockSample>> block_samples;

  // Share of the rows in [start, end), 0 to 1, by the statistics; by equal shares of the chunks without any.
  double ShareOf(int64_t start, int64_t end, int64_t chunk_interval) const;
  // Where to cut [start, end) into `pieces` of equally many rows: ascending, all inside. Multiples of `step` only, and
  // a value is never cut in two, so there may be fewer. Without statistics the pieces are equally long. How wrong it
  // can be: by the buckets that a piece begins and ends in, 1 % of the table each by default.
  std::vector<int64_t> Cut(int64_t start, int64_t end, int64_t pieces, int64_t step) const;

 private:
  // Share of the rows below `value`.
  double ShareBelow(int64_t value) const;
};

// SQL: the internal value of a column `t`, as a bigint.
std::string InternalTimeSql(TimeType type);

// NULL, infinities, minimum and maximum: a few index probes. Without an index led by the column it would read the
// table.
absl::StatusOr<TimeProfile> ReadTimeBounds(PgSession* session, const TimeColumn& column);
// The highest finite value alone, for an integer time column without an index: what "old" is measured from. Reads the
// whole table.
absl::Status ReadTimeMaximum(PgSession* session, const TimeColumn& column, TimeProfile* profile);
// The statistics, into a profile that ReadTimeBounds has made.
absl::Status ReadTimeStatistics(PgSession* session, const TimeColumn& column, TimeProfile* profile);
// The chunks, likewise. Needs an index led by the column.
absl::Status ReadTimeChunks(PgSession* session, const TimeColumn& column, int64_t chunk_interval, TimeProfile* profile);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_TIME_PROFILE_H_
