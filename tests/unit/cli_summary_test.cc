// Promise: the summary says what moved, how fast, what was left out and why, and every failure and difference.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/format.h"
#include "cli/summary.h"
#include "common/proto_time.h"

namespace hypershift {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const absl::Time kStart = absl::FromUnixSeconds(1700000000);

v1::TableInfo* AddTable(const std::string& name, int64_t rows, int64_t bytes, v1::WatchResponse* last) {
  v1::TableInfo* table = last->add_tables();
  table->set_schema("public");
  table->set_name(name);
  table->set_phase("done");
  table->set_method("time");
  table->set_format(v1::COPY_FORMAT_BINARY);
  table->set_ranges_total(31);
  table->set_ranges_done(31);
  table->set_rows_done(rows);
  table->set_bytes_done(bytes);
  *table->mutable_started_at() = ToProto(kStart);
  *table->mutable_finished_at() = ToProto(kStart + absl::Milliseconds(12300));
  v1::MigrationInfo* migration = last->mutable_migration();
  migration->set_rows_done(migration->rows_done() + rows);
  migration->set_bytes_done(migration->bytes_done() + bytes);
  migration->set_ranges_done(migration->ranges_done() + 31);
  return table;
}

v1::WatchResponse Ended() {
  v1::WatchResponse last;
  v1::MigrationInfo* migration = last.mutable_migration();
  migration->set_id("m1");
  migration->set_phase(v1::MigrationPhase::PHASE_DONE);
  *migration->mutable_started_at() = ToProto(kStart);
  *migration->mutable_finished_at() = ToProto(kStart + absl::Seconds(20));
  return last;
}

TEST(SummaryTest, ShowsEachTableAndTheTotal) {
  v1::WatchResponse last = Ended();
  AddTable("lookup", 249, 4096, &last)->set_format(v1::COPY_FORMAT_TEXT);
  v1::TableInfo* flights = AddTable("flights", 3000000, 1000 << 20, &last);
  flights->set_hypertable(true);
  flights->set_compressed(true);
  flights->set_verify_result(v1::VerifyResult::RESULT_EQUAL);
  EXPECT_EQ(FormatSummary(last),
            "table                rows     bytes    time  split  ranges  format  stored as   verify\n"
            "public.flights  3,000,000  0.98 GiB  12.3 s  time       31  binary  compressed  equal\n"
            "public.lookup         249  4.00 KiB  12.3 s  time       31  text    table\n"
            "2 tables        3,000,249  0.98 GiB  20.0 s             62\n"
            "\n"
            "Migration m1 done: 3,000,249 rows, 50.0 MiB/s and 150,012 rows/s on average\n");
}

TEST(SummaryTest, SumsUpWhatIsTooMuchToList) {
  v1::WatchResponse last = Ended();
  for (int i = 1; i <= 40; ++i) AddTable(absl::StrCat("t", i), i, i * 1000, &last);
  const std::string summary = FormatSummary(last);
  EXPECT_THAT(summary, HasSubstr("\npublic.t40 "));
  EXPECT_THAT(summary, HasSubstr("\npublic.t11 "));
  EXPECT_THAT(summary, Not(HasSubstr("\npublic.t10 ")));
  EXPECT_THAT(summary, HasSubstr("\n… 10 smaller    55 "));
  EXPECT_THAT(summary, HasSubstr("\n40 tables      820 "));
  EXPECT_THAT(summary, HasSubstr(", all in binary format"));
}

TEST(SummaryTest, NamesWhatNeedsAttention) {
  v1::WatchResponse last = Ended();
  last.mutable_migration()->set_phase(v1::MigrationPhase::PHASE_FAILED);
  last.mutable_migration()->add_left_out("public.old: excluded by exclude_tables");
  last.mutable_migration()->add_warnings("max_locks_per_transaction is low: raise it");
  v1::TableInfo* failed = AddTable("failed", 0, 0, &last);
  failed->set_phase("failed");
  failed->set_error("ERROR:  disk full");
  v1::TableInfo* different = AddTable("different", 7, 100, &last);
  different->set_verify_result(v1::VerifyResult::RESULT_DIFFERENT);
  different->set_verify_detail("source 8 rows, target 7 rows");
  v1::TableInfo* rewritten = AddTable("rewritten", 7, 100, &last);
  rewritten->set_verify_result(v1::VerifyResult::RESULT_EQUAL_REWRITTEN);
  rewritten->add_rewritable_columns("code");
  rewritten->add_rewritable_columns("note");
  const std::string summary = FormatSummary(last);
  EXPECT_THAT(summary, HasSubstr("Migration m1 failed: "));
  EXPECT_THAT(summary, HasSubstr("\nLeft out:\n  - public.old: excluded by exclude_tables\n"));
  EXPECT_THAT(summary, HasSubstr("\nWarnings:\n  ! max_locks_per_transaction is low: raise it\n"));
  EXPECT_THAT(summary, HasSubstr("\nDiffers from the source:\n  ✗ public.different: source 8 rows, target 7 rows\n"));
  EXPECT_THAT(summary, HasSubstr("\n  * public.rewritten: code, note\n"));
  EXPECT_THAT(summary, HasSubstr("\nFailed:\n  ✗ public.failed: ERROR:  disk full\n"));
  EXPECT_THAT(summary, HasSubstr("  DIFFERS\n"));
}

TEST(SummaryTest, AResumedMigrationClaimsNoAverage) {
  v1::WatchResponse last = Ended();
  AddTable("flights", 3000000, 1000 << 20, &last);
  last.mutable_migration()->set_resumed(true);
  EXPECT_THAT(FormatSummary(last), Not(HasSubstr("average")));
}

TEST(SummaryTest, FitsEightyColumns) {
  v1::WatchResponse last = Ended();
  v1::TableInfo* table = AddTable("device_measurements_by_station_and_day", 1234567890, int64_t{1} << 40, &last);
  table->set_compressed(true);
  table->set_verify_result(v1::VerifyResult::RESULT_EQUAL_REWRITTEN);
  AddTable("lookup", 249, 4096, &last)->set_format(v1::COPY_FORMAT_TEXT);
  last.mutable_migration()->add_warnings("a warning that is long enough to be broken into two lines, as it should be");
  for (absl::string_view line : absl::StrSplit(FormatSummary(last, 80), '\n')) {
    EXPECT_LE(DisplayWidth(line), 80) << line;
  }
}

TEST(SummaryTest, NothingInItCanCommandATerminal) {
  v1::WatchResponse last = Ended();
  last.mutable_migration()->set_id("\x1b[2J");
  last.mutable_migration()->set_error("\x1b[2J");
  last.mutable_migration()->add_warnings("\x1b[2J");
  v1::TableInfo* table = AddTable("evil\x1b[2J", 1, 1, &last);
  table->set_phase("\x1b[2J");
  table->clear_finished_at();
  table->set_method("\x1b[2J");
  EXPECT_THAT(FormatSummary(last), Not(HasSubstr("\x1b")));
}

TEST(SummaryTest, SaysHowItEndedWithoutATable) {
  v1::WatchResponse last = Ended();
  last.mutable_migration()->set_phase(v1::MigrationPhase::PHASE_STOPPED);
  EXPECT_EQ(FormatSummary(last), "Migration m1 stopped: 0 rows\n");
}

}  // namespace
}  // namespace hypershift
