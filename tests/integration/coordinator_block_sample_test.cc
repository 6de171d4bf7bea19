// A sample of blocks, of a real server: HYPERSHIFT_TEST_SOURCE_URI. Without it the tests are skipped.
//
// Promise: it has the times of the rows that the snapshot sees in these blocks, whatever their type, and reads no other
// block; and statistics decide only what they know.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/block_sample.h"

namespace hypershift {
namespace {

constexpr char kSchema[] = "sampled \"blocks\"";

struct Case {
  std::string type;
  std::string value;  // Of `n`.
  int64_t internal;   // Of n = 1.
  TimeType time_type;
};

class CoordinatorBlockSampleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const uri = std::getenv("HYPERSHIFT_TEST_SOURCE_URI");
    if (uri == nullptr) GTEST_SKIP() << "no test server";
    const auto source = ConnectionString::Parse(uri, "source");
    ASSERT_TRUE(source.ok()) << source.status();
    auto session = PgSession::Open(*source, {});
    ASSERT_TRUE(session.ok()) << session.status();
    session_ = *std::move(session);
    Must(absl::StrCat("DROP SCHEMA IF EXISTS ", QuoteIdentifier(kSchema), " CASCADE; CREATE SCHEMA ",
                      QuoteIdentifier(kSchema)));
    table_.name = {kSchema, "t"};
  }
  void TearDown() override {
    if (session_ != nullptr) Must(absl::StrCat("ROLLBACK; DROP SCHEMA ", QuoteIdentifier(kSchema), " CASCADE"));
  }

  pqxx::result Must(const std::string& sql) {
    auto result = session_->Query(sql);
    EXPECT_TRUE(result.ok()) << sql << ": " << result.status();
    return result.ok() ? *result : pqxx::result();
  }

  // 30 rows or so in a block; every hundredth has no time, and some of the others an infinite one.
  void Fill(const Case& one, const std::string& order = "n") {
    const bool infinite = one.time_type != TimeType::kInteger;
    Must(absl::StrCat("DROP TABLE IF EXISTS ", table_.name.Quoted(), "; CREATE TABLE ", table_.name.Quoted(),
                      " (\"the time\" ", one.type,
                      ", n int, filler text) WITH (autovacuum_enabled = off); INSERT INTO ", table_.name.Quoted(),
                      " SELECT CASE WHEN n % 100 = 1 THEN NULL ",
                      infinite ? "WHEN n % 90 = 2 THEN 'infinity' WHEN n % 90 = 3 THEN '-infinity' " : "", "ELSE ",
                      one.value, " END, n, repeat('x', 230) FROM generate_series(-3000, 27000) n ORDER BY ", order));
    column_ = {&table_, "the time", one.time_type};
  }

  // Of the whole table, by this session.
  int64_t Scans() {
    const pqxx::result scans =
        Must(absl::StrCat("SELECT pg_stat_get_xact_numscans('", table_.name.Quoted(), "'::regclass)"));
    return scans.empty() ? -1 : scans[0][0].as<int64_t>();
  }

  std::unique_ptr<PgSession> session_;
  Table table_;
  TimeColumn column_;
};

TEST_F(CoordinatorBlockSampleTest, HasTheTimesOfTheseBlocksAndReadsNoOther) {
  const std::vector<Case> cases = {
      {"timestamptz", "'epoch'::timestamptz + n * interval '1.5 s'", 1'500'000, TimeType::kTimestamptz},
      {"timestamp", "'epoch'::timestamp + n * interval '1000 hours'", 3'600'000'000'000, TimeType::kTimestamp},
      {"date", "'epoch'::date + n", kMicrosecondsPerDay, TimeType::kDate},
      {"bigint", "n * 10000000000", 10'000'000'000, TimeType::kInteger},
      {"smallint", "n * 1", 1, TimeType::kInteger},
  };
  // Two statements' worth, and two that the table does not have.
  std::vector<int64_t> blocks;
  for (int64_t block = 0; block < 1000; ++block) {
    if (block % 3 != 2) blocks.push_back(block);
  }
  blocks.insert(blocks.end(), {5'000'000, 4'000'000'000});
  std::string in;
  for (const int64_t block : blocks) absl::StrAppend(&in, in.empty() ? "" : ",", block);
  for (const Case& one : cases) {
    SCOPED_TRACE(one.type);
    Fill(one);
    // The first block's first rows are dead, and one whole block is.
    Must(absl::StrCat("DELETE FROM ", table_.name.Quoted(),
                      " WHERE ctid IN ('(0,1)', '(0,2)') OR (ctid::text::point)[0] = 4"));
    Must("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY");
    const int64_t scans = Scans();
    const auto samples = SampleBlocks(session_.get(), column_, table_, blocks);
    ASSERT_TRUE(samples.ok()) << samples.status();
    EXPECT_EQ(Scans(), scans);
    const pqxx::result wanted = Must(absl::StrCat(
        "SELECT (ctid::text::point)[0]::bigint, n FROM ", table_.name.Quoted(), " WHERE (ctid::text::point)[1] <= 3 ",
        "AND (ctid::text::point)[0]::bigint IN (", in, ") AND \"the time\" IS NOT NULL",
        one.time_type == TimeType::kInteger ? "" : " AND isfinite(\"the time\")", " ORDER BY ctid"));
    Must("COMMIT");
    ASSERT_GT(wanted.size(), 1000U);
    ASSERT_EQ(samples->size(), wanted.size());
    for (size_t i = 0; i < samples->size(); ++i) {
      const auto row = wanted[static_cast<int>(i)];
      EXPECT_EQ((*samples)[i].block, row[0].as<int64_t>());
      EXPECT_EQ((*samples)[i].time, row[1].as<int64_t>() * one.internal) << "block " << (*samples)[i].block;
    }
  }
}

TEST_F(CoordinatorBlockSampleTest, StatisticsDecideOnlyWhatTheyKnow) {
  const Case time = {"timestamptz", "'epoch'::timestamptz + n * interval '1 s'", 1'000'000, TimeType::kTimestamptz};
  const auto known_unordered = [&] {
    const absl::StatusOr<bool> known = IsKnownUnordered(session_.get(), column_, table_);
    EXPECT_TRUE(known.ok()) << known.status();
    return known.ok() && *known;
  };
  Fill(time, "md5(n::text)");
  EXPECT_FALSE(known_unordered()) << "without statistics";
  Must(absl::StrCat("ANALYZE ", table_.name.Quoted()));
  EXPECT_TRUE(known_unordered());
  for (const std::string order : {"n", "n DESC"}) {
    Fill(time, order);
    Must(absl::StrCat("ANALYZE ", table_.name.Quoted()));
    EXPECT_FALSE(known_unordered()) << order;
  }
}

}  // namespace
}  // namespace hypershift
