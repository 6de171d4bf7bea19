#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "coordinator/hypertable_spec.h"
#include "tests/unit/catalog_builder.h"

namespace hypershift {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

TEST(HypertableSpecTest, ChunksBeginAtMultiplesOfTheIntervalBelowZeroToo) {
  EXPECT_EQ(ChunkStart(25, 10), 20);
  EXPECT_EQ(ChunkStart(20, 10), 20);
  EXPECT_EQ(ChunkStart(-1, 10), -10);
  EXPECT_EQ(ChunkStart(-10, 10), -10);
  EXPECT_EQ(ChunkStart(-11, 10), -20);
}

TEST(HypertableSpecTest, WritesTimesThatPostgresReadsBack) {
  EXPECT_EQ(TimeLiteral(TimeType::kTimestamptz, 0), "'1970-01-01 00:00:00+00'::timestamptz");
  EXPECT_EQ(TimeLiteral(TimeType::kTimestamptz, -1), "'1969-12-31 23:59:59.999999+00'::timestamptz");
  EXPECT_EQ(TimeLiteral(TimeType::kTimestamp, 1'500'000), "'1970-01-01 00:00:01.500000'::timestamp");
  EXPECT_EQ(TimeLiteral(TimeType::kDate, kMicrosecondsPerDay), "'1970-01-02'::date");
  EXPECT_EQ(TimeLiteral(TimeType::kInteger, -7), "-7");
  // 0001-12-31 BC is the day before 0001-01-01.
  const int64_t year_one = -719162 * kMicrosecondsPerDay;
  EXPECT_EQ(TimeLiteral(TimeType::kDate, year_one), "'0001-01-01'::date");
  EXPECT_EQ(TimeLiteral(TimeType::kDate, year_one - kMicrosecondsPerDay), "'0001-12-31 BC'::date");
}

TEST(HypertableSpecTest, NamesThePlaceAndTheNearestName) {
  CatalogBuilder builder;
  builder.AddTable("public", "flights", {{"date", 1184}, {"origin", 25}});
  HypertableConfig config;
  config.table = {"public", "flihgts"};
  config.time_column_name = "date";
  config.line = 12;
  absl::Status status = ResolveHypertable(config, builder.catalog).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("line 12"));
  EXPECT_THAT(status.message(), HasSubstr("did you mean 'public.flights'"));
  config.table.name = "flights";
  config.time_column_name = "dat";
  status = ResolveHypertable(config, builder.catalog).status();
  EXPECT_THAT(status.message(), HasSubstr("did you mean 'date'"));
  config.time_column_name = "origin";
  status = ResolveHypertable(config, builder.catalog).status();
  EXPECT_THAT(status.message(), HasSubstr("has type"));
}

// Promise: integer time takes plain numbers in its own unit, never an interval with a unit.
TEST(HypertableSpecTest, IntegerTimeRefusesUnits) {
  CatalogBuilder builder;
  builder.AddTable("public", "ticks", {{"t", 20}});
  HypertableConfig config;
  config.table = {"public", "ticks"};
  config.time_column_name = "t";
  config.chunk_time_interval = *ParseInterval("7d");
  EXPECT_THAT(ResolveHypertable(config, builder.catalog).status().message(), HasSubstr("plain integer"));
  config.chunk_time_interval = *ParseInterval("1000");
  const absl::StatusOr<HypertableSpec> spec = ResolveHypertable(config, builder.catalog);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->chunk_interval, 1000);
}

TEST(HypertableSpecTest, OnlyAWholeValidBtreeIndexLedByTimeCounts) {
  CatalogBuilder builder;
  const Oid table = builder.AddTable("public", "m", {{"t", 1184}, {"d", 23}});
  HypertableConfig config;
  config.table = {"public", "m"};
  config.time_column_name = "t";
  config.chunk_time_interval = *ParseInterval("1d");
  Index& partial = builder.AddIndex(table, "partial", {"t"});
  partial.partial = true;
  builder.AddIndex(table, "second", {"d", "t"});
  Index& invalid = builder.AddIndex(table, "invalid", {"t"});
  invalid.valid = false;
  EXPECT_EQ(ResolveHypertable(config, builder.catalog)->time_index, nullptr);
  builder.AddIndex(table, "good", {"t", "d"});
  ASSERT_NE(ResolveHypertable(config, builder.catalog)->time_index, nullptr);
  EXPECT_EQ(ResolveHypertable(config, builder.catalog)->time_index->name, "good");
}

TEST(HypertableSpecTest, FindsKeysThatAHypertableCantHave) {
  CatalogBuilder builder;
  const Oid measurements = builder.AddTable("public", "m", {{"t", 1184}, {"id", 23}});
  const Oid notes = builder.AddTable("public", "notes", {{"m_id", 23}});
  builder.AddConstraint(measurements, "m_pkey", 'p', {"id"}).index = 901;
  builder.AddConstraint(measurements, "m_time_id", 'u', {"t", "id"}).index = 902;
  Constraint& reference = builder.AddConstraint(notes, "notes_m", 'f', {"m_id"});
  reference.referenced_table = measurements;
  reference.referenced_index = 901;
  HypertableConfig config;
  config.table = {"public", "m"};
  config.time_column_name = "t";
  config.chunk_time_interval = *ParseInterval("1d");
  const std::vector<HypertableSpec> hypertables = {*ResolveHypertable(config, builder.catalog)};
  std::vector<std::string> names;
  for (const IncompatibleConstraint& bad : FindIncompatibleConstraints(hypertables, builder.catalog)) {
    names.push_back(bad.constraint->name);
  }
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("m_pkey", "notes_m"));
}

