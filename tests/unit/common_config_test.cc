#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "common/config.h"

namespace hypershift {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Config MustParse(const std::string& yaml) {
  auto config = ParseConfig(yaml, "hypershift.yml");
  EXPECT_TRUE(config.ok()) << config.status() << "\n" << yaml;
  return config.ok() ? *config : Config();
}

std::string ErrorOf(const std::string& yaml) {
  const auto config = ParseConfig(yaml, "hypershift.yml");
  EXPECT_TRUE(absl::IsInvalidArgument(config.status())) << config.status() << "\n" << yaml;
  return std::string(config.status().message());
}

constexpr char kEverything[] = R"(
source: postgres://me:pw@db/shop
target: host=ts dbname=shop
parallel: 16
verify: true
exclude_tables: [public.log, '"Mixed"."Table"']
exclude_schemas: [audit]
hypertable_configs:
  - schema: public
    name: flights
    time_column_name: date
    chunk_time_interval: 14d
    compress:
      after: 4w
      segmentby: [origin]
      orderby: [date desc, '"Delay" nulls first']
parallel_min_table_size: 64
target_task_size: 32
table_priorities: {public.orders: 10, '"Mixed"."Table"': -1}
foreign_keys_priority: deferred
log_format: json
create_db: yes
drop_incompatible_hypertable_constraints: true
ignore_missing_time_index: true
hide_progress: true
verbose: true
)";

// Every key of the public surface means what it always meant.
TEST(ParseConfigTest, ReadsEveryKey) {
  const Config config = MustParse(kEverything);
  EXPECT_EQ(config.source, "postgres://me:pw@db/shop");
  EXPECT_EQ(config.target, "host=ts dbname=shop");
  EXPECT_EQ(config.parallel, 16);
  EXPECT_TRUE(config.verify);
  EXPECT_THAT(config.filter.exclude_tables,
              ElementsAre(QualifiedName{"public", "log"}, QualifiedName{"Mixed", "Table"}));
  EXPECT_THAT(config.filter.exclude_schemas, ElementsAre("audit"));
  ASSERT_EQ(config.hypertables.size(), 1u);
  const HypertableConfig& hypertable = config.hypertables[0];
  EXPECT_EQ(hypertable.table, (QualifiedName{"public", "flights"}));
  EXPECT_EQ(hypertable.time_column_name, "date");
  EXPECT_EQ(hypertable.chunk_time_interval.value, 14 * 86400 * int64_t{1000000});
  EXPECT_EQ(hypertable.line, 9);
  ASSERT_TRUE(hypertable.compress);
  EXPECT_EQ(hypertable.compress->after->text, "4w");
  EXPECT_THAT(hypertable.compress->segmentby, ElementsAre("origin"));
  EXPECT_THAT(hypertable.compress->orderby,
              ElementsAre(OrderByColumn{"date", true, true}, OrderByColumn{"Delay", false, true}));
  EXPECT_EQ(config.parallel_min_table_size_mib, 64);
  EXPECT_EQ(config.target_task_size_mib, 32);
  EXPECT_THAT(config.table_priorities, ElementsAre(std::pair(QualifiedName{"Mixed", "Table"}, -1),
                                                   std::pair(QualifiedName{"public", "orders"}, 10)));
  EXPECT_EQ(config.foreign_keys_priority, ForeignKeysPriority::kDeferred);
  EXPECT_EQ(config.log_format, LogFormat::kJson);
  EXPECT_TRUE(config.create_db && config.drop_incompatible_hypertable_constraints && config.ignore_missing_time_index &&
              config.hide_progress && config.verbose);
}

TEST(ParseConfigTest, DefaultsAreTheDocumentedOnes) {
  for (const char* yaml : {"", "# nothing\n", "---\n", "parallel:\ninclude_tables:\nsource: ~\n"}) {
    const Config config = MustParse(yaml);
    EXPECT_EQ(config.source, "");
    EXPECT_EQ(config.parallel, 8);
    EXPECT_EQ(config.parallel_min_table_size_mib, 128);
    EXPECT_EQ(config.target_task_size_mib, 512);
    EXPECT_EQ(config.foreign_keys_priority, ForeignKeysPriority::kUnchecked);
    EXPECT_EQ(config.log_format, LogFormat::kText);
    EXPECT_FALSE(config.verify || config.create_db || config.drop_incompatible_hypertable_constraints ||
                 config.ignore_missing_time_index || config.hide_progress || config.verbose);
    EXPECT_TRUE(config.hypertables.empty());
  }
}

