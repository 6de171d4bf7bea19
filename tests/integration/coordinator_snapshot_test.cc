// The coordinator's hold on a snapshot, against a real server: HYPERSHIFT_TEST_SOURCE_URI. Without it the tests are
// skipped.
//
// Promise: an id alone is never trusted. What it stands for now must be the migration's snapshot, of the same server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "common/pg_session.h"
#include "coordinator/catalog.h"
#include "coordinator/snapshot.h"

namespace hypershift {
namespace {

using ::testing::HasSubstr;

class CoordinatorSnapshotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const uri = std::getenv("HYPERSHIFT_TEST_SOURCE_URI");
    if (uri == nullptr) GTEST_SKIP() << "no test server";
    const auto source = ConnectionString::Parse(uri, "source");
    ASSERT_TRUE(source.ok()) << source.status();
    source_ = *source;
    auto holder = SnapshotHolder::Take(source_);
    ASSERT_TRUE(holder.ok()) << holder.status();
    holder_ = *std::move(holder);
  }

  ConnectionString source_;
  std::unique_ptr<SnapshotHolder> holder_;
};

TEST_F(CoordinatorSnapshotTest, OutlivesItsFirstHolder) {
  auto second = SnapshotHolder::Import(source_, holder_->snapshot());
  ASSERT_TRUE(second.ok()) << second.status();
  holder_.reset();
  auto third = SnapshotHolder::Import(source_, (*second)->snapshot());
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_TRUE(SameSnapshot((*second)->snapshot(), (*third)->snapshot()));
  EXPECT_NE((*second)->snapshot().id(), (*third)->snapshot().id());
}

TEST_F(CoordinatorSnapshotTest, AnIdThatMeansAnotherSnapshotIsRefused) {
  v1::Snapshot other_rows = holder_->snapshot();
  other_rows.set_current_snapshot("1:1:");
  v1::Snapshot other_server = holder_->snapshot();
  other_server.set_postmaster_start("2020-01-01 00:00:00+00");
  for (const v1::Snapshot& expected : {other_rows, other_server}) {
    const absl::Status status = SnapshotHolder::Import(source_, expected).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("now means another snapshot"));
  }
}

// DDL on the source must not wait for the whole migration, and everybody else behind it.
TEST_F(CoordinatorSnapshotTest, WhatAReaderHasReadIsLockedNoLonger) {
  const auto open = [this] { return PgSession::Open(source_, SessionOptions()); };
  auto other = open();
  ASSERT_TRUE(other.ok()) << other.status();
  const auto must = [&other](const char* sql) {
    const auto result = (*other)->Query(sql);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : pqxx::result();
  };
  must("DROP SCHEMA IF EXISTS read_under CASCADE");
  must("CREATE SCHEMA read_under CREATE TABLE t (id serial PRIMARY KEY) CREATE TABLE later (n int)");
  must("INSERT INTO read_under.t SELECT FROM generate_series(1, 3)");
  auto holder = SnapshotHolder::Take(source_);
  ASSERT_TRUE(holder.ok()) << holder.status();
  must("INSERT INTO read_under.t SELECT FROM generate_series(1, 3)");
  const char* const locks =
      "SELECT count(*) FROM pg_locks WHERE relation IN ('read_under.t'::regclass, 'read_under.t_id_seq'::regclass)";
  {
    auto reader = (*holder)->OpenReader();
    ASSERT_TRUE(reader.ok()) << reader.status();
    const auto catalog = ReadCatalog(reader->get());
    ASSERT_TRUE(catalog.ok()) << catalog.status();
    EXPECT_EQ(must(locks)[0][0].as<int>(), 0);
    const auto rows = (*reader)->Query("SELECT count(*) FROM read_under.t");
    ASSERT_TRUE(rows.ok()) << rows.status();
    EXPECT_EQ((*rows)[0][0].as<int>(), 3);
    EXPECT_GT(must(locks)[0][0].as<int>(), 0);
  }
  must("SET lock_timeout = '5s'");
  must("TRUNCATE read_under.t");
  EXPECT_TRUE((*holder)->Heartbeat().ok());
  must("DROP SCHEMA read_under CASCADE");
}

TEST_F(CoordinatorSnapshotTest, AnIdThatIsGoneIsRefused) {
  const v1::Snapshot gone = holder_->snapshot();
  holder_.reset();
  EXPECT_TRUE(absl::IsFailedPrecondition(SnapshotHolder::Import(source_, gone).status()));
}

}  // namespace
}  // namespace hypershift
