#include "coordinator/time_profile.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/names.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr char kBoundsSql[] = R"sql(
SELECT (SELECT 1 FROM $rows WHERE $time IS NULL LIMIT 1),
       $lowest_not_finite, $highest_not_finite,
       (SELECT $internal FROM (SELECT $time AS t FROM $rows WHERE $finite ORDER BY $time ASC LIMIT 1) f),
       (SELECT $internal FROM (SELECT $time AS t FROM $rows WHERE $finite ORDER BY $time DESC LIMIT 1) f)
)sql";

constexpr char kMaximumSql[] = R"sql(
SELECT $internal FROM (SELECT max($time) AS t FROM $rows WHERE $finite) f
)sql";

// Hops from one chunk that holds rows to the next: the first row at or after a chunk's end tells where the next begins.
constexpr char kChunksSql[] = R"sql(
WITH RECURSIVE chunk(start) AS (
  SELECT floor($minimum::numeric / $interval)::bigint * $interval
  UNION ALL
  SELECT (SELECT floor(($internal)::numeric / $interval)::bigint * $interval
            FROM (SELECT $time AS t FROM $rows WHERE $time >= $next AND $finite ORDER BY $time LIMIT 1) f)
    FROM chunk
   WHERE chunk.start IS NOT NULL AND chunk.start::numeric + $interval <= $maximum
)
SELECT start FROM chunk WHERE start IS NOT NULL
)sql";

// Of the table or its leaves: a partitioned table's own statistics are as old as the last ANALYZE that somebody ran by
// hand. A leaf without statistics is taken for evenly filled.
// OFFSET 0 keeps the values of other tables' columns, of other types, from being looked at first.
constexpr char kHistogramSql[] = R"sql(
SELECT s.oid, $internal
  FROM ($statistics) s, unnest(s.histogram_bounds::text::$type[]) AS bounds(t)
 WHERE $bound_finite
)sql";

constexpr char kCommonSql[] = R"sql(
SELECT s.oid, $internal, share
  FROM ($statistics) s, unnest(s.most_common_vals::text::$type[], s.most_common_freqs) AS common(t, share)
 WHERE $bound_finite
)sql";

constexpr char kStatisticsSql[] = R"sql(
SELECT c.oid, s.*
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = $column_literal
                     AND NOT s.inherited
 WHERE c.oid = ANY ($tables)
OFFSET 0
)sql";

constexpr char kLeavesSql[] = R"sql(
SELECT c.oid, format('%I.%I', n.nspname, c.relname), pg_table_size(c.oid)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY ($tables)
)sql";

constexpr char kLeafBoundsSql[] = R"sql(
SELECT $internal
  FROM (SELECT min($time) AS t FROM ONLY $leaf WHERE $finite UNION ALL SELECT max($time) FROM ONLY $leaf WHERE $finite) f
 WHERE t IS NOT NULL
)sql";

std::string TypeName(TimeType type) {
  switch (type) {
    case TimeType::kTimestamptz:
      return "timestamptz";
    case TimeType::kTimestamp:
      return "timestamp";
    case TimeType::kDate:
      return "date";
    case TimeType::kInteger:
      return "bigint";
  }
  return "bigint";
}

// The value of the column's type at the end of `chunk`, whose start is internal. In UTC, where every day has 24 hours.
std::string ChunkEndSql(TimeType type, int64_t chunk_interval) {
  std::string end = absl::StrCat("(chunk.start + ", chunk_interval, ")");
  switch (type) {
    case TimeType::kInteger:
      return end;
    case TimeType::kDate:
      return absl::StrCat("(date '1970-01-01' + (", end, " / 86400000000)::int)");
    default:
      return absl::StrCat("('epoch'::", TypeName(type), " + make_interval(days => (", end, " / 86400000000)::int) + (",
                          end, " % 86400000000) * interval '1 microsecond')");
  }
}

