// Promise: what a plan shows of a table is what its tasks would do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/expected_compression.h"
#include "coordinator/plan_outline.h"
#include "tests/unit/catalog_builder.h"

namespace hypershift {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Oid kInt8 = 20;
constexpr Oid kText = 25;

// One hypertable by an integer, of ten chunks.
class PlanOutlineTest : public ::testing::Test {
 protected:
  PlanOutlineTest() {
    config_.hypertables.resize(1);
    config_.hypertables[0].table = {"public", "events"};
    config_.hypertables[0].time_column_name = "n";
    config_.hypertables[0].chunk_time_interval = {100, false, "100"};
    config_.hypertables[0].compress = CompressConfig{};
    config_.hypertables[0].compress->segmentby = {"k"};
    events_ = builder_.AddTable("public", "events", {{"n", kInt8}, {"k", kInt8}, {"x", kInt8}});
    Table& table = builder_.catalog.tables.at(events_);
    table.heap_bytes = table.total_bytes = 1 << 20;
    table.rows = 1000;
    builder_.AddIndex(events_, "events_n", {"n"});
    target_.timescaledb_version = "2.28.0";
    target_.direct_compress = target_.client_sorted = true;
  }

  PlanOutline Outline() {
    hypertables_.clear();
    selection_ = SelectTables(config_, builder_.catalog);
    for (const HypertableConfig& config : config_.hypertables) {
      const absl::StatusOr<HypertableSpec> spec = ResolveHypertable(config, builder_.catalog);
      EXPECT_TRUE(spec.ok()) << spec.status();
      hypertables_.push_back(*spec);
      TimeProfile& profile = profiles_[spec->table->oid];
      profile.empty = false;
      profile.maximum = 999;
      profile.chunk_starts.clear();
      for (int64_t start = 0; start < 1000; start += 100) profile.chunk_starts.push_back(start);
      if (config.compress.has_value()) compression_[spec->table->oid] = ExpectCompression(*spec).settings;
    }
    const PlannerInput input{config_, builder_.catalog, target_,    selection_, hypertables_, profiles_,
                             keys_,   compression_,     post_data_, restored_};
    std::vector<std::string> left_out;
    return OutlinePlan(input, MakePlan(input, 1, &left_out));
  }

