#include "coordinator/source_sample.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/copy_connection.h"
#include "common/status_macros.h"
#include "coordinator/copy_sql.h"

namespace hypershift {
namespace {

// Less says more of round trips than of reading.
constexpr int64_t kFewestBytes = int64_t{4} << 20;
constexpr absl::Duration kShortestTime = absl::Milliseconds(20);

struct TableSample {
  int64_t rows = 0;
  int64_t bytes = 0;
  bool whole = false;
};

absl::StatusOr<TableSample> ReadUntil(CopyConnection* connection, const Table& table, absl::Time end) {
  HS_ASSIGN_OR_RETURN(CopyReader reader, CopyReader::Start(connection, SourceCopySql(table, {})));
  TableSample sample;
  while (true) {
    HS_ASSIGN_OR_RETURN(const std::optional<absl::string_view> row, reader.Next());
    if (!row.has_value()) {
      sample.whole = true;
      // The last message of the binary format is a trailer.
      if (CopyFormatFor(table) == v1::COPY_FORMAT_BINARY) --sample.rows;
      return sample;
    }
    ++sample.rows;
    sample.bytes += static_cast<int64_t>(row->size());
    // A single row may be hundreds of megabytes.
    if (SystemClock::Get()->Now() >= end) return sample;
  }
}

// What the sampled rows take in the table; without statistics about what COPY sends.
int64_t TableBytes(const Table& table, const TableSample& sample) {
  if (sample.whole) return table.total_bytes;
  if (table.rows < 1) return std::min(sample.bytes, table.total_bytes);
  const double share = std::min(1.0, static_cast<double>(sample.rows) / table.rows);
  return static_cast<int64_t>(share * static_cast<double>(table.total_bytes));
}

}  // namespace

double SourceSample::TableBytesPerSecond() const {
  if (table_bytes < kFewestBytes || elapsed < kShortestTime) return 0;
  return static_cast<double>(table_bytes) / absl::ToDoubleSeconds(elapsed);
}

absl::StatusOr<SourceSample> SampleSource(const ConnectionString& source, const std::vector<const Table*>& tables,
                                          absl::Duration limit) {
  SourceSample sample;
  if (tables.empty()) return sample;
  SessionOptions options;
  options.role = ServerRole::kSource;
  options.application_name = "hypershift plan";
  options.lock_timeout = limit;
  HS_ASSIGN_OR_RETURN(const std::unique_ptr<CopyConnection> connection, CopyConnection::Open(source, options));
  const absl::Duration share = limit / static_cast<int64_t>(tables.size());
  for (const Table* table : tables) {
    // Whatever happens to it or to this program, the server does not read for longer.
    HS_RETURN_IF_ERROR(connection
                           ->Execute(absl::StrCat("BEGIN READ ONLY; SET LOCAL statement_timeout = ",
                                                  absl::ToInt64Milliseconds(2 * limit)))
                           .status());
    const absl::Time start = SystemClock::Get()->Now();
    HS_ASSIGN_OR_RETURN(const TableSample read, ReadUntil(connection.get(), *table, start + share));
    sample.elapsed += SystemClock::Get()->Now() - start;
    HS_RETURN_IF_ERROR(connection->Execute("ROLLBACK").status());
    sample.tables.push_back(table->name);
    sample.rows += read.rows;
    sample.copy_bytes += read.bytes;
    sample.table_bytes += TableBytes(*table, read);
  }
  return sample;
}

}  // namespace hypershift
