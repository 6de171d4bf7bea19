#include "cli/summary.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cli/format.h"
#include "cli/progress_display.h"
#include "cli/text_section.h"
#include "common/proto_time.h"

namespace hypershift {
namespace {

using v1::MigrationInfo;
using v1::TableInfo;
using v1::VerifyResult;

constexpr size_t kMaxTables = 30;

std::string Verdict(const TableInfo& table) {
  switch (table.verify_result()) {
    case VerifyResult::RESULT_EQUAL:
      return "equal";
    case VerifyResult::RESULT_EQUAL_REWRITTEN:
      return "equal*";
    case VerifyResult::RESULT_DIFFERENT:
      return "DIFFERS";
    case VerifyResult::RESULT_NOT_CHECKED:
      return "-";
    default:
      return "";
  }
}

std::string FormatName(v1::CopyFormat format) {
  if (format == v1::COPY_FORMAT_BINARY) return "binary";
  return format == v1::COPY_FORMAT_TEXT ? "text" : "";
}

std::string TimeOf(const TableInfo& table) {
  if (table.phase() == "failed") return "failed";
  if (!table.has_started_at() || !table.has_finished_at()) return SafeText(table.phase());
  return HumanDuration(FromProto(table.finished_at()) - FromProto(table.started_at()));
}

std::vector<std::string> TableRow(const TableInfo& table) {
  return {TableName(table.schema(), table.name()),
          FormatCount(table.rows_done()),
          FormatBytes(table.bytes_done()),
          TimeOf(table),
          SafeText(table.method()),
          FormatCount(table.ranges_done()),
          FormatName(table.format()),
          table.compressed()   ? "compressed"
          : table.hypertable() ? "hypertable"
                               : "table",
          Verdict(table)};
}

// One row for all of these.
std::vector<std::string> RestRow(const std::vector<const TableInfo*>& tables) {
  int64_t rows = 0;
  int64_t bytes = 0;
  int64_t ranges = 0;
  for (const TableInfo* table : tables) {
    rows += table->rows_done();
    bytes += table->bytes_done();
    ranges += table->ranges_done();
  }
  return {absl::StrCat("… ", FormatCount(static_cast<int64_t>(tables.size())), " smaller"),
          FormatCount(rows),
          FormatBytes(bytes),
          "",
          "",
          FormatCount(ranges)};
}

std::vector<std::string> TotalRow(const v1::WatchResponse& last, absl::Time now) {
  const MigrationInfo& migration = last.migration();
  return {Plural(last.tables_size(), "table"),
          FormatCount(migration.rows_done()),
          FormatBytes(migration.bytes_done()),
          HumanDuration(ElapsedTime(migration, now)),
          "",
          FormatCount(migration.ranges_done())};
}

std::string Tables(const v1::WatchResponse& last, int columns, absl::Time now) {
  static const std::vector<TextColumn> kColumns = {{.header = "table", .shrinks = true, .min_width = 10},
                                                   {.header = "rows", .right = true},
                                                   {.header = "bytes", .right = true},
                                                   {.header = "time", .right = true},
                                                   {.header = "split", .droppable = true},
                                                   {.header = "ranges", .right = true, .droppable = true},
                                                   {.header = "format", .optional = true},
                                                   {.header = "stored as"},
                                                   {.header = "verify"}};
  std::vector<const TableInfo*> tables;
  for (const TableInfo& table : last.tables()) tables.push_back(&table);
  std::stable_sort(tables.begin(), tables.end(), [](const TableInfo* a, const TableInfo* b) {
    return std::make_pair(a->bytes_done(), a->rows_done()) > std::make_pair(b->bytes_done(), b->rows_done());
  });
  // A table more costs no more than the line that would leave it out.
  const size_t shown = tables.size() <= kMaxTables + 1 ? tables.size() : kMaxTables;
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < shown; ++i) rows.push_back(TableRow(*tables[i]));
  if (shown < tables.size()) rows.push_back(RestRow({tables.begin() + shown, tables.end()}));
  rows.push_back(TotalRow(last, now));
  return FormatTable(kColumns, rows, columns);
}

// Averages over the whole time; left out for a resumed migration, whose earlier time is not in it.
std::string AverageRate(const MigrationInfo& migration, absl::Time now) {
  const double seconds = absl::ToDoubleSeconds(ElapsedTime(migration, now));
  if (seconds <= 0 || migration.resumed() || migration.rows_done() == 0) return "";
  const double rows_per_second = static_cast<double>(migration.rows_done()) / seconds;
  return absl::StrCat(", ", FormatByteRate(static_cast<double>(migration.bytes_done()) / seconds), " and ",
                      FormatCount(static_cast<int64_t>(rows_per_second)), " rows/s on average");
}

std::string AllBinary(const v1::WatchResponse& last) {
  const bool binary = std::all_of(last.tables().begin(), last.tables().end(),
                                  [](const TableInfo& table) { return table.format() == v1::COPY_FORMAT_BINARY; });
  return binary && last.tables_size() > 0 ? ", all in binary format" : "";
}

std::string Problems(const v1::WatchResponse& last, int columns) {
  TextSection failed("Failed:", "✗", columns);
  TextSection different("Differs from the source:", "✗", columns);
  TextSection rewritten("Equal, but compression rewrote values into equal ones in these columns:", "*", columns);
  TextSection left_out("Left out:", "-", columns);
  TextSection warnings("Warnings:", "!", columns);
  for (const TableInfo& table : last.tables()) {
    const std::string name = TableName(table.schema(), table.name());
    if (table.phase() == "failed") failed.Add(absl::StrCat(name, ": ", table.error()));
    if (table.verify_result() == VerifyResult::RESULT_DIFFERENT) {
      different.Add(absl::StrCat(name, ": ", table.verify_detail()));
    }
    if (table.verify_result() == VerifyResult::RESULT_EQUAL_REWRITTEN) {
      rewritten.Add(absl::StrCat(name, ": ", absl::StrJoin(table.rewritable_columns(), ", ")));
    }
  }
  for (const std::string& line : last.migration().left_out()) left_out.Add(line);
  for (const std::string& line : last.migration().warnings()) warnings.Add(line);
  return absl::StrCat(left_out.Text(), warnings.Text(), rewritten.Text(), different.Text(), failed.Text());
}

}  // namespace

std::string FormatSummary(const v1::WatchResponse& last, int columns) {
  const MigrationInfo& migration = last.migration();
  const absl::Time now = absl::Now();
  std::string text;
  if (last.tables_size() > 0) absl::StrAppend(&text, Tables(last, columns, now), "\n");
  const std::string head =
      absl::StrCat("Migration ", migration.id(), " ", PhaseInWords(migration.phase()), ": ",
                   Plural(migration.rows_done(), "row"), AverageRate(migration, now), AllBinary(last));
  absl::StrAppend(&text, FormatParagraph(head, columns));
  if (!migration.error().empty()) absl::StrAppend(&text, FormatItem("✗", migration.error(), columns));
  return absl::StrCat(text, Problems(last, columns));
}

}  // namespace hypershift