  HypertableOutline OutlineHypertable() { return *Outline().tables.at(0).hypertable; }

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

TEST_F(PlanOutlineTest, CountsChunksThatAreCompressedDirectly) {
  const HypertableOutline outline = OutlineHypertable();
  EXPECT_EQ(outline.chunks, 10);
  EXPECT_EQ(outline.chunks_compressed_directly, 10);
  EXPECT_EQ(outline.chunks_compressed_afterwards, 0);
  EXPECT_EQ(outline.chunks_uncompressed, 0);
  EXPECT_TRUE(outline.sorted);
  EXPECT_THAT(outline.segmentby, ElementsAre("k"));
  EXPECT_THAT(outline.orderby, ElementsAre("n DESC"));
  EXPECT_FALSE(outline.orderby_assumed);
}

TEST_F(PlanOutlineTest, CountsChunksThatAreCompressedAfterwards) {
  target_.direct_compress = target_.client_sorted = false;
  const HypertableOutline outline = OutlineHypertable();
  EXPECT_EQ(outline.chunks_compressed_directly, 0);
  EXPECT_EQ(outline.chunks_compressed_afterwards, 10);
  EXPECT_FALSE(outline.direct);
}

TEST_F(PlanOutlineTest, LeavesYoungChunksUncompressed) {
  config_.hypertables[0].compress->after = Interval{250, false, "250"};
  const HypertableOutline outline = OutlineHypertable();
  EXPECT_EQ(outline.chunks_compressed_directly, 7);
  EXPECT_EQ(outline.chunks_uncompressed, 3);
  EXPECT_EQ(outline.compress_after, "250");
}

TEST_F(PlanOutlineTest, LeavesAllChunksUncompressedWithoutCompress) {
  config_.hypertables[0].compress.reset();
  const HypertableOutline outline = OutlineHypertable();
  EXPECT_FALSE(outline.compress);
  EXPECT_EQ(outline.chunks_uncompressed, 10);
  EXPECT_THAT(outline.orderby, IsEmpty());
}

// Each of an interval's hash partitions is a chunk.
TEST_F(PlanOutlineTest, CountsHashPartitions) {
  config_.hypertables[0].partitioning_column = "x";
  config_.hypertables[0].number_partitions = 3;
  config_.hypertables[0].compress->after = Interval{250, false, "250"};
  HypertableOutline outline = OutlineHypertable();
  EXPECT_EQ(outline.partitioning_column, "x");
  EXPECT_EQ(outline.number_partitions, 3);
  EXPECT_EQ(outline.chunks, 30);
  EXPECT_EQ(outline.chunks_compressed_directly, 21);
  EXPECT_EQ(outline.chunks_uncompressed, 9);
  target_.direct_compress = target_.client_sorted = false;
  outline = OutlineHypertable();
  EXPECT_EQ(outline.chunks_compressed_afterwards, 21);
  EXPECT_EQ(outline.chunks_uncompressed, 9);
}

TEST_F(PlanOutlineTest, KnowsNoChunksWithoutATimeIndex) {
  builder_.catalog.indexes.clear();
  const PlanOutline outline = Outline();
  EXPECT_EQ(outline.tables[0].method, SplitMethod::kCtid);
  EXPECT_EQ(outline.tables[0].ranges, 1);
  EXPECT_FALSE(outline.tables[0].hypertable->chunks.has_value());
  EXPECT_EQ(outline.tables[0].hypertable->chunks_uncompressed, 0);
  EXPECT_TRUE(outline.tables[0].hypertable->direct);
}

// A table in the order of its numbers, in four ranges.
TEST_F(PlanOutlineTest, CountsChunksThatAreCompressedWhileTheCopyGoesOn) {
  builder_.catalog.indexes.clear();
  Table& table = builder_.catalog.tables.at(events_);
  table.heap_bytes = table.total_bytes = int64_t{2} << 30;
  for (int i = 0; i < 1000; ++i) profiles_[events_].block_samples[events_].push_back({i * (2 << 17) / 1000, i});
  const PlanOutline outline = Outline();
  EXPECT_EQ(outline.tables[0].ranges, 32);
  EXPECT_EQ(outline.tables[0].hypertable->chunks_compressed_early, 10);
  EXPECT_EQ(outline.tables[0].hypertable->chunks_compressed_directly, 0);
  EXPECT_EQ(outline.tables[0].hypertable->chunks_compressed_afterwards, 0);
  EXPECT_FALSE(outline.tables[0].hypertable->chunks.has_value());
}

TEST_F(PlanOutlineTest, NamesTheColumnsThatMakeItText) {
  const Oid oid = builder_.AddTable("public", "pairs", {{"id", kInt8}, {"p", kText}});
  builder_.catalog.tables.at(oid).columns[1].traits.binary_safe = false;
  const PlanOutline outline = Outline();
  EXPECT_EQ(outline.tables[1].format, v1::COPY_FORMAT_TEXT);
  EXPECT_THAT(outline.tables[1].text_columns, ElementsAre("p (type 25)"));
  EXPECT_THAT(outline.tables[0].text_columns, IsEmpty());
}

TEST_F(PlanOutlineTest, KnowsRowsOnlyByStatistics) {
  builder_.AddTable("public", "nothing_there", {{"id", kInt8}});
  const Oid oid = builder_.AddTable("public", "unknown", {{"id", kInt8}});
  builder_.catalog.tables.at(oid).heap_bytes = 8192;
  const PlanOutline outline = Outline();
  EXPECT_EQ(outline.tables[0].estimated_rows, 1000);
  EXPECT_EQ(outline.tables[1].estimated_rows, 0);
  EXPECT_FALSE(outline.tables[2].estimated_rows.has_value());
}

TEST(ExpectCompressionTest, AddsTheTimeColumnWhereTimescaleDoes) {
  HypertableConfig config;
  config.time_column_name = "at";
  config.compress = CompressConfig{};
  config.compress->orderby = {{"k", false, false}};
  HypertableSpec spec;
  spec.config = &config;
  ExpectedCompression expected = ExpectCompression(spec);
  ASSERT_EQ(expected.settings.orderby.size(), 2);
  EXPECT_EQ(expected.settings.orderby[1].column, "at");
  EXPECT_TRUE(expected.settings.orderby[1].descending);
  EXPECT_TRUE(expected.settings.orderby[1].nulls_first);
  EXPECT_TRUE(expected.assumed);
  config.compress->orderby = {{"at", false, false}};
  expected = ExpectCompression(spec);
  EXPECT_EQ(expected.settings.orderby.size(), 1);
  EXPECT_FALSE(expected.assumed);
}

}  // namespace
}  // namespace hypershift
