// Promises: a range's rows and its journal entry commit together or not at all; a stale attempt commits nothing; a
// foreign snapshot or a rewritten table is refused; rows arrive unchanged, whatever their size.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/names.h"
#include "common/pg_status.h"
#include "common/source_partitions.h"
#include "tests/integration/cutting_proxy.h"
#include "tests/integration/worker_test.h"
#include "worker/copy_task.h"
#include "worker/task_status.h"
#include "worker/verify_task.h"

namespace hypershift {
namespace {

using ::testing::HasSubstr;

class WorkerCopyTest : public WorkerTest {};

TEST_F(WorkerCopyTest, RowsAndJournalCommitTogetherInBothFormats) {
  for (const v1::CopyFormat format : {v1::COPY_FORMAT_BINARY, v1::COPY_FORMAT_TEXT}) {
    BothSides("DROP TABLE IF EXISTS worker_test.t");
    BothSides(kTable);
    Source(kRows);
    Target("DELETE FROM _hypershift.task");
    Lease(1, 1);
    const v1::Snapshot snapshot = Snapshot();
    const absl::Status status = RunCopyTask(Work(4, format), snapshot, task_);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(TargetRows(), "50000");
    EXPECT_EQ(Journal("state"), "done");
    EXPECT_EQ(Journal("rows"), "50000");
    EXPECT_EQ(Journal("length(digest)"), "32");
    EXPECT_EQ(Journal("rewritable_digest"), "");
    EXPECT_EQ(Journal("bytes"), absl::StrCat(progress_.bytes.load()));
    EXPECT_EQ(Target("SELECT count(*) FROM worker_test.t JOIN _hypershift.task j ON t.xmin = j.xmin"), "50000");
    const std::string sum = "SELECT md5(string_agg(t::text, ';' ORDER BY id)) FROM worker_test.t";
    EXPECT_EQ(Source(sum), Target(sum));
  }
}

TEST_F(WorkerCopyTest, VerifyFindsTheSameDigestAndAnyChange) {
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  Lease(2, 1);
  v1::CopyWork work = Work(4);
  work.add_rewritable_fields(3);
  ASSERT_TRUE(RunCopyTask(work, Snapshot(), task_).ok());
  const auto copied = Journal("digest || rewritable_digest");
  EXPECT_EQ(copied->size(), 64u);

  v1::VerifyWork verify;
  verify.set_target_sql("COPY (SELECT * FROM worker_test.t ORDER BY random()) TO STDOUT (FORMAT binary)");
  verify.set_format(v1::COPY_FORMAT_BINARY);
  verify.set_field_count(4);
  verify.add_rewritable_fields(3);
  task_.id = 2;
  ASSERT_TRUE(RunVerifyTask(verify, task_).ok());
  EXPECT_EQ(Target("SELECT digest || rewritable_digest FROM _hypershift.task WHERE id = 2"), copied);
  EXPECT_EQ(Target("SELECT rows FROM _hypershift.task WHERE id = 2"), "50000");

  Target("UPDATE worker_test.t SET v = v + 1 WHERE id = 77");
  Lease(3, 1);
  task_.id = 3;
  ASSERT_TRUE(RunVerifyTask(verify, task_).ok());
  EXPECT_NE(Target("SELECT digest FROM _hypershift.task WHERE id = 3"), Journal("digest"));
  EXPECT_EQ(Target("SELECT rewritable_digest FROM _hypershift.task WHERE id = 3"), Journal("rewritable_digest"));
}

TEST_F(WorkerCopyTest, AnEmptyRangeIsDoneToo) {
  BothSides(kTable);
  Lease(1, 1);
  ASSERT_TRUE(RunCopyTask(Work(4), Snapshot(), task_).ok());
  EXPECT_EQ(Journal("state || rows"), "done0");
}

TEST_F(WorkerCopyTest, SettingsAndPrologueBelongToTheTransaction) {
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  v1::CopyWork work = Work(4);
  v1::Setting* setting = work.add_target_settings();
  setting->set_name("synchronous_commit");
  setting->set_value("off");
  setting = work.add_source_settings();
  setting->set_name("work_mem");
  setting->set_value("8MB");
  Target("INSERT INTO worker_test.t VALUES (-1)");
  work.add_target_prologue("LOCK TABLE worker_test.t -- a comment");
  work.add_target_prologue("TRUNCATE worker_test.t");
  work.set_target_sql("COPY worker_test.t FROM STDIN (FORMAT binary, FREEZE)");
  const absl::Status status = RunCopyTask(work, Snapshot(), task_);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(TargetRows(), "50000");
  absl::StatusOr<CopyConnection*> target = connections_->Target();
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(Run(*target, "SHOW synchronous_commit"), "on");
}

TEST_F(WorkerCopyTest, AStaleAttemptCanNotClaim) {
  BothSides(kTable);
  Lease(1, 2);
  const absl::Status status = RunCopyTask(Work(4), Snapshot(), task_);
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_FALSE(TaskIsRetryable(status));
  EXPECT_EQ(Journal("state"), "leased");
  // Its session would be terminated instead of the one that has the lease.
  EXPECT_EQ(Journal("session_pid IS NULL"), "t");
}

TEST_F(WorkerCopyTest, AnAttemptThatBecomesStaleWhileItCopiesCommitsNothing) {
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  v1::CopyWork work = Work(4);
  // The lease is given away between the claim and the end.
  work.clear_source_sql();
  work.add_source_sql(
      "COPY (SELECT t.* FROM worker_test.t, (SELECT pg_sleep(1) OFFSET 0) s) TO STDOUT (FORMAT binary)");
  std::thread coordinator([&] {
    std::unique_ptr<CopyConnection> session = Open(target_string_, ServerRole::kTarget);
    absl::SleepFor(absl::Milliseconds(500));
    Run(session.get(), "UPDATE _hypershift.task SET attempt = 2 WHERE id = 1");
  });
  const absl::Status status = RunCopyTask(work, Snapshot(), task_);
  coordinator.join();
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_EQ(TargetRows(), "0");
  EXPECT_EQ(Journal("state || attempt"), "leased2");
}

TEST_F(WorkerCopyTest, ARewrittenTableIsRefused) {
  BothSides(kTable);
  Source(kRows);
  for (const char* rewrite :
       {"TRUNCATE worker_test.t", "VACUUM FULL worker_test.t", "ALTER TABLE worker_test.t ALTER v TYPE numeric"}) {
    Target("DELETE FROM _hypershift.task");
    Lease(1, 1);
    const v1::CopyWork work = Work(4);
    const v1::Snapshot snapshot = Snapshot();
    Source(rewrite);
    const absl::Status status = RunCopyTask(work, snapshot, task_);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << rewrite << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("TRUNCATE"));
    EXPECT_FALSE(TaskIsRetryable(status));
    connections_->Close();
    EXPECT_EQ(TargetRows(), "0");
    EXPECT_EQ(Journal("state"), "leased");
  }
}

// The same for a partitioned table that is read as one. A new partition does no harm: its rows are of no snapshot
// before it.
TEST_F(WorkerCopyTest, OtherPartitionsThanPlannedAreRefused) {
  Target("CREATE TABLE worker_test.t (k int, v int)");
  const std::vector<std::pair<const char*, bool>> changes = {
      {"CREATE TABLE worker_test.t3 PARTITION OF worker_test.t FOR VALUES IN (3); INSERT INTO worker_test.t VALUES (3, "
       "3)",
       true},
      {"ALTER TABLE worker_test.t ATTACH PARTITION worker_test.beside FOR VALUES IN (4)", false},
      {"ALTER TABLE worker_test.t DETACH PARTITION worker_test.t2", false},
      {"DROP TABLE worker_test.t2", false},
      {"TRUNCATE worker_test.t1", false},
      {"VACUUM FULL worker_test.t2", false},
  };
  for (const auto& [change, harmless] : changes) {
    Source(
        "DROP SCHEMA worker_test CASCADE; CREATE SCHEMA worker_test;"
        "CREATE TABLE worker_test.t (k int, v int) PARTITION BY LIST (k);"
        "CREATE TABLE worker_test.t1 PARTITION OF worker_test.t FOR VALUES IN (1);"
        "CREATE TABLE worker_test.t2 PARTITION OF worker_test.t FOR VALUES IN (2) PARTITION BY RANGE (v);"
        "CREATE TABLE worker_test.t2_all PARTITION OF worker_test.t2 DEFAULT;"
        "CREATE TABLE worker_test.beside (k int, v int); INSERT INTO worker_test.beside VALUES (4, 4);"
        "INSERT INTO worker_test.t SELECT 1 + i % 2, i FROM generate_series(1, 1000) i");
    Target("DELETE FROM _hypershift.task; TRUNCATE worker_test.t");
    Lease(1, 1);
    const v1::Snapshot snapshot = Snapshot();
    v1::CopyWork work = Work(2);
    work.set_source_filenode(0);
    work.set_source_partitions(*Source(SourcePartitionsSql(work.source_oid())));
    Source(change);
    const absl::Status status = RunCopyTask(work, snapshot, task_);
    if (harmless) {
      EXPECT_TRUE(status.ok()) << change << ": " << status;
      EXPECT_EQ(TargetRows(), "1000");
      continue;
    }
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << change << ": " << status;
    EXPECT_FALSE(TaskIsRetryable(status));
    connections_->Close();
    EXPECT_EQ(TargetRows(), "0") << change;
  }
}

TEST_F(WorkerCopyTest, AForeignOrMissingSnapshotIsRefused) {
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  const v1::Snapshot good = Snapshot();
  v1::Snapshot other_rows = good;
  other_rows.set_current_snapshot("1:1:");
  v1::Snapshot other_server = good;
  other_server.set_postmaster_start("2020-01-01 00:00:00+00");
  v1::Snapshot gone = good;
  gone.set_id("00000003-7FFFFFFF-1");
  v1::Snapshot hostile = good;
  hostile.set_id("x'; DROP TABLE worker_test.t; --");
  for (const v1::Snapshot& snapshot : {other_rows, other_server, gone, hostile}) {
    const absl::Status status = RunCopyTask(Work(4), snapshot, task_);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_TRUE(TaskIsRetryable(status));
    connections_->Close();
  }
  EXPECT_EQ(TargetRows(), "0");
  EXPECT_TRUE(RunCopyTask(Work(4), good, task_).ok());
}

TEST_F(WorkerCopyTest, AKilledSourceBackendIsRetryableAndLeavesNothing) {
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  v1::CopyWork work = Work(4);
  work.clear_source_sql();
  work.add_source_sql(
      "COPY (SELECT t.* FROM worker_test.t, generate_series(1, 1000) ORDER BY 0 + 0 OFFSET 0) TO STDOUT (FORMAT "
      "binary)");
  std::thread killer([&] {
    std::unique_ptr<CopyConnection> session = Open(source_string_, ServerRole::kSource);
    while (progress_.rows < 100000) absl::SleepFor(absl::Milliseconds(1));
    Run(session.get(),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'worker_copy_test'");
  });
  const absl::Status status = RunCopyTask(work, Snapshot(), task_);
  killer.join();
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(TaskIsRetryable(status)) << status;
  connections_->Close();
  EXPECT_EQ(TargetRows(), "0");
  EXPECT_EQ(Journal("state"), "leased");
  // The same slot copies the range with its next attempt.
  EXPECT_TRUE(RunCopyTask(Work(4), Snapshot(), task_).ok());
  EXPECT_EQ(TargetRows(), "50000");
}

TEST_F(WorkerCopyTest, ATargetErrorStopsTheSourceAndIsTheOneReported) {
  Source(kTable);
  Source(kRows);
  Target("CREATE TABLE worker_test.t (id bigint CHECK (id <> 3), at timestamptz, v float8, s text)");
  Lease(1, 1);
  v1::CopyWork work = Work(4);
  work.clear_source_sql();
  work.add_source_sql("COPY (SELECT t.* FROM worker_test.t, generate_series(1, 100000)) TO STDOUT (FORMAT binary)");
  const absl::Time begin = absl::Now();
  const absl::Status status = RunCopyTask(work, Snapshot(), task_);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(20));
  EXPECT_EQ(SqlState(status), "23514") << status;
  EXPECT_FALSE(TaskIsRetryable(status));
  connections_->Close();
  EXPECT_EQ(TargetRows(), "0");
}

TEST_F(WorkerCopyTest, RowsDroppedByATriggerAreNoticed) {
  BothSides(kTable);
  Source(kRows);
  Target(R"sql(
CREATE FUNCTION worker_test.skip() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN IF NEW.id = 5 THEN RETURN NULL; END IF; RETURN NEW; END $$;
CREATE TRIGGER skip BEFORE INSERT ON worker_test.t FOR EACH ROW EXECUTE FUNCTION worker_test.skip())sql");
  Lease(1, 1);
  const absl::Status status = RunCopyTask(Work(4), Snapshot(), task_);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  connections_->Close();
  EXPECT_EQ(TargetRows(), "0");
}

TEST_F(WorkerCopyTest, ARowOfAHundredMegabytes) {
  BothSides("CREATE TABLE worker_test.t (id bigint, s text)");
  Source("ALTER TABLE worker_test.t ALTER s SET STORAGE EXTERNAL");
  Source("INSERT INTO worker_test.t VALUES (1, 'small'), (2, repeat('0123456789', 10 * 1000 * 1000)), (3, 'small')");
  Lease(1, 1);
  const absl::Status status = RunCopyTask(Work(2), Snapshot(), task_);
  ASSERT_TRUE(status.ok()) << status;
  const std::string sum = "SELECT string_agg(md5(s), ',' ORDER BY id) FROM worker_test.t";
  EXPECT_EQ(Source(sum), Target(sum));
}

TEST_F(WorkerCopyTest, CancellingEndsAnAttemptThatWaits) {
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  v1::CopyWork work = Work(4);
  work.clear_source_sql();
  work.add_source_sql(
      "COPY (SELECT t.* FROM worker_test.t, (SELECT pg_sleep(60) OFFSET 0) s) TO STDOUT (FORMAT binary)");
  std::thread revoker([&] {
    absl::SleepFor(absl::Milliseconds(500));
    progress_.cancelled = true;
    connections_->Cancel();
  });
  const absl::Time begin = absl::Now();
  const absl::Status status = RunCopyTask(work, Snapshot(), task_);
  revoker.join();
  EXPECT_FALSE(status.ok());
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  connections_->Close();
  EXPECT_EQ(TargetRows(), "0");
}

TEST_F(WorkerCopyTest, ALostAnswerToCommitIsResolvedByTheJournal) {
  int port = 5432;
  const std::string text = target_string_.Get("port");
  if (!text.empty()) {
    ASSERT_TRUE(absl::SimpleAtoi(text, &port));
  }
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  CuttingProxy proxy(port);
  connections_ = std::make_unique<SlotConnections>(
      source_string_,
      target_string_.With("host", "127.0.0.1").With("port", absl::StrCat(proxy.port())).With("sslmode", "disable"),
      "worker_copy_test");
  task_.connections = connections_.get();
  const absl::Status status = RunCopyTask(Work(4), Snapshot(), task_);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(proxy.cuts(), 1);
  EXPECT_EQ(TargetRows(), "50000");
  EXPECT_EQ(Journal("state"), "done");
  connections_.reset();
}

}  // namespace
}  // namespace hypershift
