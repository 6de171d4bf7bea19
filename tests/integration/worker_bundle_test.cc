// Promises: tasks that share a transaction commit together, each with its own entry, or not at all; one stale attempt
// among them is enough for that.
#include <gtest/gtest.h>

#include <list>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/pg_status.h"
#include "tests/integration/worker_test.h"
#include "worker/bundle_task.h"

namespace hypershift {
namespace {

class WorkerBundleTest : public WorkerTest {
 protected:
  // Tables t1, t2, … with ten times their number of rows on the source, every second one copied as text.
  void MakeTables(int count) {
    for (int i = 1; i <= count; ++i) {
      BothSides(absl::StrCat("CREATE TABLE worker_test.t", i, " (id int, s text)"));
      Source(absl::StrCat("INSERT INTO worker_test.t", i, " SELECT n, repeat('x', n % 7) FROM generate_series(1, ",
                          10 * i, ") n"));
      v1::CopyWork& copy = *Add(i).mutable_copy();
      const std::string suffix = i % 2 == 0 ? "" : " (FORMAT binary)";
      copy.add_source_sql(absl::StrCat("COPY worker_test.t", i, " TO STDOUT", suffix));
      copy.set_target_sql(absl::StrCat("COPY worker_test.t", i, " FROM STDIN", suffix));
      copy.set_format(i % 2 == 0 ? v1::COPY_FORMAT_TEXT : v1::COPY_FORMAT_BINARY);
      copy.set_field_count(2);
      copy.set_source_oid(NumberOf(absl::StrCat("SELECT 'worker_test.t", i, "'::regclass::oid")));
      copy.set_source_filenode(NumberOf(absl::StrCat("SELECT pg_relation_filenode('worker_test.t", i, "')")));
    }
  }

  v1::TaskWork& Add(int64_t id) {
    TaskContext task = task_;
    task.id = id;
    task.progress = &progresses_.emplace_back();
    bundle_.tasks.push_back(task);
    bundle_.works.push_back(&works_.emplace_back());
    Lease(id, 1);
    return works_.back();
  }

  uint32_t NumberOf(const std::string& sql) {
    uint32_t number = 0;
    EXPECT_TRUE(absl::SimpleAtoi(*Source(sql), &number));
    return number;
  }

  std::optional<std::string> Done() {
    return Target("SELECT string_agg(id::text, ',' ORDER BY id) FROM _hypershift.task WHERE state = 'done'");
  }
  std::optional<std::string> RowsOf(int table) {
    return Target(absl::StrCat("SELECT count(*) FROM worker_test.t", table));
  }

  std::list<v1::TaskWork> works_;
  std::list<TaskProgress> progresses_;
  Bundle bundle_;
};

TEST_F(WorkerBundleTest, TablesCommitTogetherEachWithItsEntry) {
  MakeTables(7);
  ASSERT_TRUE(CheckBundle(bundle_).ok());
  const absl::Status status = RunCopyBundle(bundle_, Snapshot());
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(Done(), "1,2,3,4,5,6,7");
  EXPECT_EQ(Target("SELECT count(DISTINCT xmin::text) FROM _hypershift.task"), "1");
  for (int i = 1; i <= 7; ++i) {
    EXPECT_EQ(RowsOf(i), absl::StrCat(10 * i));
    EXPECT_EQ(Target(absl::StrCat("SELECT rows FROM _hypershift.task WHERE id = ", i)), absl::StrCat(10 * i));
  }
  EXPECT_EQ(Target("SELECT count(DISTINCT digest) FROM _hypershift.task WHERE length(digest) = 32"), "7");
}

TEST_F(WorkerBundleTest, OneStaleAttemptKeepsAllFromCommitting) {
  MakeTables(3);
  // When they are claimed, it is none yet. No transaction is open on the target while the source is slow.
  Source("CREATE FUNCTION worker_test.wait() RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(1) IS NOT NULL'");
  works_.front().mutable_copy()->set_source_sql(
      0, "COPY (SELECT * FROM worker_test.t1 WHERE worker_test.wait() AND id < 2) TO STDOUT (FORMAT binary)");
  absl::Status status;
  std::thread bundle([&, snapshot = Snapshot()] { status = RunCopyBundle(bundle_, snapshot); });
  absl::SleepFor(absl::Milliseconds(500));
  Target("UPDATE _hypershift.task SET attempt = 2 WHERE id = 2");
  bundle.join();
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_EQ(Done(), std::nullopt);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(RowsOf(i), "0");

  EXPECT_TRUE(absl::IsAborted(RunCopyBundle(bundle_, Snapshot()))) << "nor can it be claimed";
}

TEST_F(WorkerBundleTest, OneRewrittenTableKeepsAllFromCommitting) {
  MakeTables(3);
  const v1::Snapshot snapshot = Snapshot();
  Source("TRUNCATE worker_test.t2");
  const absl::Status status = RunCopyBundle(bundle_, snapshot);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  connections_->Close();
  EXPECT_EQ(Done(), std::nullopt);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(RowsOf(i), "0");
}

TEST_F(WorkerBundleTest, StatementsCommitTogetherOrNotAtAll) {
  BothSides("CREATE TABLE worker_test.t1 (id int)");
  Add(1).mutable_statements()->add_statements("CREATE INDEX a ON worker_test.t1 (id) -- a comment");
  Add(2).mutable_statements()->add_statements("ANALYZE worker_test.t1");
  ASSERT_TRUE(CheckBundle(bundle_).ok());
  absl::Status status = RunStatementBundle(bundle_);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(Done(), "1,2");

  bundle_ = Bundle();
  Add(3).mutable_statements()->add_statements("CREATE INDEX b ON worker_test.t1 (id)");
  Add(4).mutable_statements()->add_statements("CREATE INDEX a ON worker_test.t1 (id)");
  status = RunStatementBundle(bundle_);
  EXPECT_EQ(SqlState(status), "42P07") << status;
  connections_->Close();
  EXPECT_EQ(Done(), "1,2");
  EXPECT_EQ(Target("SELECT string_agg(indexname, ',') FROM pg_indexes WHERE schemaname = 'worker_test'"), "a");
}

TEST_F(WorkerBundleTest, OneLockedTableDoesNotKeepTheOthersWaiting) {
  MakeTables(3);
  const v1::Snapshot snapshot = Snapshot();
  Source("BEGIN; LOCK TABLE worker_test.t2 IN ACCESS EXCLUSIVE MODE");
  const absl::Status status = RunCopyBundle(bundle_, snapshot);
  EXPECT_EQ(SqlState(status), "55P03") << status;
  connections_->Close();
  EXPECT_EQ(Done(), std::nullopt);
}

TEST_F(WorkerBundleTest, WhatWouldReachOthersIsRefused) {
  MakeTables(2);
  v1::Setting* const setting = works_.back().mutable_copy()->add_target_settings();
  setting->set_name("work_mem");
  setting->set_value("64kB");
  EXPECT_TRUE(absl::IsInvalidArgument(CheckBundle(bundle_)));
  works_.back().mutable_statements()->add_statements("SELECT 1");
  EXPECT_TRUE(absl::IsInvalidArgument(CheckBundle(bundle_)));
  bundle_.works = {&works_.back(), &works_.back()};
  EXPECT_TRUE(CheckBundle(bundle_).ok());
  works_.back().mutable_verify();
  EXPECT_TRUE(absl::IsInvalidArgument(CheckBundle(bundle_)));
}

}  // namespace
}  // namespace hypershift