std::string Hypertable(const std::string& rest) {
  return "hypertable_configs:\n- schema: s\n  name: t\n  time_column_name: at\n" + rest;
}

TEST(ParseConfigTest, ChunkIntervalIsAWeekByDefault) {
  const Config config = MustParse(Hypertable(""));
  EXPECT_EQ(config.hypertables[0].chunk_time_interval, *ParseInterval("7d"));
  EXPECT_FALSE(config.hypertables[0].compress);
}

// segmentby and orderby as a list or as one string; each part of compress is optional.
TEST(ParseConfigTest, CompressHasSeveralForms) {
  const Config one = MustParse(Hypertable("  compress: {segmentby: device, orderby: 'at desc, \"A,b\"'}\n"));
  EXPECT_THAT(one.hypertables[0].compress->segmentby, ElementsAre("device"));
  EXPECT_THAT(one.hypertables[0].compress->orderby,
              ElementsAre(OrderByColumn{"at", true, true}, OrderByColumn{"A,b", false, false}));
  EXPECT_FALSE(one.hypertables[0].compress->after);
  const Config two = MustParse(Hypertable("  compress: {segmentby: [a, b], orderby: [at desc, c]}\n"));
  EXPECT_THAT(two.hypertables[0].compress->segmentby, ElementsAre("a", "b"));
  EXPECT_EQ(two.hypertables[0].compress->orderby.size(), 2u);
  const Config only_after = MustParse(Hypertable("  compress: {after: 86400000000}\n"));
  EXPECT_EQ(only_after.hypertables[0].compress->after->value, 86400000000);
  EXPECT_FALSE(only_after.hypertables[0].compress->after->has_unit);
  EXPECT_TRUE(MustParse(Hypertable("  compress: {}\n")).hypertables[0].compress);
}

// Promise: a hash dimension is named as create_hypertable names it.
TEST(ParseConfigTest, TakesAHashDimension) {
  const Config none = MustParse(Hypertable(""));
  EXPECT_EQ(none.hypertables[0].partitioning_column, "");
  EXPECT_EQ(none.hypertables[0].number_partitions, 0);
  const Config most = MustParse(Hypertable("  partitioning_column: '\"Device\"'\n  number_partitions: 32767\n"));
  EXPECT_EQ(most.hypertables[0].partitioning_column, "Device");
  EXPECT_EQ(most.hypertables[0].number_partitions, 32767);
  const Config one = MustParse(Hypertable("  number_partitions: 1\n  partitioning_column: Device\n"));
  EXPECT_EQ(one.hypertables[0].partitioning_column, "device");
  EXPECT_EQ(one.hypertables[0].number_partitions, 1);
}

struct BadConfig {
  std::string yaml;
  const char* error;
};

