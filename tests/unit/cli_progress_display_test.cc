// Promise: the progress display never goes back, never promises more than is done, fits the terminal it is on, and
// keeps log lines and live lines apart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/format.h"
#include "cli/progress_display.h"
#include "common/log.h"
#include "common/proto_time.h"

namespace hypershift {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

const absl::Time kStart = absl::FromUnixSeconds(1700000000);

v1::TableInfo* AddTable(const std::string& name, const std::string& phase, v1::WatchResponse* event) {
  v1::TableInfo* table = event->add_tables();
  table->set_schema("public");
  table->set_name(name);
  table->set_phase(phase);
  table->set_ranges_total(10);
  table->set_tasks_total(12);
  table->set_estimated_bytes(1000 << 20);
  *table->mutable_started_at() = ToProto(kStart);
  event->mutable_migration()->set_tables_total(event->tables_size());
  return table;
}

v1::WatchResponse Running() {
  v1::WatchResponse event;
  event.mutable_migration()->set_phase(v1::MigrationPhase::PHASE_RUN);
  event.mutable_migration()->set_status_line("runs 2 tasks in 8 slots of 1 worker");
  *event.mutable_migration()->mutable_started_at() = ToProto(kStart);
  return event;
}

// One table that has moved `mib` of its 1,000 MiB at 100 MiB a range.
v1::WatchResponse CopyingEvent(int mib) {
  v1::WatchResponse event = Running();
  v1::TableInfo* table = AddTable("flights", "copying", &event);
  table->set_ranges_done(mib / 100);
  table->set_tasks_running(2);
  table->set_bytes_done(int64_t{mib / 100 * 100} << 20);
  table->set_bytes_running(int64_t{mib % 100} << 20);
  table->set_rows_done(mib * 3000);
  v1::MigrationInfo* migration = event.mutable_migration();
  migration->set_ranges_total(10);
  migration->set_ranges_done(mib / 100);
  migration->set_rows_done(mib * 3000);
  migration->set_bytes_done(int64_t{mib} << 20);
  return event;
}

// --- Shares --------------------------------------------------------------------------------------------------------

TEST(TableShareTest, GoesByBytesWhereTheEstimateHolds) {
  const v1::WatchResponse event = CopyingEvent(450);
  EXPECT_NEAR(TableShare(event.tables(0)), 0.45, 0.001);
}

TEST(TableShareTest, FallsBackToRangesWithoutAnEstimate) {
  v1::WatchResponse event = CopyingEvent(400);
  event.mutable_tables(0)->set_estimated_bytes(0);
  EXPECT_NEAR(TableShare(event.tables(0)), 0.4, 0.001);
  event.mutable_tables(0)->set_bytes_done(0);
  EXPECT_NEAR(TableShare(event.tables(0)), 0.4, 0.001) << "ranges of no bytes";
}

TEST(TableShareTest, FinishedRangesOverruleAnEstimateThatIsFarOff) {
  v1::WatchResponse event = CopyingEvent(400);
  for (int64_t estimate : {int64_t{10} << 20, int64_t{100000} << 20}) {
    event.mutable_tables(0)->set_estimated_bytes(estimate);
    EXPECT_NEAR(TableShare(event.tables(0)), 0.4, 0.001) << estimate;
  }
}

TEST(TableShareTest, RangesNobodyHasBegunAreNotDone) {
  v1::WatchResponse event = CopyingEvent(50);
  event.mutable_tables(0)->set_estimated_bytes(1 << 20);
  EXPECT_NEAR(TableShare(event.tables(0)), 0.2, 0.001) << "two of ten ranges run";
}

TEST(TableShareTest, OnlyADoneTableIsWhole) {
  v1::WatchResponse event = CopyingEvent(1000);
  EXPECT_LT(TableShare(event.tables(0)), 1);
  event.mutable_tables(0)->set_phase("compressing");
  EXPECT_LT(TableShare(event.tables(0)), 1);
  event.mutable_tables(0)->set_phase("done");
  EXPECT_EQ(TableShare(event.tables(0)), 1);
}

TEST(AdvanceProgressTest, SharesNeverFall) {
  ProgressState state;
  AdvanceProgress(CopyingEvent(550), kStart, &state);
  const double share = state.share;
  const double table_share = state.tables.begin()->second.share;
  AdvanceProgress(CopyingEvent(500), kStart + absl::Seconds(1), &state);
  EXPECT_EQ(state.share, share);
  EXPECT_EQ(state.tables.begin()->second.share, table_share);
}

TEST(AdvanceProgressTest, TheMigrationIsWholeOnlyWhenItIsDone) {
  v1::WatchResponse event = CopyingEvent(1000);
  event.mutable_tables(0)->set_phase("done");
  ProgressState state;
  AdvanceProgress(event, kStart, &state);
  EXPECT_LT(state.share, 1);
  event.mutable_migration()->set_phase(v1::MigrationPhase::PHASE_DONE);
  AdvanceProgress(event, kStart + absl::Seconds(1), &state);
  EXPECT_EQ(state.share, 1);
}

// --- Rates ---------------------------------------------------------------------------------------------------------

TEST(SmoothedRateTest, SettlesOnASteadyRateAtOnce) {
  SmoothedRate rate;
  for (int second = 0; second <= 5; ++second) rate.Observe(500 + 100 * second, kStart + absl::Seconds(second));
  EXPECT_NEAR(rate.PerSecond(), 100, 0.001) << "what was there before the first observation does not count";
  EXPECT_TRUE(rate.Steady());
}

TEST(SmoothedRateTest, FollowsAChangeWithinTenSeconds) {
  SmoothedRate rate;
  for (int second = 0; second <= 60; ++second) rate.Observe(100 * second, kStart + absl::Seconds(second));
  for (int second = 61; second <= 70; ++second) {
    rate.Observe(6000 + 1000 * (second - 60), kStart + absl::Seconds(second));
  }
  EXPECT_GT(rate.PerSecond(), 850);
  EXPECT_LT(rate.PerSecond(), 1000);
}

TEST(SmoothedRateTest, BytesTakenBackAreNoNegativeRate) {
  SmoothedRate rate;
  rate.Observe(0, kStart);
  rate.Observe(1000, kStart + absl::Seconds(1));
  rate.Observe(100, kStart + absl::Seconds(2));
  EXPECT_GT(rate.PerSecond(), 0);
  EXPECT_LT(rate.PerSecond(), 1000);
}

TEST(SmoothedRateTest, IsZeroAfterAStandstill) {
  SmoothedRate rate;
  EXPECT_EQ(rate.PerSecond(), 0);
  for (int second = 0; second <= 40; ++second) rate.Observe(second < 5 ? second : 5, kStart + absl::Seconds(second));
  EXPECT_EQ(rate.PerSecond(), 0);
}

TEST(TimeLeftTest, IsHiddenUntilItIsKnown) {
  ProgressState state;
  AdvanceProgress(CopyingEvent(100), kStart, &state);
  EXPECT_EQ(TimeLeft(state), std::nullopt);
  for (int second = 1; second <= 5; ++second) {
    AdvanceProgress(CopyingEvent(100 + 20 * second), kStart + absl::Seconds(second), &state);
  }
  ASSERT_TRUE(TimeLeft(state).has_value());
  EXPECT_NEAR(absl::ToDoubleSeconds(*TimeLeft(state)), 800.0 / 20, 0.1);
}

TEST(TimeLeftTest, IsHiddenWhenNothingIsLeftToCopy) {
  ProgressState state;
  for (int second = 0; second <= 5; ++second) {
    AdvanceProgress(CopyingEvent(200 * second), kStart + absl::Seconds(second), &state);
  }
  EXPECT_EQ(TimeLeft(state), std::nullopt);
}

// --- Records -------------------------------------------------------------------------------------------------------

TEST(TableRecordTest, SaysWhatBecameOfATable) {
  v1::WatchResponse event = Running();
  v1::TableInfo* table = AddTable("flights", "done", &event);
  table->set_rows_done(3000000);
  *table->mutable_finished_at() = ToProto(kStart + absl::Milliseconds(12300));
  EXPECT_EQ(TableRecord(*table, false), "✓ public.flights 3,000,000 rows in 12.3 s");
  table->set_verify_result(v1::VerifyResult::RESULT_DIFFERENT);
  table->set_verify_detail("1 row is missing");
  EXPECT_EQ(TableRecord(*table, false), "✗ public.flights 3,000,000 rows, differs from the source: 1 row is missing");
  table->set_phase("failed");
  table->set_error("ERROR:  disk full\nHINT: \x1b[2J");
  EXPECT_EQ(TableRecord(*table, false),
            "✗ public.flights failed after 3,000,000 rows: ERROR:  disk full HINT: \\x1b[2J");
}

TEST(AdvanceProgressTest, EveryTableEndsOnce) {
  ProgressState state;
  v1::WatchResponse event = Running();
  AddTable("early", "done", &event);
  v1::TableInfo* table = AddTable("late", "copying", &event);
  EndedTables ended = AdvanceProgress(event, kStart, &state);
  EXPECT_THAT(ended.tables, SizeIs(0));
  EXPECT_EQ(ended.done_before, 1) << "counted, not listed";
  table->set_phase("failed");
  EXPECT_THAT(AdvanceProgress(event, kStart, &state).tables, ElementsAre(table));
  EXPECT_THAT(AdvanceProgress(event, kStart, &state).tables, SizeIs(0));
  table->set_phase("done");
  EXPECT_THAT(AdvanceProgress(event, kStart, &state).tables, ElementsAre(table)) << "after a retry";
  EXPECT_THAT(AdvanceProgress(event, kStart, &state).tables, SizeIs(0));
}

TEST(AdvanceProgressTest, ATableWithoutTasksHasNotEnded) {
  ProgressState state;
  v1::WatchResponse event = Running();
  AdvanceProgress(event, kStart, &state);
  AddTable("unplanned", "done", &event)->set_tasks_total(0);
  EXPECT_THAT(AdvanceProgress(event, kStart, &state).tables, SizeIs(0));
}

// --- Lines ---------------------------------------------------------------------------------------------------------

std::vector<std::string> DrawAfterFiveSeconds(int columns, int rows) {
  ProgressState state;
  for (int second = 0; second <= 5; ++second) {
    AdvanceProgress(CopyingEvent(20 * second), kStart + absl::Seconds(second), &state);
  }
  return DrawProgress(CopyingEvent(100), state, {columns, rows, false}, kStart + absl::Seconds(5));
}

TEST(DrawProgressTest, ShowsTablesTotalsAndWhyItWaits) {
  EXPECT_THAT(DrawAfterFiveSeconds(80, 24),
              ElementsAre("",  //
                          "table          phase       done                          rows       rate ranges",
                          "public.flights copying     █▋░░░░░░░░░░░░░░░  10%     300,000 20.0 MiB/s   1/10",
                          "0 of 1 tables              █▋░░░░░░░░░░░░░░░  10%     300,000 20.0 MiB/s   1/10",
                          "100 MiB copied in 5.0 s · about 45 s left to copy", "runs 2 tasks in 8 slots of 1 worker"));
}

TEST(DrawProgressTest, BeforeThePlanItShowsTheStatusOnly) {
  v1::WatchResponse event;
  event.mutable_migration()->set_phase(v1::MigrationPhase::PHASE_SCHEMA);
  EXPECT_THAT(DrawProgress(event, ProgressState(), {80, 24, false}, kStart), ElementsAre("restores the schema"));
}

TEST(DrawProgressTest, FinishingTablesShowTheirSteps) {
  v1::WatchResponse event = CopyingEvent(1000);
  event.mutable_tables(0)->set_phase("compressing");
  event.mutable_tables(0)->set_tasks_done(11);
  ProgressState state;
  AdvanceProgress(event, kStart, &state);
  const std::string text = absl::StrJoin(DrawProgress(event, state, {80, 24, false}, kStart), "\n");
  EXPECT_THAT(text, HasSubstr("compressing"));
  EXPECT_THAT(text, HasSubstr(" 99% "));
  EXPECT_THAT(text, HasSubstr("step 11/12"));
  EXPECT_THAT(text, HasSubstr("every row is copied"));
}

TEST(DrawProgressTest, FitsEveryTerminal) {
  v1::WatchResponse event = Running();
  for (int i = 0; i < 50; ++i) {
    AddTable(absl::StrCat("a_table_with_quite_a_long_name_", i, "日本語"), "copying", &event)->set_rows_done(1LL << 50);
  }
  ProgressState state;
  AdvanceProgress(event, kStart, &state);
  for (int columns = 1; columns < 250; columns += columns < 90 ? 1 : 15) {
    for (int rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 24, 100}) {
      for (bool color : {false, true}) {
        const std::vector<std::string> lines = DrawProgress(event, state, {columns, rows, color}, kStart);
        EXPECT_LE(lines.size(), std::max<size_t>(rows - 1, 1));
        for (const std::string& line : lines) {
          EXPECT_LE(DisplayWidth(line), std::max(columns - 1, 1)) << columns << " columns: " << line;
        }
      }
    }
  }
}

