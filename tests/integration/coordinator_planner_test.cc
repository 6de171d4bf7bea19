// The planner on random tables of a real server: HYPERSHIFT_TEST_SOURCE_URI. Without it the test is skipped.
//
// Promise: no row falls between two ranges, and none lies in two, whatever the column's type, the values, the chunks,
// the statistics and the size of a range: every finite time once, and NULL and the infinities, which a hypertable can't
// hold, in no range of time. HYPERSHIFT_PLAN_CASES and HYPERSHIFT_PLAN_SEED ask for others than CI does.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/catalog.h"
#include "coordinator/planner.h"
#include "coordinator/time_profile.h"

namespace hypershift {
namespace {

constexpr char kSchema[] = "planned";
constexpr int kTables = 60;
constexpr int kCases = 4000;
constexpr size_t kMostRanges = 1500;  // That one statement can check.

int64_t Number(const char* variable, int64_t otherwise) {
  const char* const text = std::getenv(variable);
  int64_t number = otherwise;
  if (text != nullptr && !absl::SimpleAtoi(text, &number)) ADD_FAILURE() << variable << " is no number";
  return number;
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  int64_t Int(int64_t from, int64_t to) { return std::uniform_int_distribution<int64_t>(from, to)(engine_); }
  bool Chance(double share) { return std::uniform_real_distribution<>(0, 1)(engine_) < share; }
  template <typename T>
  T Of(const std::vector<T>& choices) {
    return choices[static_cast<size_t>(Int(0, static_cast<int64_t>(choices.size()) - 1))];
  }

 private:
  std::mt19937_64 engine_;
};

// What a random table is made by. `where_is_time`: the shape of its values along time, between 0 and 1.
struct RandomTable {
  std::string name;
  std::string type;
  bool integer = false;
  std::string sql;
};

RandomTable MakeTable(int number, Random* random) {
  RandomTable table;
  table.name = absl::StrCat("t", number);
  table.type = random->Of<std::string>({"timestamptz", "timestamp", "date", "smallint", "int", "bigint"});
  table.integer = table.type == "smallint" || table.type == "int" || table.type == "bigint";
  const std::string share = random->Of<std::string>({
      "random()",                                                                  // Even.
      "CASE WHEN random() < 0.9 THEN 0.5 + random() / 365 ELSE random() END",      // Most of a year in one day.
      "floor(random() * 5) / 5",                                                   // Few values.
      "floor(random() * 50) / 50",                                                 // On boundaries.
      "CASE WHEN random() < 0.5 THEN random() / 100 ELSE 1 - random() / 100 END",  // A hole in the middle.
      "power(random(), 4)",                                                        // More and more rare.
  });
  std::string value;
  if (table.integer) {
    const int64_t span = table.type == "smallint" ? random->Int(10, 30000) : random->Int(10, 2'000'000);
    const int64_t base = table.type == "bigint" ? random->Of<int64_t>({-span / 2, 0, 4'000'000'000'000}) : -span / 2;
    value = absl::StrCat("(", base, " + floor((", share, ") * ", span, "))::", table.type);
  } else {
    const std::string base =
        random->Of<std::string>({"2024-01-01", "1969-11-20 13:14:15.000001", "0044-03-01 BC", "1999-12-31"});
    // Every case has at most some hundreds of chunks.
    value = absl::StrCat("(timestamp '", base, "' + (", share, ") * interval '", random->Int(1, 365),
                         " days')::", table.type);
  }
  const bool indexed = random->Chance(0.75);
  const int64_t rows = random->Chance(0.1) ? 0 : random->Int(1, 2500);
  table.sql = absl::StrCat("SELECT setseed(", static_cast<double>(random->Int(0, 1000)) / 1000, ");\n", "CREATE TABLE ",
                           kSchema, ".", table.name, " (t ", table.type, ", n int, filler text);\n", "INSERT INTO ",
                           kSchema, ".", table.name, " SELECT ", value,
                           ", i, repeat('x', (random() * 100)::int) FROM generate_series(1, ", rows, ") i;\n");
  if (random->Chance(0.3)) {
    absl::StrAppend(&table.sql, "INSERT INTO ", kSchema, ".", table.name, " VALUES (NULL, 0, ''), (NULL, -1, '');\n");
  }
  if (!table.integer && random->Chance(0.3)) {
    absl::StrAppend(&table.sql, "INSERT INTO ", kSchema, ".", table.name,
                    " VALUES ('infinity', 0, ''), ('-infinity', 0, '');\n");
  }
  if (random->Chance(0.4)) absl::StrAppend(&table.sql, "DELETE FROM ", kSchema, ".", table.name, " WHERE n % 3 = 0;\n");
  if (indexed) absl::StrAppend(&table.sql, "CREATE INDEX ON ", kSchema, ".", table.name, " (t);\n");
  if (random->Chance(0.7)) absl::StrAppend(&table.sql, "ANALYZE ", kSchema, ".", table.name, ";\n");
  // What the statistics don't know.
  if (random->Chance(0.3)) {
    absl::StrAppend(&table.sql, "INSERT INTO ", kSchema, ".", table.name, " SELECT ", value,
                    ", i, '' FROM generate_series(1, 50) i;\n");
  }
  return table;
}

class CoordinatorPlannerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const uri = std::getenv("HYPERSHIFT_TEST_SOURCE_URI");
    if (uri == nullptr) GTEST_SKIP() << "no test server";
    const auto source = ConnectionString::Parse(uri, "source");
    ASSERT_TRUE(source.ok()) << source.status();
    auto session = PgSession::Open(*source, {});
    ASSERT_TRUE(session.ok()) << session.status();
    session_ = *std::move(session);
    Must(absl::StrCat("DROP SCHEMA IF EXISTS ", kSchema, " CASCADE; CREATE SCHEMA ", kSchema));
  }
  void TearDown() override {
    if (session_ != nullptr) Must(absl::StrCat("DROP SCHEMA ", kSchema, " CASCADE"));
  }