HypertableConfig Hashed(const std::string& column, int partitions) {
  HypertableConfig config;
  config.table = {"public", "m"};
  config.time_column_name = "t";
  config.chunk_time_interval = *ParseInterval("1d");
  config.partitioning_column = column;
  config.number_partitions = partitions;
  config.line = 12;
  return config;
}

TEST(HypertableSpecTest, RefusesAPartitioningColumnThatCantBeHashed) {
  CatalogBuilder builder;
  const Oid oid = builder.AddTable("public", "m", {{"t", 1184}, {"device", 23}, {"made", 23}, {"place", 600}});
  std::vector<Column>& columns = builder.catalog.tables.at(oid).columns;
  columns[2].generated = true;
  columns[3].traits.hashable = false;
  const auto error = [&](const std::string& column) {
    const absl::Status status = ResolveHypertable(Hashed(column, 4), builder.catalog).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_EQ(error("devise"),
            "hypertable_configs (line 12): public.m: partitioning_column: there is no column 'devise' (did you mean "
            "'device'?)");
  EXPECT_EQ(error("made"),
            "hypertable_configs (line 12): public.m: partitioning_column: 'made' is a generated column, which can't "
            "partition a hypertable: name another one");
  EXPECT_EQ(error("place"),
            "hypertable_configs (line 12): public.m: partitioning_column: 'place' has type type 600, which has no hash "
            "function to partition by: name another column");
}

TEST(HypertableSpecTest, KeysMustContainThePartitioningColumnToo) {
  CatalogBuilder builder;
  const Oid m = builder.AddTable("public", "m", {{"t", 1184}, {"device", 23}, {"id", 23}});
  builder.AddConstraint(m, "whole", 'p', {"device", "t"}).index = 901;
  builder.AddConstraint(m, "no_device", 'u', {"t", "id"}).index = 902;
  builder.AddConstraint(m, "no_time", 'x', {"device"}).index = 903;
  builder.AddConstraint(m, "neither", 'u', {"id"}).index = 904;
  builder.AddIndex(m, "index_whole", {"id", "t", "device"}).unique = true;
  builder.AddIndex(m, "index_no_device", {"t"}).unique = true;
  builder.AddIndex(m, "index_of_any", {"id"});
  const HypertableConfig config = Hashed("device", 4);
  const HypertableSpec spec = *ResolveHypertable(config, builder.catalog);
  std::map<std::string, std::string> reasons;
  for (const IncompatibleConstraint& bad : FindIncompatibleConstraints({spec}, builder.catalog)) {
    reasons[bad.constraint->name] = bad.reason;
  }
  EXPECT_THAT(reasons,
              ::testing::UnorderedElementsAre(
                  Pair("no_device", "a hypertable's keys must contain its partitioning column 'device'"),
                  Pair("no_time", "a hypertable's keys must contain its time column 't'"),
                  Pair("neither",
                       "a hypertable's keys must contain its time column 't' and its partitioning column 'device'")));
  const std::vector<IncompatibleIndex> indexes = FindIncompatibleIndexes(spec, builder.catalog);
  ASSERT_EQ(indexes.size(), 1u);
  EXPECT_EQ(indexes[0].index->name, "index_no_device");
  EXPECT_EQ(indexes[0].missing, "its partitioning column 'device'");
}

TEST(HypertableSpecTest, MakesTheHashDimension) {
  CatalogBuilder builder;
  builder.AddTable("public", "m", {{"t", 1184}, {"de'vice", 23}});
  const HypertableConfig config = Hashed("de'vice", 7);
  const HypertableSpec spec = *ResolveHypertable(config, builder.catalog);
  EXPECT_EQ(spec.chunks_per_interval(), 7);
  EXPECT_THAT(CreateHypertableSql(spec, "public")[0],
              HasSubstr("'t'::name, partitioning_column => 'de''vice'::name, number_partitions => 7, "
                        "chunk_time_interval => 86400000000::bigint"));
  const HypertableConfig without = Hashed("", 0);
  const HypertableSpec plain = *ResolveHypertable(without, builder.catalog);
  EXPECT_EQ(plain.chunks_per_interval(), 1);
  EXPECT_THAT(CreateHypertableSql(plain, "public")[0], Not(HasSubstr("partition")));
}

TEST(HypertableSpecTest, SaysSegmentbyAndOrderbyExplicitly) {
  CatalogBuilder builder;
  builder.AddTable("public", "m", {{"t", 1184}, {"De\"vice", 25}});
  HypertableConfig config;
  config.table = {"public", "m"};
  config.time_column_name = "t";
  config.chunk_time_interval = *ParseInterval("1d");
  config.compress = CompressConfig();
  config.compress->segmentby = {"De\"vice"};
  const HypertableSpec spec = *ResolveHypertable(config, builder.catalog);
  const std::vector<std::string> sql = CreateHypertableSql(spec, "public");
  ASSERT_EQ(sql.size(), 2u);
  EXPECT_THAT(sql[0], HasSubstr("create_default_indexes => false"));
  EXPECT_THAT(sql[1], HasSubstr("timescaledb.compress_segmentby = '\"De\"\"vice\"'"));
  EXPECT_THAT(sql[1], HasSubstr("timescaledb.compress_orderby = '\"t\" DESC NULLS FIRST'"));
}

}  // namespace
}  // namespace hypershift