TEST(DrawProgressTest, SaysHowManyTablesItLeavesOut) {
  v1::WatchResponse event = Running();
  for (int i = 0; i < 48; ++i) AddTable(absl::StrCat("t", i), "copying", &event);
  event.mutable_tables(40)->set_tasks_running(1);
  AddTable("waits", "waiting", &event);
  ProgressState state;
  AdvanceProgress(event, kStart, &state);
  const std::vector<std::string> lines = DrawProgress(event, state, {80, 40, false}, kStart);
  const std::string text = absl::StrJoin(lines, "\n");
  EXPECT_THAT(lines, SizeIs(12 + 5));
  EXPECT_THAT(text, HasSubstr("… and 37 more"));
  EXPECT_THAT(text, HasSubstr("public.t40")) << "a table that tasks run for comes before those that wait";
  EXPECT_THAT(text, Not(HasSubstr("public.waits")));
}

TEST(DrawProgressTest, NamesCanNotCommandTheTerminal) {
  v1::WatchResponse event = Running();
  AddTable("evil\x1b[2J\nforged", "copying\x1b[2J", &event);
  event.mutable_migration()->set_status_line("waits\x1b[2J");
  ProgressState state;
  AdvanceProgress(event, kStart, &state);
  for (const std::string& line : DrawProgress(event, state, {120, 24, false}, kStart)) {
    EXPECT_EQ(line, SafeText(line));
  }
}