// Bad input: one line that names the place and what to write instead.
TEST(ParseConfigTest, ErrorsNameTheLineAndTheRemedy) {
  const BadConfig cases[] = {
      {"\nparalel: 4\n", "hypershift.yml:2: unknown key 'paralel' (did you mean 'parallel'?)"},
      {Hypertable("  compress:\n    segment_by: [a]\n"),
       "hypershift.yml:6: unknown key 'segment_by' (did you mean 'segmentby'?)"},
      {"xyzzy: 1\n", "hypershift.yml:1: unknown key 'xyzzy'; known are create_db, drop_inc"},
      {"verify: true\nparallel: 3\nverify: false\n",
       "hypershift.yml:3: the key 'verify' stands here again, after line 1"},
      {"parallel: many\n", "hypershift.yml:1: 'parallel' must be an integer"},
      {"table_priorities: [public.t]\n",
       "hypershift.yml:1: 'table_priorities' must be a map of schema.table to a number"},
      {"table_priorities:\n  public.t: high\n", "hypershift.yml:2: 'table_priorities' must be an integer"},
      {"table_priorities:\n  t: 1\n", "hypershift.yml:2: 'table_priorities': "},
      {"parallel: [1]\n", "hypershift.yml:1: 'parallel' must be an integer"},
      {"parallel: 1.5\n", "hypershift.yml:1: 'parallel' must be an integer"},
      {"parallel: 99999999999\n", "hypershift.yml:1: 'parallel' must be an integer"},
      {"\n\nparallel: 0\n", "hypershift.yml:3: 'parallel' must be from 1"},
      {"verify: 1\n", "hypershift.yml:1: 'verify' must be true or false"},
      {"verify: 'true'\n", "hypershift.yml:1: 'verify' must be true or false"},
      {"verify: maybe\n", "hypershift.yml:1: 'verify' must be true or false"},
      {"source: [a]\n", "hypershift.yml:1: 'source' must be a string"},
      {"log_format: xml\n", "hypershift.yml:1: 'log_format' must be one of json, text"},
      {"foreign_keys_priority: never\n", "hypershift.yml:1: 'foreign_keys_priority' must be one of"},
      {"include_tables: public.a\n", "hypershift.yml:1: 'include_tables' must be a list of schema.table"},
      {"include_tables:\n- public.a\n- flights\n",
       "hypershift.yml:3: 'include_tables': 'flights': the schema is missing"},
      {"include_tables: [a.b]\n\nexclude_tables: [a.c]\n",
       "hypershift.yml:3: 'include_tables' and 'exclude_tables' exclude each other"},
      {"include_schemas: [a]\nexclude_schemas: [b]\n",
       "hypershift.yml:2: 'include_schemas' and 'exclude_schemas' exclude each other"},
      {"include_schemas: [a]\ninclude_tables: [a.b]\n", "hypershift.yml:1: 'include_tables' names exactly"},
      {"include_tables: [a.b]\nexclude_schemas: [a]\n", "hypershift.yml:2: 'include_tables' names a.b, but"},
      {"hypertable_configs: {schema: a}\n", "hypershift.yml:1: 'hypertable_configs' must be a list"},
      {"hypertable_configs:\n- schema: a\n  name: b\n",
       "hypershift.yml:2: an entry of 'hypertable_configs' needs 'time_column_name'"},
      {"hypertable_configs:\n- schema: a\n  name:\n  time_column_name: t\n", "needs 'name'"},
      {"hypertable_configs: [x]\n",
       "hypershift.yml:1: an entry of 'hypertable_configs' must be written as 'key: value'"},
      {Hypertable("- {schema: s, name: '\"t\"', time_column_name: x}\n"),
       "hypershift.yml:5: hypertable s.t: the table has an entry already"},
      {Hypertable("  chunk_time_interval: 1 fortnight\n"),
       "hypershift.yml:5: 'chunk_time_interval': '1 fortnight' is not an interval"},
      {Hypertable("  compress: true\n"), "hypershift.yml:5: 'compress' must be written as 'key: value' lines"},
      {Hypertable("  compress: {orderby: [at down]}\n"), "hypershift.yml:5: 'orderby': 'at down': 'down' does not fit"},
      {Hypertable("  compress: {segmentby: [a, a]}\n"), "'segmentby' names 'a' twice"},
      {Hypertable("  compress: {segmentby: [at]}\n"), "the time column 'at' can't be in 'segmentby'"},
      {Hypertable("  compress: {segmentby: a, orderby: [a desc]}\n"), "can't be in both 'segmentby' and 'orderby'"},
      {Hypertable("  partitioning_column: a\n"),
       "hypershift.yml:2: hypertable s.t: 'partitioning_column' needs 'number_partitions' beside it"},
      {Hypertable("  number_partitions: 4\n"),
       "hypershift.yml:2: hypertable s.t: 'number_partitions' needs 'partitioning_column' beside it"},
      {Hypertable("  partitioning_column: at\n  number_partitions: 4\n"),
       "hypershift.yml:2: hypertable s.t: the time column 'at' can't be the 'partitioning_column'"},
      {Hypertable("  partitioning_column: a\n  number_partitions: 0\n"),
       "hypershift.yml:6: 'number_partitions' must be an integer from 1 to 32767"},
      {Hypertable("  partitioning_column: a\n  number_partitions: -1\n"), "must be an integer from 1 to 32767"},
      {Hypertable("  partitioning_column: a\n  number_partitions: 32768\n"), "must be an integer from 1 to 32767"},
      {Hypertable("  partitioning_column: a\n  number_partitions: few\n"),
       "hypershift.yml:6: 'number_partitions' must be an integer"},
      {Hypertable("  partitioning_column: [a]\n  number_partitions: 2\n"),
       "hypershift.yml:5: 'partitioning_column' must be a name"},
      {"just words\n", "hypershift.yml:1: the configuration must be written as 'key: value' lines"},
      {"a: [1\n", "not valid YAML"},
      {"verify: true\n---\nverify: false\n", "more than one document"},
      {",verify", "hypershift.yml:1: not valid YAML: neither a key nor a value begins here"},
      {"verify: true\n,verify", "hypershift.yml:2: not valid YAML"},
      {"include: &a [x, \"I\\\n\"", "not valid YAML"},
  };
  for (const BadConfig& test : cases) {
    const std::string error = ErrorOf(test.yaml);
    EXPECT_THAT(error, AllOf(StartsWith("hypershift.yml:"), HasSubstr(test.error), Not(HasSubstr("\n")))) << test.yaml;
  }
}

