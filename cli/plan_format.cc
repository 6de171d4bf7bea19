#include "cli/plan_format.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/format.h"
#include "cli/text_section.h"

namespace hypershift {
namespace {

constexpr absl::string_view kUnknown = "?";

std::string NameOf(const TableOutline& table) { return TableName(table.name.schema, table.name.name); }

std::string SplitInWords(SplitMethod method) {
  switch (method) {
    case SplitMethod::kTime:
      return "time";
    case SplitMethod::kCtid:
      return "blocks";
    case SplitMethod::kKey:
      return "key";
    case SplitMethod::kWhole:
      return "whole";
    case SplitMethod::kNone:
      return "not copied";
  }
  return "";
}

std::string StoredAs(const TableOutline& table) {
  if (!table.hypertable.has_value()) return "table";
  return table.hypertable->compress ? "compressed" : "hypertable";
}

std::string OrUnknown(const std::optional<int64_t>& count) {
  return count.has_value() ? FormatCount(*count) : std::string(kUnknown);
}

std::string OrNothing(int64_t count) { return count == 0 ? "" : FormatCount(count); }

std::string Servers(const PlanPreview& preview, int columns) {
  const std::string timescale =
      preview.timescaledb_version.empty() ? "" : absl::StrCat(", TimescaleDB ", preview.timescaledb_version);
  return FormatParagraph(absl::StrCat("Source: ", preview.source, " (PostgreSQL ", preview.source_version / 10000, ")"),
                         columns) +
         FormatParagraph(
             absl::StrCat("Target: ", preview.target, " (PostgreSQL ", preview.target_version / 10000, timescale, ")"),
             columns);
}

std::vector<const TableOutline*> LargestFirst(const PlanOutline& plan) {
  std::vector<const TableOutline*> tables;
  for (const TableOutline& table : plan.tables) tables.push_back(&table);
  std::stable_sort(tables.begin(), tables.end(), [](const TableOutline* a, const TableOutline* b) {
    return a->estimated_bytes > b->estimated_bytes;
  });
  return tables;
}

std::string Tables(const std::vector<const TableOutline*>& tables, int columns) {
  static const std::vector<TextColumn> kColumns = {{.header = "table", .shrinks = true},
                                                   {.header = "split by"},
                                                   {.header = "ranges", .right = true},
                                                   {.header = "rows", .right = true},
                                                   {.header = "bytes", .right = true},
                                                   {.header = "format"},
                                                   {.header = "stored as"}};
  std::vector<std::vector<std::string>> rows;
  int64_t all_ranges = 0;
  int64_t all_rows = 0;
  int64_t all_bytes = 0;
  for (const TableOutline* table : tables) {
    all_ranges += table->ranges;
    all_rows += table->estimated_rows.value_or(0);
    all_bytes += table->estimated_bytes;
    if (!table->not_copied.empty()) {
      rows.push_back({NameOf(*table), SplitInWords(table->method)});
      continue;
    }
    rows.push_back({NameOf(*table), SplitInWords(table->method), FormatCount(table->ranges),
                    OrUnknown(table->estimated_rows), FormatBytes(table->estimated_bytes),
                    table->format == v1::COPY_FORMAT_TEXT ? "text" : "binary", StoredAs(*table)});
  }
  rows.push_back({Plural(static_cast<int64_t>(tables.size()), "table"), "", FormatCount(all_ranges),
                  FormatCount(all_rows), FormatBytes(all_bytes)});
  return FormatTable(kColumns, rows, columns);
}

std::string HashDimension(const HypertableOutline& hypertable) {
  if (hypertable.partitioning_column.empty()) return "";
  return absl::StrCat(hypertable.number_partitions, " by ", SafeText(hypertable.partitioning_column));
}

std::string Hypertables(const std::vector<const TableOutline*>& tables, int columns) {
  static const std::vector<TextColumn> kColumns = {
      {.header = "hypertable", .shrinks = true}, {.header = "time", .shrinks = true},
      {.header = "chunk", .right = true},        {.header = "partitions", .shrinks = true},
      {.header = "chunks", .right = true},       {.header = "direct", .right = true},
      {.header = "afterwards", .right = true},   {.header = "uncompressed", .right = true},
      {.header = "segmentby", .shrinks = true},  {.header = "orderby", .shrinks = true}};
  std::vector<std::vector<std::string>> rows;
  for (const TableOutline* table : tables) {
    if (!table->hypertable.has_value()) continue;
    const HypertableOutline& hypertable = *table->hypertable;
    rows.push_back(
        {NameOf(*table), SafeText(hypertable.time_column), SafeText(hypertable.chunk_interval),
         HashDimension(hypertable), OrUnknown(hypertable.chunks), OrNothing(hypertable.chunks_compressed_directly),
         OrNothing(hypertable.chunks_compressed_afterwards), OrNothing(hypertable.chunks_uncompressed),
         SafeText(absl::StrJoin(hypertable.segmentby, ", ")), SafeText(absl::StrJoin(hypertable.orderby, ", "))});
  }
  if (rows.empty()) return "";
  return absl::StrCat("\n", FormatTable(kColumns, rows, columns),
                      FormatParagraph("Chunks are compressed directly, as their rows arrive; or afterwards, when they "
                                      "are complete; or stay uncompressed.",
                                      columns));
}

// What neither the columns of the tables nor the warnings say.
void AddNotes(const TableOutline& table, TextSection* notes) {
  const std::string name = NameOf(table);
  if (!table.text_columns.empty()) {
    notes->Add(absl::StrCat(name, ": text format, slower than binary: ", absl::StrJoin(table.text_columns, ", "),
                            table.text_columns.size() == 1 ? " has" : " have",
                            " no binary form that another server understands"));
  }
  if (!table.hypertable.has_value()) return;
  const HypertableOutline& hypertable = *table.hypertable;
  if (!hypertable.time_index) {
    const absl::string_view how = !hypertable.compress ? ""
                                  : hypertable.direct  ? "; they are compressed as rows arrive, unsorted, and once "
                                                         "more when the whole table is there"
                                                       : "; they are compressed when the whole table is there";
    const std::string early =
        hypertable.chunks_compressed_early == 0
            ? ""
            : absl::StrCat("; some ", Plural(hypertable.chunks_compressed_early, "chunk"),
                           hypertable.chunks_compressed_early == 1 ? " is" : " are",
                           " expected to be complete before, since the rows lie in the order of time, and ",
                           hypertable.chunks_compressed_early == 1 ? "is" : "are",
                           " compressed while the copy goes on");
    notes->Add(absl::StrCat(name, ": no index on its time: its chunks are known only after the copy", how, early));
  }
  if (hypertable.chunks_uncompressed > 0) {
    notes->Add(absl::StrCat(name, ": ", Plural(hypertable.chunks_uncompressed, "chunk"),
                            hypertable.chunks_uncompressed == 1 ? " stays" : " stay", " uncompressed",
                            hypertable.compress
                                ? absl::StrCat(": younger than `after` (", hypertable.compress_after, ")")
                                : ": its configuration has no `compress`"));
  }
  if (hypertable.chunks_compressed_directly > 0 && !hypertable.sorted) {
    notes->Add(absl::StrCat(name, ": its rows can't be sent as sorted: each chunk is compressed once more at its end"));
  }
  if (hypertable.orderby_assumed) {
    notes->Add(absl::StrCat(name, ": orderby lacks the time column: TimescaleDB is expected to add ",
                            hypertable.orderby.back()));
  }
}

// "public.a, public.b, public.c and 7 more have no statistics …"
void AddUnknownRows(const std::vector<const TableOutline*>& tables, TextSection* notes) {
  std::vector<std::string> names;
  for (const TableOutline* table : tables) {
    if (!table->estimated_rows.has_value()) names.push_back(NameOf(*table));
  }
  if (names.empty()) return;
  const size_t count = names.size();
  names.resize(std::min<size_t>(count, 3));
  notes->Add(absl::StrCat(absl::StrJoin(names, ", "), count > 3 ? absl::StrCat(" and ", count - 3, " more") : "",
                          count == 1 ? " has" : " have",
                          " no statistics, so that the number of rows is not known: ANALYZE on the source"));
}

std::string LaterSteps(const PlanOutline& plan, int columns) {
  struct Words {
    TaskKind::Kind kind;
    absl::string_view one;
    absl::string_view many;
  };
  static constexpr Words kWords[] = {
      {TaskKind::KIND_INDEX, "index", "indexes"},
      {TaskKind::KIND_CONSTRAINT, "constraint", "constraints"},
      {TaskKind::KIND_FOREIGN_KEY, "foreign key", "foreign keys"},
      {TaskKind::KIND_TRIGGER, "trigger, rule, comment or other", "triggers, rules, comments and others"},
      {TaskKind::KIND_MATERIALIZED_VIEW, "materialised view", "materialised views"},
      {TaskKind::KIND_ANALYZE, "table to analyse", "tables to analyse"},
      {TaskKind::KIND_POLICY, "compression policy", "compression policies"},
      {TaskKind::KIND_VERIFY, "range to verify", "ranges to verify"}};
  std::vector<std::string> steps;
  for (const Words& words : kWords) {
    const auto found = plan.tasks.find(words.kind);
    if (found == plan.tasks.end()) continue;
    steps.push_back(absl::StrCat(FormatCount(found->second), " ", found->second == 1 ? words.one : words.many));
  }
  if (steps.empty()) return "";
  return "\n" + FormatParagraph(absl::StrCat("After the rows: ", absl::StrJoin(steps, ", "), "."), columns);
}

std::string WhatWasMeasured(const PlanPreview& preview) {
  const SourceSample& sample = preview.sample;
  if (!preview.sample_problem.empty()) return absl::StrCat("not measured: ", preview.sample_problem);
  if (sample.TableBytesPerSecond() <= 0) {
    return absl::StrCat("too little is there to measure by: ", FormatBytes(sample.table_bytes), " in ",
                        HumanDuration(sample.elapsed));
  }
  std::vector<std::string> names;
  for (const QualifiedName& name : sample.tables) names.push_back(name.Display());
  return absl::StrCat("measured: ", FormatByteRate(sample.TableBytesPerSecond()), " by one session, unsorted (",
                      FormatBytes(sample.table_bytes), " of ", absl::StrJoin(names, ", "), " in ",
                      HumanDuration(sample.elapsed), ", perhaps from the source's cache)");
}

std::string ExpectedTime(const PlanPreview& preview, int columns) {
  TextSection section("Expected time:", "-", columns);
  const std::optional<ExpectedReading> reading = ExpectReading(preview);
  if (reading.has_value() && reading->sessions > 1) {
    section.Add(absl::StrCat("reading the source: ", HumanDuration(reading->at_best), " if each of ", reading->sessions,
                             " sessions is as fast as the one that was measured, ", HumanDuration(reading->at_worst),
                             " if all together are"));
  } else if (reading.has_value()) {
    section.Add(absl::StrCat("reading the source: ", HumanDuration(reading->at_worst)));
  }
  section.Add(WhatWasMeasured(preview));
  section.Add(
      "the target's write rate is not known, for nothing is written there: where it is lower than the source's, it "
      "decides; sorting, indexes and keys come on top");
  return section.Text();
}

}  // namespace

std::optional<ExpectedReading> ExpectReading(const PlanPreview& preview) {
  const double rate = preview.sample.TableBytesPerSecond();
  if (rate <= 0) return std::nullopt;
  int64_t bytes = 0;
  int64_t ranges = 0;
  for (const TableOutline& table : preview.plan.tables) {
    bytes += table.estimated_bytes;
    ranges += table.ranges;
  }
  ExpectedReading reading;
  reading.sessions = static_cast<int>(std::clamp<int64_t>(ranges, 1, std::max(1, preview.parallel)));
  reading.at_worst = absl::Seconds(static_cast<double>(bytes) / rate);
  reading.at_best = reading.at_worst / reading.sessions;
  return reading;
}

std::string FormatPlan(const PlanPreview& preview, int columns) {
  TextSection warnings("Warnings:", "!", columns);
  for (const std::string& line : preview.warnings) warnings.Add(line);
  if (!preview.refusals.empty()) return warnings.Text();
  TextSection not_copied("Not copied:", "-", columns);
  TextSection notes("Notes:", "-", columns);
  TextSection left_out("Left out:", "-", columns);
  const std::vector<const TableOutline*> tables = LargestFirst(preview.plan);
  for (const TableOutline* table : tables) {
    if (!table->not_copied.empty()) not_copied.Add(absl::StrCat(NameOf(*table), ": ", table->not_copied));
    AddNotes(*table, &notes);
  }
  AddUnknownRows(tables, &notes);
  for (const std::string& line : preview.left_out) left_out.Add(line);
  return absl::StrCat(
      Servers(preview, columns), "\n", Tables(tables, columns), Hypertables(tables, columns), not_copied.Text(),
      notes.Text(), LaterSteps(preview.plan, columns),
      absl::StrCat(ExpectedTime(preview, columns), left_out.Text(), warnings.Text(), "\nNothing was written.\n"));
}

}  // namespace hypershift