// --- The display ---------------------------------------------------------------------------------------------------

// Catches what a display writes.
class DisplayTest : public ::testing::Test {
 protected:
  DisplayTest() { EXPECT_EQ(pipe(pipe_), 0); }
  ~DisplayTest() override {
    SetLogSink(nullptr);
    close(pipe_[0]);
    if (pipe_[1] >= 0) close(pipe_[1]);
  }

  ProgressDisplay::Options Options(ProgressDisplay::Mode mode) {
    ProgressDisplay::Options options;
    options.mode = mode;
    options.output_fd = pipe_[1];
    options.columns = 80;
    options.rows = 24;
    return options;
  }
  std::string Written() {
    close(pipe_[1]);
    pipe_[1] = -1;
    std::string all;
    char buffer[4096];
    for (ssize_t got; (got = read(pipe_[0], buffer, sizeof(buffer))) > 0;) all.append(buffer, got);
    return all;
  }

  int pipe_[2];
};

TEST_F(DisplayTest, LogLinesStandAboveTheLiveLines) {
  ProgressDisplay display(Options(ProgressDisplay::Mode::kTerminal));
  display.Update(CopyingEvent(100));
  display.LogLine("WARNING something\n");
  display.Close();
  const std::string written = Written();
  // Six live lines: up, the log line in their place, the live lines below it; at the end up and away.
  const size_t logged = written.find("\r\x1b[6AWARNING something\x1b[K\n");
  ASSERT_NE(logged, std::string::npos) << written;
  EXPECT_NE(written.find("public.flights", logged), std::string::npos);
  EXPECT_TRUE(absl::EndsWith(written, "\r\x1b[6A\x1b[J")) << written;
}