  pqxx::result Must(const std::string& sql) {
    auto result = session_->Query(sql);
    EXPECT_TRUE(result.ok()) << result.status() << "\n" << sql.substr(0, 2000);
    return result.ok() ? *result : pqxx::result();
  }

  void ReadProfile(const TimeColumn& column, TimeProfile* profile) {
    const auto bounds = ReadTimeBounds(session_.get(), column);
    ASSERT_TRUE(bounds.ok()) << bounds.status();
    *profile = *bounds;
    const absl::Status read = ReadTimeStatistics(session_.get(), column, profile);
    ASSERT_TRUE(read.ok()) << read;
  }

  std::unique_ptr<PgSession> session_;
};

// One way to make a hypertable of a table.
HypertableConfig MakeConfig(const RandomTable& table, Random* random) {
  HypertableConfig config;
  config.table = {kSchema, table.name};
  config.time_column_name = "t";
  Interval& interval = config.chunk_time_interval;
  interval.has_unit = !table.integer;
  if (table.type == "smallint") {
    interval.value = random->Int(100, 20000);
  } else if (table.integer) {
    interval.value = random->Int(5000, 3'000'000);
  } else if (table.type == "date") {
    interval.value = random->Int(1, 60) * kMicrosecondsPerDay;
  } else {
    // Odd ones too.
    interval.value = random->Chance(0.5) ? random->Int(1, 60) * kMicrosecondsPerDay
                                         : random->Int(kMicrosecondsPerDay, 40 * kMicrosecondsPerDay);
  }
  interval.text = absl::StrCat(interval.value);
  if (random->Chance(0.5)) config.compress.emplace();
  return config;
}

// The condition on rows of a COPY that the planner has written.
std::string ConditionOf(const std::string& source_sql) {
  const size_t where = source_sql.find(" WHERE ");
  if (where == std::string::npos) return "true";
  const size_t begin = where + std::string(" WHERE ").size();
  return source_sql.substr(begin, std::min(source_sql.find(" ORDER BY "), source_sql.rfind(") TO STDOUT")) - begin);
}

// SQL: how many of them hold for a row.
std::string HowMany(const std::vector<std::string>& conditions) {
  if (conditions.empty()) return "0";
  return absl::StrJoin(conditions, " + ", [](std::string* out, const std::string& condition) {
    absl::StrAppend(out, "coalesce((", condition, ")::int, 0)");
  });
}