// A password in a file that can't be parsed is not shown.
TEST(ParseConfigTest, ErrorsDoNotShowConnectionStrings) {
  for (const char* yaml :
       {"source: [postgres://me:canary@h/d]\n", "postgres://me:canary@h/d: x\n", "postgres://me:canary@h/d\n"}) {
    EXPECT_THAT(ErrorOf(yaml), Not(HasSubstr("canary"))) << yaml;
  }
}

// The parser's limits hold: no crash, no endless time.
TEST(ParseConfigTest, SurvivesHostileDocuments) {
  EXPECT_THAT(ErrorOf(std::string(100000, '[')), StartsWith("hypershift.yml"));
  EXPECT_THAT(ErrorOf(std::string("a: &a [*a]\n")), StartsWith("hypershift.yml"));
  EXPECT_THAT(ErrorOf(std::string(17 << 20, ' ')), HasSubstr("larger than"));
}

TEST(ParseIntervalTest, KnowsEveryUnit) {
  EXPECT_EQ(ParseInterval("45s")->value, 45'000'000);
  EXPECT_EQ(ParseInterval("30m")->value, 1'800'000'000);
  EXPECT_EQ(ParseInterval("12h")->value, 43'200'000'000);
  EXPECT_EQ(ParseInterval("7d")->value, 604'800'000'000);
  EXPECT_EQ(ParseInterval(" 4w ")->value, 2'419'200'000'000);
  const auto plain = ParseInterval("1000");
  EXPECT_EQ(plain->value, 1000);
  EXPECT_FALSE(plain->has_unit);
  EXPECT_EQ(ParseInterval("9223372036854775807")->value, INT64_MAX);
}

TEST(ParseIntervalTest, RefusesEverythingElse) {
  for (const char* text : {"", "d", "0", "0d", "-1d", "1.5d", "7 x", "1d2h", "7D", "9223372036854775808",
                           "99999999999999w", "0x10", "+3d"}) {
    const auto interval = ParseInterval(text);
    EXPECT_TRUE(absl::IsInvalidArgument(interval.status())) << text;
    EXPECT_THAT(std::string(interval.status().message()), HasSubstr("is not an interval"));
  }
}

// NULLS FIRST and LAST default as in SQL.
TEST(ParseOrderByTest, ReadsDirectionAndNulls) {
  EXPECT_EQ(*ParseOrderBy("a"), (OrderByColumn{"a", false, false}));
  EXPECT_EQ(*ParseOrderBy(" A  DESC "), (OrderByColumn{"a", true, true}));
  EXPECT_EQ(*ParseOrderBy("a desc nulls last"), (OrderByColumn{"a", true, false}));
  EXPECT_EQ(*ParseOrderBy("\"Two words\" asc NULLS FIRST"), (OrderByColumn{"Two words", false, true}));
  for (const char* text :
       {"", "a b", "a desc nulls", "a nulls", "a asc desc", "\"a", "a nulls first desc", "desc asc asc"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseOrderBy(text).status())) << text;
  }
}

TableFilter Filter(const std::string& yaml) { return MustParse(yaml).filter; }

TEST(TableFilterTest, IncludesByTheDocumentedRules) {
  const QualifiedName a{"s", "a"}, b{"s", "b"}, other{"x", "a"};
  const TableFilter none;
  EXPECT_TRUE(none.Includes(a) && none.Includes(other));
  const TableFilter tables = Filter("include_tables: [s.a]");
  EXPECT_TRUE(tables.Includes(a));
  EXPECT_FALSE(tables.Includes(b) || tables.Includes(other));
  const TableFilter schemas = Filter("{include_schemas: [s], exclude_tables: [s.b]}");
  EXPECT_TRUE(schemas.Includes(a));
  EXPECT_FALSE(schemas.Includes(b) || schemas.Includes(other));
  const TableFilter excluded = Filter("{exclude_schemas: [x], exclude_tables: [s.b]}");
  EXPECT_TRUE(excluded.Includes(a));
  EXPECT_FALSE(excluded.Includes(b) || excluded.Includes(other));
  EXPECT_FALSE(Filter("include_tables: ['\"S\".a']").Includes(a));
}

// A resumed run is compared by what it does to the data, not by how fast or how loud it is.
TEST(FingerprintTest, DependsOnWhatMustNotChange) {
  const std::string base = MustParse(Hypertable("")).Fingerprint();
  for (const char* same : {"parallel: 2\n", "verify: true\n", "verbose: true\n", "source: postgres://a:b@c/d\n",
                           "log_format: json\n", "hide_progress: true\n"}) {
    EXPECT_EQ(MustParse(Hypertable("") + same).Fingerprint(), base) << same;
  }
  EXPECT_EQ(MustParse("\n\n" + Hypertable("  chunk_time_interval: 168h\n")).Fingerprint(), base);
  for (const char* different : {"  chunk_time_interval: 8d\n", "  compress: {}\n", "foreign_keys_priority: disabled\n",
                                "include_schemas: [s]\n", "drop_incompatible_hypertable_constraints: true\n",
                                "exclude_tables: [s.x]\n", "- {schema: s, name: u, time_column_name: at}\n"}) {
    EXPECT_NE(MustParse(Hypertable("") + different).Fingerprint(), base) << different;
  }
  const std::string hashed = Hypertable("  partitioning_column: d\n  number_partitions: ");
  EXPECT_NE(MustParse(hashed + "4").Fingerprint(), base);
  EXPECT_NE(MustParse(hashed + "4").Fingerprint(), MustParse(hashed + "5").Fingerprint());
  EXPECT_NE(MustParse(hashed + "4").Fingerprint(),
            MustParse(Hypertable("  partitioning_column: e\n  number_partitions: 4")).Fingerprint());
  // A migration that began before there were hash dimensions is resumed.
  EXPECT_THAT(base, Not(HasSubstr("partition")));
  EXPECT_EQ(MustParse("exclude_tables: [a.b, c.d]").Fingerprint(),
            MustParse("exclude_tables: [c.d, a.b]").Fingerprint());
  EXPECT_THAT(MustParse(kEverything).Fingerprint(), Not(HasSubstr("pw")));
}

TEST(LoadConfigFileTest, ReadsAFileAndSaysWhyItCannot) {
  const std::string path = testing::TempDir() + "/hypershift_config_test_" + std::to_string(getpid()) + ".yml";
  std::ofstream(path) << "parallel: 3\n";
  const auto config = LoadConfigFile(path);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->parallel, 3);
  std::ofstream(path) << "paralel: 3\n";
  EXPECT_THAT(std::string(LoadConfigFile(path).status().message()), StartsWith(path + ":1: unknown key"));
  std::ofstream(path) << "";
  EXPECT_TRUE(LoadConfigFile(path).ok());
  std::remove(path.c_str());
  EXPECT_TRUE(absl::IsNotFound(LoadConfigFile(path).status()));
  EXPECT_THAT(std::string(LoadConfigFile(path).status().message()), HasSubstr("No such file"));
  EXPECT_TRUE(absl::IsNotFound(LoadConfigFile(testing::TempDir()).status()));
}

}  // namespace
}  // namespace hypershift