TEST_F(DisplayTest, NothingIsDrawnAfterClose) {
  ProgressDisplay display(Options(ProgressDisplay::Mode::kTerminal));
  display.Close();
  display.Update(CopyingEvent(100));
  display.LogLine("late");
  EXPECT_EQ(Written(), "late\n");
}

TEST_F(DisplayTest, HiddenShowsLogLinesOnly) {
  ProgressDisplay display(Options(ProgressDisplay::Mode::kHidden));
  display.Update(CopyingEvent(100));
  display.LogLine("line");
  EXPECT_EQ(Written(), "line\n");
}

TEST_F(DisplayTest, WithoutATerminalItLogsALineNowAndThen) {
  ProgressDisplay display(Options(ProgressDisplay::Mode::kLines));
  InitLog({LogFormat::kText, LogLevel::kInfo, [&](absl::string_view line) { display.LogLine(line); }});
  display.Update(CopyingEvent(100));
  display.Update(CopyingEvent(200));
  v1::WatchResponse last = CopyingEvent(1000);
  last.mutable_tables(0)->set_phase("done");
  last.mutable_migration()->set_phase(v1::MigrationPhase::PHASE_DONE);
  display.Update(last);
  const std::vector<std::string> lines = absl::StrSplit(Written(), '\n', absl::SkipEmpty());
  ASSERT_THAT(lines, SizeIs(3)) << "the first, the table's end, the last; none for the one between";
  EXPECT_THAT(lines[0], HasSubstr("progress percent=10 tables_done=0 tables_total=1"));
  EXPECT_THAT(lines[0], HasSubstr("seconds_left=unknown status=\"runs 2 tasks in 8 slots of 1 worker\""));
  EXPECT_THAT(lines[1], HasSubstr("table done table=public.flights rows=3000000"));
  EXPECT_THAT(lines[2], HasSubstr("progress percent=100 "));
}

