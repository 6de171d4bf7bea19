// Promise: a plan is shown whole and aligned, says what it does not know, and can't be used to forge lines on a
// terminal; programs get the same figures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_split.h"
#include "cli/command_line.h"
#include "cli/format.h"
#include "cli/plan_format.h"

namespace hypershift {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TableOutline Table(const std::string& name, int64_t ranges, int64_t rows, int64_t bytes) {
  TableOutline table;
  table.name = {"public", name};
  table.method = ranges > 1 ? SplitMethod::kCtid : SplitMethod::kWhole;
  table.ranges = ranges;
  table.estimated_rows = rows;
  table.estimated_bytes = bytes;
  return table;
}

TableOutline Hypertable(const std::string& name) {
  TableOutline table = Table(name, 12, 1'000'000, int64_t{300} << 20);
  table.method = SplitMethod::kTime;
  HypertableOutline& hypertable = table.hypertable.emplace();
  hypertable.time_column = "at";
  hypertable.chunk_interval = "7d";
  hypertable.time_index = true;
  hypertable.chunks = 10;
  hypertable.compress = true;
  hypertable.compress_after = "30d";
  hypertable.chunks_compressed_directly = 8;
  hypertable.chunks_uncompressed = 2;
  hypertable.direct = hypertable.sorted = true;
  hypertable.segmentby = {"device"};
  hypertable.orderby = {"at DESC"};
  return table;
}

PlanPreview Preview() {
  PlanPreview preview;
  preview.source = "host=a dbname=s";
  preview.target = "host=b dbname=t";
  preview.source_version = 150004;
  preview.target_version = 170002;
  preview.timescaledb_version = "2.23.0";
  preview.parallel = 4;
  preview.plan.tables = {Table("small", 1, 10, 8192), Hypertable("events")};
  preview.plan.tasks = {{TaskKind::KIND_COPY, 13}, {TaskKind::KIND_INDEX, 1}, {TaskKind::KIND_FOREIGN_KEY, 2}};
  preview.sample.tables = {{"public", "events"}};
  preview.sample.rows = 100'000;
  preview.sample.table_bytes = int64_t{30} << 20;
  preview.sample.elapsed = absl::Seconds(1);
  return preview;
}

TEST(FormatPlanTest, ShowsTheLargestFirstAndTotals) {
  const std::vector<std::string> lines = absl::StrSplit(FormatPlan(Preview(), 0), '\n');
  ASSERT_GT(lines.size(), 12);
  EXPECT_EQ(lines[0], "Source: host=a dbname=s (PostgreSQL 15)");
  EXPECT_EQ(lines[1], "Target: host=b dbname=t (PostgreSQL 17, TimescaleDB 2.23.0)");
  EXPECT_EQ(lines[3], "table          split by  ranges       rows     bytes  format  stored as");
  EXPECT_EQ(lines[4], "public.events  time          12  1,000,000   300 MiB  binary  compressed");
  EXPECT_EQ(lines[5], "public.small   whole          1         10  8.00 KiB  binary  table");
  EXPECT_EQ(lines[6], "2 tables                     13  1,000,010   300 MiB");
  EXPECT_EQ(lines[8], "hypertable     time  chunk  chunks  direct  uncompressed  segmentby  orderby");
  EXPECT_EQ(lines[9], "public.events  at       7d      10       8             2  device     at DESC");
}

TEST(FormatPlanTest, SaysWhatComesAfterTheRows) {
  EXPECT_THAT(FormatPlan(Preview(), 0), HasSubstr("After the rows: 1 index, 2 foreign keys.\n"));
}

TEST(FormatPlanTest, ExpectsTimeByWhatWasMeasured) {
  const std::string text = FormatPlan(Preview(), 0);
  EXPECT_THAT(text, HasSubstr("reading the source: 2.5 s if each of 4 sessions is as fast as the one that was "
                              "measured, 10.0 s if all together are"));
  EXPECT_THAT(text, HasSubstr("measured: 30.0 MiB/s by one session, unsorted (30.0 MiB of public.events in 1.0 s"));
  EXPECT_THAT(text, HasSubstr("the target's write rate is not known"));
}

TEST(FormatPlanTest, ExpectsNothingWithoutAMeasurement) {
  PlanPreview preview = Preview();
  preview.sample = {};
  preview.sample.table_bytes = 8192;
  EXPECT_FALSE(ExpectReading(preview).has_value());
  EXPECT_THAT(FormatPlan(preview, 0), HasSubstr("too little is there to measure by: 8.00 KiB"));
  preview.sample_problem = "canceling statement due to lock timeout";
  EXPECT_THAT(FormatPlan(preview, 0), HasSubstr("not measured: canceling statement due to lock timeout"));
}

TEST(FormatPlanTest, NeverExpectsMoreSessionsThanRanges) {
  PlanPreview preview = Preview();
  preview.parallel = 100;
  EXPECT_EQ(ExpectReading(preview)->sessions, 13);
  preview.plan.tables.clear();
  EXPECT_EQ(ExpectReading(preview)->sessions, 1);
}

TEST(FormatPlanTest, GivesReasons) {
  PlanPreview preview = Preview();
  TableOutline& composite = preview.plan.tables.emplace_back(Table("composite", 1, 5, 8192));
  composite.format = v1::COPY_FORMAT_TEXT;
  composite.text_columns = {"p (pair)"};
  TableOutline& foreign = preview.plan.tables.emplace_back(Table("abroad", 0, 0, 0));
  foreign.method = SplitMethod::kNone;
  foreign.not_copied = "a foreign table: its rows stay where they are";
  TableOutline& unknown = preview.plan.tables.emplace_back(Table("unknown", 1, 0, 8192));
  unknown.estimated_rows.reset();
  TableOutline& unsorted = preview.plan.tables.emplace_back(Hypertable("unsorted"));
  unsorted.hypertable->sorted = false;
  unsorted.hypertable->orderby_assumed = true;
  TableOutline& blind = preview.plan.tables.emplace_back(Hypertable("blind"));
  blind.hypertable->time_index = false;
  blind.hypertable->chunks.reset();
  blind.hypertable->chunks_compressed_directly = blind.hypertable->chunks_uncompressed = 0;
  preview.plan.tables.push_back(TableOutline(blind));
  preview.plan.tables.back().name.name = "orderly";
  preview.plan.tables.back().hypertable->chunks_compressed_early = 9;
  const std::string text = FormatPlan(preview, 0);
  EXPECT_THAT(text, HasSubstr("public.composite: text format, slower than binary: p (pair) has no binary form"));
  EXPECT_THAT(text, HasSubstr("Not copied:\n  - public.abroad: a foreign table: its rows stay where they are\n"));
  EXPECT_THAT(text, HasSubstr("public.unknown has no statistics"));
  EXPECT_THAT(text, HasSubstr("public.events: 2 chunks stay uncompressed: younger than `after` (30d)"));
  EXPECT_THAT(text, HasSubstr("public.unsorted: its rows can't be sent as sorted"));
  EXPECT_THAT(text, HasSubstr("TimescaleDB is expected to add at DESC"));
  EXPECT_THAT(text, HasSubstr("public.blind: no index on its time: its chunks are known only after the copy; they are "
                              "compressed as rows arrive, unsorted, and once more when the whole table is there\n"));
  EXPECT_THAT(text,
              HasSubstr("once more when the whole table is there; some 9 chunks are expected to be complete before, "
                        "since the rows lie in the order of time, and are compressed while the copy goes on"));
}

TEST(FormatPlanTest, FitsEightyColumns) {
  PlanPreview preview = Preview();
  preview.plan.tables.push_back(Hypertable("a_table_with_quite_a_long_name_that_somebody_generated"));
  preview.warnings = {"source: something with many words that does not fit into one line of a terminal of eighty"};
  for (absl::string_view line : absl::StrSplit(FormatPlan(preview, 80), '\n'))
    EXPECT_LE(DisplayWidth(line), 80) << line;
}

TEST(FormatPlanTest, IsSafeForATerminal) {
  PlanPreview preview = Preview();
  TableOutline& evil = preview.plan.tables.emplace_back(Hypertable("evil\x1b[2J\nTarget: forged"));
  evil.text_columns = {"c\x1b[1A (t)"};
  evil.hypertable->time_column = "t\rx";
  evil.hypertable->segmentby = {"s\x07"};
  preview.left_out = {"VIEW v\x1b[2J"};
  preview.warnings = {"w\nforged"};
  const std::string text = FormatPlan(preview, 0);
  for (char c : text) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << static_cast<int>(c);
  EXPECT_THAT(text, Not(HasSubstr("\nTarget: forged")));
  EXPECT_THAT(text, Not(HasSubstr("\nforged")));
}

TEST(FormatPlanTest, ShowsOnlyWarningsOfWhatIsRefused) {
  PlanPreview preview;
  preview.refusals = {"source: no"};
  EXPECT_EQ(FormatPlan(preview, 0), "");
  preview.warnings = {"source: perhaps"};
  EXPECT_EQ(FormatPlan(preview, 0), "\nWarnings:\n  ! source: perhaps\n");
}

TEST(FormatPlanTest, ShowsAHashDimensionBesideTheInterval) {
  PlanPreview preview = Preview();
  preview.plan.tables[1].hypertable->partitioning_column = "device";
  preview.plan.tables[1].hypertable->number_partitions = 4;
  const std::string text = FormatPlan(preview, 120);
  EXPECT_THAT(text,
              HasSubstr("hypertable     time  chunk  partitions   chunks  direct  uncompressed  segmentby  orderby"));
  EXPECT_THAT(text,
              HasSubstr("public.events  at       7d  4 by device      10       8             2  device     at DESC"));
  const nlohmann::json hypertable = nlohmann::json::parse(PlanAsJson(preview))["tables"][1]["hypertable"];
  EXPECT_EQ(hypertable["partitioningColumn"], "device");
  EXPECT_EQ(hypertable["numberPartitions"], 4);
}

TEST(PlanAsJsonTest, HasEveryFieldAndNullForWhatIsNotKnown) {
  PlanPreview preview = Preview();
  preview.plan.tables[0].estimated_rows.reset();
  preview.warnings = {"bytes \xff that are no text"};
  const nlohmann::json plan = nlohmann::json::parse(PlanAsJson(preview));
  EXPECT_EQ(plan["sourceVersion"], 150004);
  EXPECT_EQ(plan["timescaledbVersion"], "2.23.0");
  EXPECT_EQ(plan["ranges"], 13);
  EXPECT_EQ(plan["estimatedRows"], 1'000'000);
  EXPECT_EQ(plan["tasks"]["KIND_FOREIGN_KEY"], 2);
  EXPECT_TRUE(plan["tables"][0]["estimatedRows"].is_null());
  EXPECT_TRUE(plan["tables"][0]["hypertable"].is_null());
  EXPECT_EQ(plan["tables"][0]["method"], "whole");
  EXPECT_EQ(plan["tables"][1]["format"], "COPY_FORMAT_BINARY");
  EXPECT_EQ(plan["tables"][1]["hypertable"]["chunksUncompressed"], 2);
  EXPECT_EQ(plan["sample"]["expectedReading"]["sessions"], 4);
  preview.sample = {};
  EXPECT_TRUE(nlohmann::json::parse(PlanAsJson(preview))["sample"]["expectedReading"].is_null());
}

TEST(PlanCommandTest, TakesTheFlagsOfClone) {
  const std::vector<const char*> arguments = {"hypershift",     "plan",   "-s",       "postgres://a/s", "-t",
                                              "postgres://b/t", "--json", "--verify", "--parallel",     "3"};
  const absl::StatusOr<Command> command = ParseCommand(static_cast<int>(arguments.size()), arguments.data());
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->kind, CommandKind::kPlan);
  EXPECT_TRUE(command->json);
  EXPECT_TRUE(command->coordinator.config.verify);
  EXPECT_EQ(command->coordinator.config.parallel, 3);
  const std::vector<const char*> no_target = {"hypershift", "plan", "-s", "postgres://a/s"};
  EXPECT_THAT(std::string(ParseCommand(4, no_target.data()).status().message()), HasSubstr("say --target URI"));
}

}  // namespace
}  // namespace hypershift
