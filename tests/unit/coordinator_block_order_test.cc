// Promise: a chunk waits for the ranges of blocks in which its rows were seen or can lie between; and where rows are in
// no order, nobody expects chunks to be complete early.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "coordinator/block_order.h"
#include "coordinator/block_planner.h"
#include "coordinator/block_sample.h"
#include "coordinator/hypertable_spec.h"
#include "tests/unit/catalog_builder.h"

namespace hypershift {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr int64_t kInterval = 100;

// A block every ten, of which each has one time later than the one before.
std::vector<BlockSample> Ascending(int count, int64_t first_time = 0) {
  std::vector<BlockSample> samples;
  for (int i = 0; i < count; ++i) samples.push_back({i * 10, first_time + i * 10});
  return samples;
}

RangesOfChunks Early(const std::vector<int64_t>& first_blocks, const std::vector<BlockSample>& samples) {
  BlockOrder order(kInterval);
  order.Add(first_blocks, samples);
  return order.EarlyChunks();
}

TEST(BlockOrderTest, AChunkWaitsForTheRangesThatHoldIt) {
  // Chunks begin at blocks 0, 100, 200, 300; ranges at 0, 150, 250. Two samples before a chunk begins it may have
  // begun.
  EXPECT_THAT(Early({0, 150, 250}, Ascending(40)),
              ElementsAre(Pair(0, ElementsAre(0)), Pair(100, ElementsAre(0, 1)), Pair(200, ElementsAre(1, 2)),
                          Pair(300, ElementsAre(2))));
}

TEST(BlockOrderTest, NegativeTimesAreTimes) {
  EXPECT_THAT(Early({0, 150}, Ascending(30, -150)),
              ElementsAre(Pair(-200, ElementsAre(0)), Pair(-100, ElementsAre(0, 1)), Pair(0, ElementsAre(0, 1)),
                          Pair(100, ElementsAre(1))));
}

TEST(BlockOrderTest, DescendingIsAnOrder) {
  std::vector<BlockSample> samples = Ascending(40);
  for (BlockSample& sample : samples) sample.time = 390 - sample.time;
  EXPECT_THAT(Early({0, 150, 250}, samples), ElementsAre(Pair(0, ElementsAre(2)), Pair(100, ElementsAre(1, 2)),
                                                         Pair(200, ElementsAre(0, 1)), Pair(300, ElementsAre(0))));
}

TEST(BlockOrderTest, AStrayHoldsUpItsOwnChunkAlone) {
  std::vector<BlockSample> samples = Ascending(40);
  samples[35].time = 50;
  EXPECT_THAT(Early({0, 50, 100, 150, 200, 250, 300, 350}, samples),
              ElementsAre(Pair(0, ElementsAre(0, 1, 2, 7)), Pair(100, ElementsAre(1, 2, 3, 4)),
                          Pair(200, ElementsAre(3, 4, 5, 6)), Pair(300, ElementsAre(5, 6, 7))));
}

TEST(BlockOrderTest, WhatNoSampleIsInLiesWithItsNeighbours) {
  // Nothing is alive in blocks 100 to 290.
  std::vector<BlockSample> samples = Ascending(40);
  samples.erase(samples.begin() + 10, samples.begin() + 30);
  EXPECT_THAT(Early({0, 50, 100, 200, 320, 350}, samples),
              ElementsAre(Pair(0, ElementsAre(0, 1, 2, 3)), Pair(100, ElementsAre(1, 2, 3)),
                          Pair(200, ElementsAre(1, 2, 3)), Pair(300, ElementsAre(1, 2, 3, 4, 5))));
}

TEST(BlockOrderTest, AHoleInTimeIsNotFilledWithChunks) {
  std::vector<BlockSample> samples = Ascending(40);
  for (size_t i = 20; i < samples.size(); ++i) samples[i].time += 1'000'000'000;
  EXPECT_THAT(Early({0, 100, 200, 300}, samples), SizeIs(4));
}

TEST(BlockOrderTest, TheFarthestIntegersAreLeftOut) {
  std::vector<BlockSample> samples = Ascending(40);
  samples[3].time = INT64_MIN;
  samples[30].time = INT64_MAX;
  EXPECT_THAT(Early({0, 150, 250}, samples), SizeIs(4));
}

TEST(BlockOrderTest, RowsInNoOrderHaveNoEarlyChunks) {
  std::mt19937 random(1);
  for (const int chunks : {2, 3, 10, 1000}) {
    std::vector<BlockSample> samples;
    for (int i = 0; i < 1000; ++i) samples.push_back({i, static_cast<int64_t>(random() % chunks) * kInterval});
    EXPECT_THAT(Early({0, 200, 400, 600, 800}, samples), IsEmpty()) << chunks;
  }
}

TEST(BlockOrderTest, OneChunkIsCompleteAtTheEndOnly) {
  std::vector<BlockSample> samples = Ascending(40);
  for (BlockSample& sample : samples) sample.time = 7;
  EXPECT_THAT(Early({0, 100, 200, 300}, samples), IsEmpty());
  EXPECT_THAT(Early({0}, Ascending(40)), IsEmpty());
  EXPECT_THAT(Early({0, 100}, {}), IsEmpty());
}

TEST(BlockOrderTest, PartitionsByTimeNeedNoOrderWithin) {
  BlockOrder order(kInterval);
  for (int leaf = 0; leaf < 4; ++leaf) {
    std::vector<BlockSample> samples;
    for (int i = 0; i < 20; ++i) samples.push_back({i, leaf * 200 + i * 7919 % 200});
    order.Add({0}, samples);
  }
  const RangesOfChunks early = order.EarlyChunks();
  ASSERT_THAT(early, SizeIs(8));
  for (const auto& [chunk, ranges] : early) EXPECT_THAT(ranges, ElementsAre(chunk / 200)) << chunk;
}

// Rows come up to a little late: whoever lies within two samples of its place is waited for.
TEST(BlockOrderTest, NoRowThatIsALittleLateIsMissed) {
  std::mt19937 random(2);
  for (int round = 0; round < 50; ++round) {
    std::vector<int64_t> times;
    for (int block = 0; block < 2000; ++block) times.push_back(block - static_cast<int64_t>(random() % 15));
    std::vector<BlockSample> samples;
    for (int block = 0; block < 2000; block += 8) samples.push_back({block, times[static_cast<size_t>(block)]});
    std::vector<int64_t> first_blocks = {0};
    while (first_blocks.back() < 1800)
      first_blocks.push_back(first_blocks.back() + 1 + static_cast<int>(random() % 200));
    const RangesOfChunks early = Early(first_blocks, samples);
    ASSERT_GT(early.size(), 15);
    int64_t missed = 0;
    for (int block = 0; block < 2000; ++block) {
      const int range = static_cast<int>(std::upper_bound(first_blocks.begin(), first_blocks.end(), block) -
                                         first_blocks.begin() - 1);
      const auto chunk = early.find(ChunkStart(times[static_cast<size_t>(block)], kInterval));
      if (chunk != early.end() && chunk->second.count(range) == 0) ++missed;
    }
    EXPECT_EQ(missed, 0) << round;
  }
}

TEST(LongestOrderTest, IsTheLargestPartInOrder) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<BlockSample> samples;
    for (int i = 0; i < 9; ++i) samples.push_back({i, static_cast<int64_t>(random() % 6) * kInterval});
    size_t best = 0;
    for (unsigned picked = 0; picked < 1U << samples.size(); ++picked) {
      std::vector<int64_t> times;
      for (size_t i = 0; i < samples.size(); ++i) {
        if ((picked >> i & 1U) != 0) times.push_back(samples[i].time);
      }
      if (std::is_sorted(times.begin(), times.end()) || std::is_sorted(times.rbegin(), times.rend())) {
        best = std::max(best, times.size());
      }
    }
    EXPECT_THAT(LongestOrder(samples, kInterval), SizeIs(best));
  }
}

