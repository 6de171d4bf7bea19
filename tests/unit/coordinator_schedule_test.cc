// Promise: all slots are busy to the end with a skewed table: by plan and schedule, if ranges take as long as they are
// large, none of four slots works longer than 1.25 times the mean, and the last range to start is not the largest.
#include <gtest/gtest.h>

#include <algorithm>
#include <queue>
#include <string>
#include <tuple>
#include <vector>

#include "coordinator/planner.h"
#include "tests/unit/catalog_builder.h"

namespace hypershift {
namespace {

constexpr int kSlots = 4;
constexpr int kDays = 30;
constexpr int64_t kMebibyte = int64_t{1} << 20;
const absl::Time kNow = absl::FromUnixSeconds(1000);

// A table with `share` of its rows in one of its days, sorted by time within a segment or by something else.
class SkewedTable {
 public:
  SkewedTable(int64_t bytes, int day, double share, bool ordered_by_time) {
    config_.parallel = kSlots;
    const Oid oid = catalog_.AddTable("public", "measurements", {{"time", 1184}, {"device", 23}});
    Table& table = catalog_.catalog.tables.at(oid);
    table.heap_bytes = table.total_bytes = bytes;
    table.rows = static_cast<double>(bytes) / 100;
    HypertableConfig hypertable;
    hypertable.table = table.name;
    hypertable.time_column_name = "time";
    hypertable.compress.emplace();
    config_.hypertables.push_back(hypertable);
    HypertableSpec spec;
    spec.config = &config_.hypertables.front();
    spec.table = &table;
    spec.time_column = table.FindColumn("time");
    spec.chunk_interval = kMicrosecondsPerDay;
    spec.time_index = &catalog_.AddIndex(oid, "by_time", {"time"});
    hypertables_.push_back(spec);
    target_.timescaledb_version = "2.21.0";
    target_.direct_compress = target_.client_sorted = true;
    EffectiveOrderBy order;
    order.column = ordered_by_time ? "time" : "device";
    compression_[oid].orderby = {order};
    selection_.tables.insert(oid);
    FillProfile(&profiles_[oid], day, share);
  }

  Plan Make() const {
    const PlannerInput input{config_, catalog_.catalog, target_,    selection_,         hypertables_, profiles_,
                             keys_,   compression_,     post_data_, restored_relations_};
    std::vector<std::string> left_out;
    return MakePlan(input, 1, &left_out);
  }

 private:
  // A hundred buckets, so many of them in that day.
  static void FillProfile(TimeProfile* profile, int day, double share) {
    profile->empty = false;
    profile->statistics.resize(1);
    for (int i = 0; i < kDays; ++i) profile->chunk_starts.push_back(i * kMicrosecondsPerDay);
    profile->minimum = 0;
    profile->maximum = kDays * kMicrosecondsPerDay - 1;
    const int inside = static_cast<int>(100 * share);
    for (int i = 0; i < inside; ++i) {
      profile->statistics[0].histogram.push_back(day * kMicrosecondsPerDay + kMicrosecondsPerDay * i / inside);
    }
    for (int i = 0; i <= 100 - inside; ++i) {
      profile->statistics[0].histogram.push_back(kDays * kMicrosecondsPerDay * i / (100 - inside));
    }
    std::sort(profile->statistics[0].histogram.begin(), profile->statistics[0].histogram.end());
  }

  Config config_;
  CatalogBuilder catalog_;
  TargetFacts target_;
  Selection selection_;
  std::vector<HypertableSpec> hypertables_;
  std::map<Oid, TimeProfile> profiles_;
  std::map<Oid, KeyProfile> keys_;
  std::map<Oid, EffectiveCompression> compression_;
  std::vector<SchemaEntry> post_data_;
  std::set<Oid> restored_relations_;
};

struct Outcome {
  double longest_by_mean = 0;  // Of the time at which slots have nothing left to do.
  bool largest_is_last = false;
  bool in_order_of_time = true;  // Of the copies' starts.
};

Outcome RunAll(const Plan& plan) {
  std::vector<Task> tasks;
  for (const PlannedTask& planned : plan.tasks) tasks.push_back(planned.task);
  absl::StatusOr<Scheduler> scheduler = Scheduler::Create(tasks, plan.barriers);
  EXPECT_TRUE(scheduler.ok()) << scheduler.status();
  using Running = std::tuple<int64_t, TaskId, int>;  // When it ends, the task, the slot.
  std::priority_queue<Running, std::vector<Running>, std::greater<>> running;
  std::vector<int> free = {0, 1, 2, 3};
  std::vector<const Task*> copies;
  int64_t total = 0;
  int64_t now = 0;
  while (scheduler->unfinished() > 0) {
    while (!free.empty()) {
      const Task* next = scheduler->Next(kNow, [](const Task&) { return true; });
      if (next == nullptr) break;
      if (next->kind == TaskKind::KIND_COPY) copies.push_back(next);
      EXPECT_TRUE(scheduler->Lease(next->id, "w", kNow).ok());
      running.emplace(now + next->estimated_bytes, next->id, free.back());
      total += next->estimated_bytes;
      free.pop_back();
    }
    if (running.empty()) break;
    const auto [end, id, slot] = running.top();
    running.pop();
    now = end;
    free.push_back(slot);
    EXPECT_TRUE(scheduler->Finish(id, 1, 0, 0).ok());
  }
  EXPECT_EQ(scheduler->unfinished(), 0);
  Outcome outcome;
  outcome.longest_by_mean = static_cast<double>(now) * kSlots / static_cast<double>(total);
  const auto by_size = [](const Task* a, const Task* b) { return a->estimated_bytes < b->estimated_bytes; };
  outcome.largest_is_last = copies.back() == *std::max_element(copies.begin(), copies.end(), by_size);
  for (size_t i = 1; i < copies.size(); ++i) {
    if (copies[i]->range_key < copies[i - 1]->range_key) outcome.in_order_of_time = false;
  }
  return outcome;
}

TEST(ScheduleTest, ADayOfMostRowsIsCut) {
  for (const int64_t mebibytes : {300, 1000, 20'000}) {
    for (const int day : {0, 15, kDays - 1}) {
      const Outcome outcome = RunAll(SkewedTable(mebibytes * kMebibyte, day, 0.9, true).Make());
      EXPECT_LE(outcome.longest_by_mean, 1.25) << mebibytes << " MiB, day " << day;
      EXPECT_TRUE(outcome.in_order_of_time);
    }
  }
}

TEST(ScheduleTest, ALargeDayThatCantBeCutGoesFirst) {
  for (const int64_t mebibytes : {300, 1000, 20'000}) {
    for (const int day : {0, 15, kDays - 1}) {
      const Outcome outcome = RunAll(SkewedTable(mebibytes * kMebibyte, day, 0.2, false).Make());
      EXPECT_LE(outcome.longest_by_mean, 1.25) << mebibytes << " MiB, day " << day;
      EXPECT_FALSE(outcome.largest_is_last);
    }
  }
}

TEST(ScheduleTest, ChunksAreCompleteInTheOrderOfTime) {
  EXPECT_TRUE(RunAll(SkewedTable(5000 * kMebibyte, 3, 0.03, false).Make()).in_order_of_time);
}

}  // namespace
}  // namespace hypershift
