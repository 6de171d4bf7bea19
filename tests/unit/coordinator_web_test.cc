// Promise: what metrics and the web page say follows from what MigrationService says, in a bounded number of series,
// points and pieces.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/proto_time.h"
#include "coordinator/hypertable_spec.h"
#include "coordinator/migration_metrics.h"
#include "coordinator/paced_cache.h"
#include "coordinator/range_map.h"
#include "coordinator/throughput_history.h"
#include "coordinator/time_range.h"
#include "coordinator/web_json.h"

namespace hypershift {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;
using v1::TaskKind;
using v1::TaskState;

const absl::Time kStart = absl::FromUnixSeconds(1700000000);

// --- bounds of ranges ---

TEST(TimeRangeTest, ReadsBackWhatThePlannerWrites) {
  for (int64_t start : {int64_t{0}, int64_t{-1}, int64_t{1'700'000'000'123'456}, -kMicrosecondsPerDay,
                        -70 * 365 * 30 * kMicrosecondsPerDay, 9000 * 366 * kMicrosecondsPerDay}) {
    for (TimeType type : {TimeType::kTimestamptz, TimeType::kDate, TimeType::kInteger}) {
      const std::string text = absl::StrCat(TimeDisplay(type, start), " to ", TimeDisplay(type, start + 5));
      const std::optional<TimeRange> range = ParseTimeRange(text);
      ASSERT_TRUE(range.has_value()) << text;
      EXPECT_EQ(range->start, start) << text;
      EXPECT_EQ(range->end, start + 5) << text;
      EXPECT_EQ(range->integer, type == TimeType::kInteger) << text;
    }
  }
  EXPECT_EQ(ParseTimeRange("chunk from 1970-01-02")->start, kMicrosecondsPerDay);
  EXPECT_FALSE(ParseTimeRange("chunk from 1970-01-02")->end.has_value());
  EXPECT_EQ(ParseTimeRange("chunk from 0001-01-02 BC and 15 more")->start,
            ParseTimeRange("chunk from 0001-01-02 BC")->start);
}

TEST(TimeRangeTest, OtherDescriptionsAreNone) {
  for (const char* text : {"", "whole table", "blocks 0 to 12", "every chunk that is old enough", "2020-01-01",
                           "2020-01-01 to ", "2020-01-01 to 5", "1970-01-01x to 1970-01-02"}) {
    EXPECT_FALSE(ParseTimeRange(text).has_value()) << text;
  }
}

// --- ranges along time ---

v1::TaskInfo MakeTask(TaskKind::Kind kind, TaskState::State state, int64_t start, int64_t end = 0) {
  v1::TaskInfo task;
  task.set_table("public.t");
  task.set_kind(kind);
  task.set_state(state);
  task.set_range_start(start);
  if (kind == TaskKind::KIND_COPY) task.set_range_end(end);
  return task;
}

TEST(RangeMapTest, ARangeIsCompressedWhenItsChunkIs) {
  RangeMap map;
  for (int64_t chunk : {0, 10, 20}) {
    map.Add(MakeTask(TaskKind::KIND_PREPARE_CHUNK, TaskState::STATE_DONE, chunk));
    map.Add(MakeTask(TaskKind::KIND_COPY, TaskState::STATE_DONE, chunk, chunk + 5));
    map.Add(MakeTask(TaskKind::KIND_COPY, TaskState::STATE_DONE, chunk + 5, chunk + 10));
  }
  map.Add(MakeTask(TaskKind::KIND_COMPRESS, TaskState::STATE_DONE, 0));
  map.Add(MakeTask(TaskKind::KIND_COMPRESS, TaskState::STATE_LEASED, 10));  // The last chunk is to stay as it is.
  map.Add(MakeTask(TaskKind::KIND_COPY, TaskState::STATE_FAILED, 30, 40));
  map.Add(MakeTask(TaskKind::KIND_COPY, TaskState::STATE_LEASED, 40, 50));
  map.Add(MakeTask(TaskKind::KIND_COPY, TaskState::STATE_PENDING, 50, 60));
  map.Finish();
  EXPECT_THAT(map.Totals(), ElementsAre(1, 1, 2, 2, 2, 1));
}

TEST(RangeMapTest, BucketsAreBoundedAndLoseNothing) {
  RangeMap map;
  // Shuffled, with a gap in the middle.
  for (int64_t i = 0; i < 10000; ++i) {
    const int64_t start = (i * 7919 % 10000) * 10;
    map.Add(
        MakeTask(TaskKind::KIND_COPY, TaskState::STATE_PENDING, start < 50000 ? start : start + 1000000, start + 9));
  }
  map.Finish();
  for (size_t limit : {1, 3, 100, 9999, 10000, 20000}) {
    const std::vector<RangeBucket> buckets = map.Buckets(limit);
    EXPECT_LE(buckets.size(), limit);
    int64_t sum = 0;
    for (size_t i = 0; i < buckets.size(); ++i) {
      for (int64_t count : buckets[i].counts) sum += count;
      EXPECT_TRUE(i == 0 || buckets[i - 1].start < buckets[i].start);
    }
    EXPECT_EQ(sum, 10000) << limit;
  }
  EXPECT_THAT(map.Buckets(0), SizeIs(0));
}

TEST(RangeMapTest, TakesTheWholeOfTime) {
  RangeMap map;
  map.Add(MakeTask(TaskKind::KIND_COPY, TaskState::STATE_PENDING, INT64_MIN, INT64_MIN + 10));
  map.Add(MakeTask(TaskKind::KIND_COPY, TaskState::STATE_PENDING, 0, 10));
  map.Add(MakeTask(TaskKind::KIND_COPY, TaskState::STATE_PENDING, INT64_MAX - 10, INT64_MAX));
  map.Finish();
  EXPECT_THAT(map.Buckets(2), SizeIs(2));
}

// --- throughput ---

TEST(ThroughputHistoryTest, StaysBoundedAndKeepsTheSum) {
  ThroughputHistory history(10, absl::Seconds(1));
  for (int i = 0; i <= 1000; ++i) history.Add(kStart + absl::Seconds(i), i * 100, i);
  EXPECT_LE(history.points().size(), 10U);
  double bytes = 0;
  absl::Duration length;
  for (const auto& point : history.points()) {
    bytes += point.bytes;
    length += point.length;
  }
  EXPECT_DOUBLE_EQ(bytes, 100000);
  EXPECT_EQ(length, absl::Seconds(1000));
  EXPECT_NEAR(history.BytesPerSecond(), 100, 1);
}

TEST(ThroughputHistoryTest, ARollbackIsNoSpeed) {
  ThroughputHistory history(10, absl::Seconds(1));
  history.Add(kStart, 5000, 5);  // Of a run before.
  EXPECT_EQ(history.BytesPerSecond(), 0);
  history.Add(kStart + absl::Seconds(1), 1000, 1);
  EXPECT_EQ(history.BytesPerSecond(), 0);
  history.Add(kStart + absl::Seconds(2), 3000, 3);
  EXPECT_DOUBLE_EQ(history.BytesPerSecond(), 1000);
  history.Add(kStart + absl::Seconds(2), 9000, 9);  // The clock stands still: not divided by.
  EXPECT_DOUBLE_EQ(history.BytesPerSecond(), 1000);
}

// --- what many readers cost ---

TEST(PacedCacheTest, IsMadeAnewNoMoreOftenThanATenthOfTheTimeAllows) {
  FakeClock clock(kStart);
  int made = 0;
  PacedCache<int> cache(
      [&]() -> absl::StatusOr<int> {
        clock.Advance(absl::Milliseconds(300));
        return ++made;
      },
      absl::Seconds(1), &clock);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(**cache.Get(), 1);
  clock.Advance(absl::Milliseconds(2600));
  EXPECT_EQ(**cache.Get(), 1);
  clock.Advance(absl::Milliseconds(100));
  EXPECT_EQ(**cache.Get(), 2);
  cache.Expire();
  EXPECT_EQ(**cache.Get(), 3);
}

// --- metrics ---

MigrationOverview MakeOverview(int tables) {
  MigrationOverview overview;
  overview.read_at = kStart;
  overview.migration.set_id("m1");
  overview.migration.set_phase(v1::MigrationPhase::PHASE_RUN);
  for (int i = 0; i < tables; ++i) {
    v1::TableInfo& table = overview.tables.emplace_back();
    table.set_schema("public");
    table.set_name(absl::StrCat("t", i));
    table.set_phase("copying");
    table.set_rows_done(10);
    table.set_estimated_bytes(i);
  }
  return overview;
}

const prometheus::MetricFamily& Family(const std::vector<prometheus::MetricFamily>& families, const std::string& name) {
  for (const prometheus::MetricFamily& family : families) {
    if (family.name == name) return family;
  }
  static const prometheus::MetricFamily kNone;
  ADD_FAILURE() << name;
  return kNone;
}

TEST(MigrationMetricsTest, SeriesOfTablesAreBoundedAndTheRestIsSummed) {
  const MigrationOverview overview = MakeOverview(1500);
  const auto families = MigrationMetrics(overview, TaskFigures(), 0, absl::ZeroDuration()).Collect();
  const auto& metrics = Family(families, "hypershift_table_rows_copied_total").metric;
  ASSERT_THAT(metrics, SizeIs(MigrationMetrics::kMaxTables + 1));
  EXPECT_EQ(metrics.front().label[1].value, "t1499");
  EXPECT_EQ(metrics.back().label[1].value, "");
  EXPECT_EQ(metrics.back().counter.value, 5000);
  double all = 0;
  for (const auto& metric : metrics) all += metric.counter.value;
  EXPECT_EQ(all, 15000);
}

TEST(MigrationMetricsTest, NoCounterIsZeroBeforeThePlanIsThere) {
  for (const auto& family : MigrationMetrics(MakeOverview(0), TaskFigures(), 0, absl::ZeroDuration()).Collect()) {
    EXPECT_NE(family.type, prometheus::MetricType::Counter) << family.name;
  }
}

TEST(MigrationMetricsTest, CountsRetriesAndDurationsOfTasks) {
  TaskFigures tasks;
  v1::TaskInfo task = MakeTask(TaskKind::KIND_COPY, TaskState::STATE_DONE, 0, 1);
  task.set_attempt(3);
  *task.mutable_started_at() = ToProto(kStart);
  *task.mutable_finished_at() = ToProto(kStart + absl::Seconds(7));
  tasks.Add(task);
  task.set_state(TaskState::STATE_FAILED);
  task.set_error("broken");
  tasks.Add(task);
  tasks.Finish();
  const auto families = MigrationMetrics(MakeOverview(1), tasks, 0, absl::ZeroDuration()).Collect();
  EXPECT_EQ(Family(families, "hypershift_task_retries_total").metric.front().counter.value, 4);
  const auto& histogram = Family(families, "hypershift_task_duration_seconds").metric.front().histogram;
  EXPECT_EQ(histogram.sample_count, 1U);
  EXPECT_EQ(histogram.sample_sum, 7);
  EXPECT_EQ(histogram.bucket[3].cumulative_count, 0U);  // Up to 5 s.
  EXPECT_EQ(histogram.bucket[4].cumulative_count, 1U);  // Up to 10 s.
  EXPECT_THAT(tasks.errors, SizeIs(1));
}

// --- the page ---

TEST(WebJsonTest, IsValidWhateverNamesHold) {
  MigrationOverview overview = MakeOverview(1);
  overview.tables[0].set_error("\xff\xfe broken \"quotes\" </script>");
  const ThroughputHistory none(10, absl::Seconds(1));
  const auto json = nlohmann::json::parse(StateJson(overview, TaskFigures(), none, "no token"));
  EXPECT_EQ(json["tables"].size(), 1U);
  EXPECT_EQ(json["read_only"], "no token");
  EXPECT_EQ(json["migration"]["phase"], "run");
}

TEST(WebJsonTest, TheShareIsWholeOnlyAtTheEnd) {
  MigrationOverview overview = MakeOverview(1);
  v1::TableInfo& table = overview.tables[0];
  table.set_estimated_bytes(1000000);
  table.set_ranges_total(10);
  table.set_ranges_done(5);
  table.set_tasks_total(11);
  table.set_bytes_done(400000);
  EXPECT_NEAR(ProgressOf(overview).share, 400000.0 / 900000, 1e-9);
  EXPECT_NEAR(ProgressOf(overview).bytes_left, 500000, 1);
  table.set_ranges_done(10);
  EXPECT_LT(ProgressOf(overview).share, 1);
  EXPECT_EQ(ProgressOf(overview).bytes_left, 0);
  overview.migration.set_phase(v1::MigrationPhase::PHASE_DONE);
  EXPECT_EQ(ProgressOf(overview).share, 1);
}

}  // namespace
}  // namespace hypershift
