// Promise: chunks made ahead of their rows are bounded as TimescaleDB would have bounded them. What a real server draws
// is compared in tests/integration/hash_dimensions.test.mjs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "coordinator/chunk_slices.h"
#include "tests/unit/catalog_builder.h"

namespace hypershift {
namespace {

using ::testing::ElementsAre;

constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
constexpr int64_t kGreatest = std::numeric_limits<int64_t>::max();

TEST(ChunkSlicesTest, HashPartitionsDivideTheHashesAndTheLastTakesTheRest) {
  const std::vector<Slice> one = HashSlices(1);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].start, kLeast);
  EXPECT_EQ(one[0].end, kGreatest);
  const std::vector<Slice> three = HashSlices(3);
  ASSERT_EQ(three.size(), 3u);
  EXPECT_EQ(three[0].end, 715827882);
  EXPECT_EQ(three[1].end, 1431655764);
  for (int partitions : {2, 3, 4, 7, 100, 32767}) {
    const std::vector<Slice> slices = HashSlices(partitions);
    ASSERT_EQ(slices.size(), static_cast<size_t>(partitions));
    EXPECT_EQ(slices.front().start, kLeast);
    EXPECT_EQ(slices.back().end, kGreatest);
    for (size_t i = 1; i < slices.size(); ++i) {
      ASSERT_EQ(slices[i].start, slices[i - 1].end);
      ASSERT_EQ(slices[i].start, static_cast<int64_t>(i) * (2147483647 / partitions));
    }
  }
}

TEST(ChunkSlicesTest, ASliceIsOpenWhereItsTypeEnds) {
  Column column;
  HypertableSpec hypertable;
  hypertable.time_column = &column;
  hypertable.chunk_interval = 1000;
  const auto slice = [&](Oid type, int64_t start) {
    column.base_type = type;
    const Slice found = TimeSlice(hypertable, start);
    return std::pair(found.start, found.end);
  };
  constexpr Oid kSmallint = 21, kInt = 23, kBigint = 20;
  EXPECT_EQ(slice(kSmallint, -33000), std::pair(kLeast, int64_t{-32000}));
  EXPECT_EQ(slice(kSmallint, -32000), std::pair(int64_t{-32000}, int64_t{-31000}));
  EXPECT_EQ(slice(kSmallint, 32000), std::pair(int64_t{32000}, kGreatest));
  EXPECT_EQ(slice(kInt, 32000), std::pair(int64_t{32000}, int64_t{33000}));
  EXPECT_EQ(slice(kInt, 2147483000), std::pair(int64_t{2147483000}, kGreatest));
  EXPECT_EQ(slice(kBigint, 2147483000), std::pair(int64_t{2147483000}, int64_t{2147484000}));
}

TEST(ChunkSlicesTest, EachChunkHasASliceOfEveryDimension) {
  CatalogBuilder builder;
  builder.AddTable("public", "m", {{"t", 20}, {"De\"vice", 23}});
  HypertableConfig config;
  config.table = {"public", "m"};
  config.time_column_name = "t";
  config.chunk_time_interval = *ParseInterval("100");
  EXPECT_THAT(ChunkSlices(*ResolveHypertable(config, builder.catalog), -100), ElementsAre(R"({"t": [-100, 0]})"));
  config.partitioning_column = "De\"vice";
  config.number_partitions = 2;
  EXPECT_THAT(ChunkSlices(*ResolveHypertable(config, builder.catalog), -100),
              ElementsAre(R"({"t": [-100, 0], "De\"vice": [-9223372036854775808, 1073741823]})",
                          R"({"t": [-100, 0], "De\"vice": [1073741823, 9223372036854775807]})"));
}

TEST(ChunkSlicesTest, ASegmentIsSpreadUnlessItHasThePartitioningColumn) {
  CatalogBuilder builder;
  const Oid oid = builder.AddTable("public", "m", {{"t", 20}, {"a", 23}, {"b", 23}});
  HypertableConfig config;
  config.table = {"public", "m"};
  config.time_column_name = "t";
  config.chunk_time_interval = *ParseInterval("100");
  EXPECT_EQ(ChunksPerSegment(*ResolveHypertable(config, builder.catalog), {"a"}), 1);
  config.partitioning_column = "b";
  config.number_partitions = 8;
  const HypertableSpec spec = *ResolveHypertable(config, builder.catalog);
  EXPECT_EQ(ChunksPerSegment(spec, {"a"}), 8);
  EXPECT_EQ(ChunksPerSegment(spec, {}), 8);
  EXPECT_EQ(ChunksPerSegment(spec, {"a", "b"}), 1);
  // Three values are in three partitions at most.
  builder.catalog.tables.at(oid).columns[2].distinct = 3;
  EXPECT_EQ(ChunksPerSegment(spec, {"a"}), 3);
}

}  // namespace
}  // namespace hypershift