std::string Fill(const char* sql, const TimeColumn& column, const TimeProfile& profile) {
  const std::string time = QuoteIdentifier(column.name);
  const bool partitioned = column.table->kind == 'p';
  const std::string rows = absl::StrCat(partitioned ? "" : "ONLY ", column.table->name.Quoted());
  const std::vector<Oid> tables = partitioned ? column.table->leaves : std::vector<Oid>{column.table->oid};
  const std::string type = TypeName(column.type);
  const bool integer = column.type == TimeType::kInteger;
  const auto has_infinity = [&](const std::string& sign) {
    return integer
               ? std::string("NULL")
               : absl::StrCat("(SELECT 1 FROM ", rows, " WHERE ", time, " = '", sign, "infinity'::", type, " LIMIT 1)");
  };
  const std::string finite = integer
                                 ? absl::StrCat(time, " IS NOT NULL")
                                 : absl::StrCat(time, " > '-infinity'::", type, " AND ", time, " < 'infinity'::", type);
  return absl::StrReplaceAll(sql, {
                                      {"$column_literal", QuoteLiteral(column.name)},
                                      {"$lowest_not_finite", has_infinity("-")},
                                      {"$highest_not_finite", has_infinity("")},
                                      {"$bound_finite", integer ? "true" : "isfinite(t)"},
                                      {"$finite", finite},
                                      {"$internal", InternalTimeSql(column.type)},
                                      {"$minimum", absl::StrCat(profile.minimum)},
                                      {"$maximum", absl::StrCat(profile.maximum)},
                                      {"$type", type},
                                      {"$time", time},
                                      {"$tables", absl::StrCat("'{", absl::StrJoin(tables, ","), "}'::oid[]")},
                                      {"$rows", rows},
                                  });
}

std::string FillStatistics(const char* sql, const TimeColumn& column, const TimeProfile& profile) {
  return Fill(absl::StrReplaceAll(sql, {{"$statistics", kStatisticsSql}}).c_str(), column, profile);
}

// One index probe at each end of a leaf that has no statistics.
absl::Status WeighLeaves(PgSession* session, const TimeColumn& column, const TimeProfile& profile,
                         std::map<Oid, TimeStatistics>* statistics) {
  HS_ASSIGN_OR_RETURN(const pqxx::result leaves, session->Query(Fill(kLeavesSql, column, profile)));
  for (const auto& row : leaves) {
    TimeStatistics& leaf = (*statistics)[row[0].as<Oid>()];
    leaf.weight = row[2].as<double>();
    if (!leaf.empty()) continue;
    HS_ASSIGN_OR_RETURN(
        const pqxx::result bounds,
        session->Query(absl::StrReplaceAll(Fill(kLeafBoundsSql, column, profile), {{"$leaf", row[1].c_str()}})));
    for (const auto& bound : bounds) leaf.histogram.push_back(bound[0].as<int64_t>());
  }
  return absl::OkStatus();
}

}  // namespace

std::string InternalTimeSql(TimeType type) {
  switch (type) {
    case TimeType::kInteger:
      return "t::bigint";
    case TimeType::kDate:
      return "(t - date '1970-01-01')::bigint * 86400000000";
    default:
      return "round(extract(epoch FROM t)::numeric * 1000000)::bigint";
  }
}

double TimeStatistics::ShareBelow(int64_t value) const {
  const double all_common = common.empty() ? 0 : common.back().second;
  const auto next = std::lower_bound(common.begin(), common.end(), value,
                                     [](const auto& entry, int64_t wanted) { return entry.first < wanted; });
  const double common_below = next == common.begin() ? 0 : (next - 1)->second;
  if (histogram.size() < 2) return all_common > 0 ? common_below / all_common : 0;
  double below = 1;
  const auto upper = std::upper_bound(histogram.begin(), histogram.end(), value);
  if (upper == histogram.begin()) {
    below = 0;
  } else if (upper != histogram.end()) {
    const auto lower = upper - 1;
    const double width = static_cast<double>(*upper) - static_cast<double>(*lower);
    const double within = width > 0 ? (static_cast<double>(value) - static_cast<double>(*lower)) / width : 0;
    below = (static_cast<double>(lower - histogram.begin()) + within) / static_cast<double>(histogram.size() - 1);
  }
  return common_below + std::max(0.0, 1 - all_common) * below;
}

double TimeProfile::ShareBelow(int64_t value) const {
  double below = 0;
  double all = 0;
  for (const TimeStatistics& part : statistics) {
    below += part.weight * part.ShareBelow(value);
    all += part.weight;
  }
  return all > 0 ? below / all : 0;
}