TEST_F(CoordinatorPlannerTest, EveryRowLiesInOneRange) {
  const auto seed = static_cast<uint64_t>(Number("HYPERSHIFT_PLAN_SEED", 1));
  const int64_t cases = Number("HYPERSHIFT_PLAN_CASES", kCases);
  Random random(seed);
  std::vector<RandomTable> tables;
  for (int i = 0; i < kTables; ++i) {
    tables.push_back(MakeTable(i, &random));
    Must(tables.back().sql);
  }
  Must("BEGIN");
  auto catalog = ReadCatalog(session_.get());
  Must("COMMIT");
  ASSERT_TRUE(catalog.ok()) << catalog.status();

  int64_t ranges = 0;
  int64_t cut = 0;
  int64_t checked = 0;
  int64_t by_key_count = 0;
  int64_t grouped = 0;
  for (int64_t i = 0; i < cases && !HasFailure(); ++i) {
    const RandomTable& table = random.Of(tables);
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", case ", i, ":\n", table.sql));
    Config config;
    config.filter.include_tables = {{kSchema, table.name}};
    config.parallel = static_cast<int>(random.Int(1, 8));
    config.parallel_min_table_size_mib = 0;
    const bool hyper = random.Chance(0.8);
    if (hyper) config.hypertables = {MakeConfig(table, &random)};
    std::vector<HypertableSpec> hypertables;
    std::map<Oid, TimeProfile> profiles;
    std::map<Oid, EffectiveCompression> compression;
    TargetFacts target;
    target.timescaledb_version = "2.23.0";
    target.timescaledb_schema = "public";
    target.collation = "C";
    target.direct_compress = target.client_sorted = random.Chance(0.7);
    for (const HypertableConfig& one : config.hypertables) {
      const auto spec = ResolveHypertable(one, *catalog);
      ASSERT_TRUE(spec.ok()) << spec.status();
      TimeProfile& profile = profiles[spec->table->oid];
      if (spec->time_index != nullptr) {
        ASSERT_NO_FATAL_FAILURE(ReadProfile(spec->time(), &profile));
        const absl::Status read = ReadTimeChunks(session_.get(), spec->time(), spec->chunk_interval, &profile);
        ASSERT_TRUE(read.ok()) << read;
      }
      compression[spec->table->oid].orderby = {{"t", random.Chance(0.5), false}};
      hypertables.push_back(*spec);
    }
    const Selection selection = SelectTables(config, *catalog);
    std::map<Oid, KeyProfile> keys;
    if (random.Chance(0.3)) {
      // As before PostgreSQL 14. `n` is never NULL, as a key.
      catalog->server_version = 130000;
      const Table* by_key = catalog->FindTable({kSchema, table.name});
      KeyProfile& key = keys[by_key->oid];
      key.column = {by_key, "n", TimeType::kInteger};
      ASSERT_NO_FATAL_FAILURE(ReadProfile(key.column, &key.profile));
    } else {
      catalog->server_version = 150000;
    }
    const std::vector<SchemaEntry> post_data;
    const std::set<Oid> restored;
    PlannerInput input{config,   *catalog, target,      selection, hypertables,
                       profiles, keys,     compression, post_data, restored};
    input.source_now_microseconds = 1'700'000'000'000'000;
    input.target_task_bytes = random.Int(500, 60'000);
    std::vector<std::string> left_out;
    const Plan plan = MakePlan(input, 1, &left_out);

    std::vector<std::string> conditions;  // What is read.
    std::vector<std::string> verified;    // What is read back; some of what is read taken together.
    for (const PlannedTask& task : plan.tasks) {
      if (task.task.kind != TaskKind::KIND_COPY) continue;
      verified.push_back(task.task.range_key.empty() ? "true" : task.task.range_key);
      for (const std::string& sql : task.work.copy().source_sql()) conditions.push_back(ConditionOf(sql));
    }
    if (verified.size() < conditions.size()) ++grouped;
    ASSERT_EQ(plan.tables.size(), 1);
    if (conditions.size() > kMostRanges) continue;
    EXPECT_EQ(std::set<std::string>(conditions.begin(), conditions.end()).size(), conditions.size()) << "a range twice";
    if (plan.tables[0].method == SplitMethod::kKey) ++by_key_count;
    const bool by_time = plan.tables[0].method == SplitMethod::kTime;
    const std::string finite = table.integer ? "t IS NOT NULL" : "t IS NOT NULL AND isfinite(t)";
    const std::string times = HowMany(conditions);
    // Wherever the reader's clock stands.
    Must(absl::StrCat("SET TimeZone = '",
                      random.Of<std::string>({"UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"}),
                      "'"));
    const pqxx::result wrong = Must(absl::StrCat(
        "SELECT t::text, ctid::text, ", times, " FROM ONLY ", kSchema, ".", table.name, " WHERE ", times, " <> ",
        by_time ? absl::StrCat("(", finite, ")::int") : "1", " OR ", times, " <> ", HowMany(verified), " LIMIT 3"));
    Must("SET TimeZone = 'UTC'");
    for (const auto& row : wrong) {
      ADD_FAILURE() << "row " << row[1].c_str() << " with t = " << row[0].c_str() << " lies in " << row[2].c_str()
                    << " ranges of " << conditions.size() << (by_time ? " of time" : "") << ", chunks of "
                    << (hyper ? hypertables[0].chunk_interval : 0);
    }
    ++checked;
    ranges += static_cast<int64_t>(conditions.size());
    if (by_time && conditions.size() > profiles.begin()->second.chunk_starts.size()) ++cut;
  }
  std::printf("seed %d: %d plans of %d tables, %d ranges; in %d of them chunks were cut, in %d grouped\n",
              static_cast<int>(seed), static_cast<int>(checked), kTables, static_cast<int>(ranges),
              static_cast<int>(cut), static_cast<int>(grouped));
  if (cases < kCases) return;
  EXPECT_GT(checked, cases * 9 / 10);
  EXPECT_GT(cut, cases / 20);
  EXPECT_GT(by_key_count, cases / 50);
  EXPECT_GT(grouped, cases / 20);
}

}  // namespace
}  // namespace hypershift