TEST(SampledBlocksTest, LiesEvenlyOverTheWholeTable) {
  EXPECT_THAT(SampledBlocks(0, 100), IsEmpty());
  EXPECT_THAT(SampledBlocks(1, 100), ElementsAre(0));
  EXPECT_THAT(SampledBlocks(5, 100), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(SampledBlocks(101, 5), ElementsAre(0, 25, 50, 75, 100));
  EXPECT_THAT(SampledBlocks(10'000, kMostSampledBlocks), SizeIs(256));
  EXPECT_THAT(SampledBlocks(1'310'720, kMostSampledBlocks), SizeIs(5120));    // 10 GiB.
  EXPECT_THAT(SampledBlocks(134'217'728, kMostSampledBlocks), SizeIs(8192));  // 1 TiB.
  EXPECT_EQ(SampledBlocks(134'217'728, kMostSampledBlocks).back(), 134'217'727);
}

// A table of four ranges in the order of time, ten chunks. One of them ends just before a range does, closer than the
// next sample but one, and waits for the range behind.
class BlockPlanTest : public ::testing::Test {
 protected:
  BlockPlanTest() {
    config_.parallel = 1;
    config_.parallel_min_table_size_mib = 1;
    config_.hypertables.resize(1);
    config_.hypertables[0].table = {"public", "events"};
    config_.hypertables[0].time_column_name = "n";
    config_.hypertables[0].chunk_time_interval = {100, false, "100"};
    config_.hypertables[0].compress.emplace();
    events_ = builder_.AddTable("public", "events", {{"n", 20}});
    Table& table = builder_.catalog.tables.at(events_);
    table.heap_bytes = table.total_bytes = 4 << 20;
    target_.timescaledb_version = "2.23.0";
    profiles_[events_].block_samples[events_] = {};
    for (int i = 0; i < 512; ++i) profiles_[events_].block_samples[events_].push_back({i, i * 1000 / 512});
    profiles_[events_].maximum = 999;
  }

  Plan Make() {
    selection_ = SelectTables(config_, builder_.catalog);
    const absl::StatusOr<HypertableSpec> spec = ResolveHypertable(config_.hypertables[0], builder_.catalog);
    EXPECT_TRUE(spec.ok()) << spec.status();
    hypertables_ = {*spec};
    PlannerInput input{config_, builder_.catalog, target_,    selection_, hypertables_, profiles_,
                       keys_,   compression_,     post_data_, restored_};
    input.target_task_bytes = 1 << 20;
    std::vector<std::string> left_out;
    return MakePlan(input, 1, &left_out);
  }

  static std::vector<std::string> InTurn(const Plan& plan) {
    std::vector<Task> tasks;
    std::map<TaskId, std::string> names;
    for (const PlannedTask& planned : plan.tasks) {
      names[planned.task.id] = planned.description;
      tasks.push_back(planned.task);
    }
    absl::StatusOr<Scheduler> scheduler = Scheduler::Create(tasks, plan.barriers);
    EXPECT_TRUE(scheduler.ok()) << scheduler.status();
    std::vector<std::string> done;
    const absl::Time now = absl::FromUnixSeconds(1);
    while (const Task* next = scheduler->Next(now, [](const Task&) { return true; })) {
      const TaskId id = next->id;
      if (next->kind == TaskKind::KIND_COPY || next->kind == TaskKind::KIND_COMPRESS) done.push_back(names[id]);
      EXPECT_TRUE(scheduler->Lease(id, "w", now).ok());
      EXPECT_TRUE(scheduler->Finish(id, 1, 0, 0).ok());
    }
    EXPECT_EQ(scheduler->unfinished(), 0);
    return done;
  }

  Config config_;
  CatalogBuilder builder_;
  Oid events_ = 0;
  TargetFacts target_;
  Selection selection_;
  std::vector<HypertableSpec> hypertables_;
  std::map<Oid, TimeProfile> profiles_;
  std::map<Oid, KeyProfile> keys_;
  std::map<Oid, EffectiveCompression> compression_;
  std::vector<SchemaEntry> post_data_;
  std::set<Oid> restored_;
};

TEST_F(BlockPlanTest, ChunksAreCompressedBeforeTheCopiesThatFollow) {
  EXPECT_THAT(InTurn(Make()), ElementsAre("blocks 0 to 128", "chunk from 0", "chunk from 100", "blocks 128 to 256",
                                          "chunk from 200", "chunk from 300", "blocks 256 to 384", "chunk from 400",
                                          "chunk from 500", "chunk from 600", "blocks 384 to end", "chunk from 700",
                                          "chunk from 800", "chunk from 900", "every chunk that is old enough"));
}

TEST_F(BlockPlanTest, YoungChunksAreLeft) {
  config_.hypertables[0].compress->after = Interval{700, false, "700"};
  EXPECT_THAT(InTurn(Make()), ElementsAre("blocks 0 to 128", "chunk from 0", "chunk from 100", "blocks 128 to 256",
                                          "blocks 256 to 384", "blocks 384 to end", "every chunk that is old enough"));
}

TEST_F(BlockPlanTest, WithoutASampleThereIsOneCompressionAtTheEnd) {
  profiles_[events_].block_samples.clear();
  EXPECT_THAT(InTurn(Make()), ElementsAre("blocks 0 to 128", "blocks 128 to 256", "blocks 256 to 384",
                                          "blocks 384 to end", "every chunk that is old enough"));
}

TEST_F(BlockPlanTest, NothingIsCompressedThatIsNotToBe) {
  config_.hypertables[0].compress.reset();
  EXPECT_THAT(InTurn(Make()),
              ElementsAre("blocks 0 to 128", "blocks 128 to 256", "blocks 256 to 384", "blocks 384 to end"));
}

}  // namespace
}  // namespace hypershift