double TimeProfile::ShareOf(int64_t start, int64_t end, int64_t chunk_interval) const {
  if (!statistics.empty()) return ShareBelow(end) - ShareBelow(start);
  const double chunks = std::max<double>(1, static_cast<double>(chunk_starts.size()));
  return std::min(1.0, static_cast<double>(end - start) / static_cast<double>(chunk_interval) / chunks);
}

std::vector<int64_t> TimeProfile::Cut(int64_t start, int64_t end, int64_t pieces, int64_t step) const {
  const double before = ShareBelow(start);
  const double inside = ShareBelow(end) - before;
  std::vector<int64_t> cuts;
  for (int64_t i = 1; i < pieces; ++i) {
    int64_t cut = start + (end - start) / pieces * i;
    if (inside > 0) {
      // The first value below which there are enough rows.
      const double wanted = before + inside * static_cast<double>(i) / static_cast<double>(pieces);
      cut = start;
      for (int64_t most = end; cut < most;) {
        const int64_t middle = cut + (most - cut) / 2;
        if (ShareBelow(middle) >= wanted) {
          most = middle;
        } else {
          cut = middle + 1;
        }
      }
    }
    const int64_t past = ((cut % step) + step) % step;
    if (past > 0) cut += step - past;
    if (cut > (cuts.empty() ? start : cuts.back()) && cut < end) cuts.push_back(cut);
  }
  return cuts;
}

absl::StatusOr<TimeProfile> ReadTimeBounds(PgSession* session, const TimeColumn& column) {
  TimeProfile profile;
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(Fill(kBoundsSql, column, profile)));
  const pqxx::row row = rows[0];
  profile.has_null = !row[0].is_null();
  profile.has_negative_infinity = !row[1].is_null();
  profile.has_positive_infinity = !row[2].is_null();
  profile.empty = row[3].is_null();
  if (!profile.empty) {
    profile.minimum = row[3].as<int64_t>();
    profile.maximum = row[4].as<int64_t>();
  }
  return profile;
}

absl::Status ReadTimeMaximum(PgSession* session, const TimeColumn& column, TimeProfile* profile) {
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(Fill(kMaximumSql, column, *profile)));
  if (!rows[0][0].is_null()) profile->maximum = rows[0][0].as<int64_t>();
  return absl::OkStatus();
}

absl::Status ReadTimeStatistics(PgSession* session, const TimeColumn& column, TimeProfile* profile) {
  profile->statistics.clear();
  if (profile->empty) return absl::OkStatus();
  std::map<Oid, TimeStatistics> statistics;
  HS_ASSIGN_OR_RETURN(const pqxx::result bounds, session->Query(FillStatistics(kHistogramSql, column, *profile)));
  for (const auto& row : bounds) statistics[row[0].as<Oid>()].histogram.push_back(row[1].as<int64_t>());
  HS_ASSIGN_OR_RETURN(const pqxx::result common, session->Query(FillStatistics(kCommonSql, column, *profile)));
  for (const auto& row : common) {
    statistics[row[0].as<Oid>()].common.emplace_back(row[1].as<int64_t>(), row[2].as<double>());
  }
  if (column.table->kind == 'p') HS_RETURN_IF_ERROR(WeighLeaves(session, column, *profile, &statistics));
  for (auto& [oid, table] : statistics) {
    std::sort(table.histogram.begin(), table.histogram.end());
    std::sort(table.common.begin(), table.common.end());
    double sum = 0;
    for (auto& [value, share] : table.common) share = sum += share;
    if (table.empty()) continue;
    profile->statistics.push_back(std::move(table));
  }
  return absl::OkStatus();
}

absl::Status ReadTimeChunks(PgSession* session, const TimeColumn& column, int64_t chunk_interval,
                            TimeProfile* profile) {
  profile->chunk_starts.clear();
  if (profile->empty) return absl::OkStatus();
  const std::string sql = absl::StrReplaceAll(
      kChunksSql, {{"$interval", absl::StrCat(chunk_interval)}, {"$next", ChunkEndSql(column.type, chunk_interval)}});
  HS_ASSIGN_OR_RETURN(const pqxx::result chunks, session->Query(Fill(sql.c_str(), column, *profile)));
  for (const auto& row : chunks) profile->chunk_starts.push_back(row[0].as<int64_t>());
  return absl::OkStatus();
}

}  // namespace hypershift