TEST_F(DisplayTest, ThreadsMayLogWhileItDraws) {
  ProgressDisplay display(Options(ProgressDisplay::Mode::kTerminal));
  std::string written;
  std::thread reader([&] {
    char buffer[4096];
    for (ssize_t got; (got = read(pipe_[0], buffer, sizeof(buffer))) > 0;) written.append(buffer, got);
  });
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&display, thread] {
      for (int i = 0; i < 50; ++i) display.LogLine(absl::StrCat("line ", thread, ".", i, "."));
    });
  }
  for (int i = 0; i < 50; ++i) display.Update(CopyingEvent(i));
  for (std::thread& thread : threads) thread.join();
  display.Close();
  close(pipe_[1]);
  pipe_[1] = -1;
  reader.join();
  for (int thread = 0; thread < 4; ++thread) {
    for (int i = 0; i < 50; ++i) EXPECT_THAT(written, HasSubstr(absl::StrCat("line ", thread, ".", i, ".")));
  }
}

TEST(ModeForTest, WhatIsNoTerminalGetsLines) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(ProgressDisplay::ModeFor(ends[1], false), ProgressDisplay::Mode::kLines);
  EXPECT_EQ(ProgressDisplay::ModeFor(ends[1], true), ProgressDisplay::Mode::kHidden);
  EXPECT_EQ(TerminalColumns(ends[1]), 0);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace hypershift
