#include "coordinator/block_sample.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/names.h"
#include "common/status_macros.h"
#include "coordinator/time_profile.h"

namespace hypershift {
namespace {

constexpr int64_t kBlocksPerSample = 256;
constexpr int64_t kFewestBlocks = 256;
constexpr size_t kBlocksPerStatement = 512;
// More than one, for a block may begin with what was deleted or updated.
constexpr int kRowsPerBlock = 3;
// Low, for the sample decides: 5 % of the rows, older than all others and at the end, take a correlation down to 0.7.
constexpr double kLeastCorrelation = 0.5;

constexpr char kCorrelationSql[] = R"sql(
SELECT s.correlation FROM pg_stats s
 WHERE s.schemaname = $schema AND s.tablename = $table AND s.attname = $column AND NOT s.inherited
   AND s.correlation IS NOT NULL
)sql";

// A scan of these row addresses alone, in every version of PostgreSQL.
constexpr char kSampleSql[] = R"sql(
SELECT ((ctid::text)::point)[0]::bigint, $internal
  FROM (SELECT ctid, $time AS t FROM ONLY $rows WHERE ctid = ANY ('{$addresses}'::tid[])) f
 WHERE $finite
 ORDER BY ctid
)sql";

}  // namespace

std::vector<int64_t> SampledBlocks(int64_t blocks, int64_t most) {
  const int64_t count = std::min({blocks, most, std::max(kFewestBlocks, blocks / kBlocksPerSample)});
  std::vector<int64_t> sampled;
  for (int64_t i = 0; i < count; ++i) sampled.push_back(count == 1 ? 0 : (blocks - 1) * i / (count - 1));
  return sampled;
}

absl::StatusOr<bool> IsKnownUnordered(PgSession* session, const TimeColumn& column, const Table& table) {
  const std::string sql = absl::StrReplaceAll(kCorrelationSql, {{"$schema", QuoteLiteral(table.name.schema)},
                                                                {"$table", QuoteLiteral(table.name.name)},
                                                                {"$column", QuoteLiteral(column.name)}});
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(sql));
  return !rows.empty() && std::abs(rows[0][0].as<double>()) < kLeastCorrelation;
}

absl::StatusOr<std::vector<BlockSample>> SampleBlocks(PgSession* session, const TimeColumn& column, const Table& table,
                                                      const std::vector<int64_t>& blocks) {
  std::vector<BlockSample> samples;
  // Where a random read is said to cost much, all of the table would be read instead.
  HS_RETURN_IF_ERROR(session->Query("SET LOCAL enable_seqscan = off").status());
  for (size_t begin = 0; begin < blocks.size(); begin += kBlocksPerStatement) {
    std::string addresses;
    for (size_t i = begin; i < std::min(begin + kBlocksPerStatement, blocks.size()); ++i) {
      for (int row = 1; row <= kRowsPerBlock; ++row) {
        absl::StrAppend(&addresses, addresses.empty() ? "" : ",", "\"(", blocks[i], ",", row, ")\"");
      }
    }
    const std::string sql = absl::StrReplaceAll(
        kSampleSql, {{"$internal", InternalTimeSql(column.type)},
                     {"$time", QuoteIdentifier(column.name)},
                     {"$rows", table.name.Quoted()},
                     {"$addresses", addresses},
                     {"$finite", column.type == TimeType::kInteger ? "t IS NOT NULL" : "isfinite(t)"}});
    HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(sql));
    for (const auto& row : rows) samples.push_back({row[0].as<int64_t>(), row[1].as<int64_t>()});
  }
  HS_RETURN_IF_ERROR(session->Query("RESET enable_seqscan").status());
  return samples;
}

}  // namespace hypershift
