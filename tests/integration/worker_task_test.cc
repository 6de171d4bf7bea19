// Promises: a task commits its effect with its entry or not at all; every chunk is brought to where it is to be; a
// keeper holds the snapshot for as long as it can, and says when it can't.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/pg_status.h"
#include "tests/integration/worker_test.h"
#include "worker/compress_task.h"
#include "worker/copy_task.h"
#include "worker/keeper.h"
#include "worker/statement_task.h"
#include "worker/task_status.h"

namespace hypershift {
namespace {

class WorkerTaskTest : public WorkerTest {};

TEST_F(WorkerTaskTest, StatementsCommitWithTheirEntryOrNotAtAll) {
  Lease(1, 1);
  v1::StatementWork work;
  work.add_statements("CREATE TABLE worker_test.made (id int)");
  work.add_statements("CREATE INDEX made_id ON worker_test.made (id)");
  ASSERT_TRUE(RunStatementTask(work, task_).ok());
  EXPECT_EQ(Journal("state"), "done");

  Lease(2, 1);
  task_.id = 2;
  v1::StatementWork bad;
  bad.add_statements("CREATE TABLE worker_test.half (id int)");
  bad.add_statements("CREATE INDEX ON worker_test.missing (id)");
  const absl::Status status = RunStatementTask(bad, task_);
  EXPECT_EQ(SqlState(status), "42P01") << status;
  connections_->Close();
  EXPECT_EQ(Target("SELECT to_regclass('worker_test.half')"), std::nullopt);
  EXPECT_EQ(Target("SELECT state FROM _hypershift.task WHERE id = 2"), "leased");
}

TEST_F(WorkerTaskTest, CompressBringsEveryChunkOfASliceToStatusOne) {
  if (Target("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") != "1")
    GTEST_SKIP() << "no TimescaleDB";
  const auto schema = Target(
      "SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace "
      "WHERE extname = 'timescaledb'");
  Target(
      absl::StrCat("CREATE TABLE worker_test.h (at timestamptz NOT NULL, device int, v float8); SELECT ", *schema,
                   ".create_hypertable('worker_test.h', 'at', chunk_time_interval => interval '1 day'); SELECT ",
                   *schema, ".add_dimension('worker_test.h', 'device', number_partitions => 2);",
                   "ALTER TABLE worker_test.h SET (timescaledb.compress, timescaledb.compress_segmentby = 'device')"));
  const std::string fill =
      "INSERT INTO worker_test.h SELECT '2024-01-01Z'::timestamptz + i * interval '1 minute', i % 7, i "
      "FROM generate_series(0, 4319) i";
  Target(fill);
  const std::string states =
      "SELECT string_agg(c.status::text, ',' ORDER BY c.id) FROM _timescaledb_catalog.chunk c JOIN "
      "_timescaledb_catalog.hypertable h ON h.id = hypertable_id WHERE h.table_name = 'h' AND h.schema_name = "
      "'worker_test'";
  EXPECT_EQ(Target(states), "0,0,0,0,0,0");

  v1::CompressWork work;
  work.set_hypertable_schema("worker_test");
  work.set_hypertable_name("h");
  constexpr int64_t kDay = 86400000000;
  work.set_range_start(1704067200000000);  // 2024-01-01
  work.set_range_end(work.range_start() + kDay);
  Lease(1, 1);
  const absl::Status status = RunCompressTask(work, task_);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(Target(states), "1,1,0,0,0,0");
  EXPECT_EQ(Journal("state"), "done");

  Target(fill);  // Compressed chunks now have rows in the row store as well.
  work.set_range_start(INT64_MIN);
  work.set_range_end(1704067200000000 + 2 * kDay);
  Lease(2, 1);
  task_.id = 2;
  ASSERT_TRUE(RunCompressTask(work, task_).ok());
  EXPECT_EQ(Target(states), "1,1,1,1,0,0");

  work.set_range_start(1);  // No such chunk.
  work.set_range_end(2);
  Lease(3, 1);
  task_.id = 3;
  EXPECT_TRUE(RunCompressTask(work, task_).ok());
  EXPECT_EQ(Target("SELECT count(*) FROM worker_test.h"), "8640");
}

TEST_F(WorkerTaskTest, TheKeeperOutlivesTheExporterAndNoticesItsLoss) {
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  Keeper keeper(source_string_, "test");
  EXPECT_TRUE(keeper.wants_snapshot());
  const v1::Snapshot offered = Snapshot();
  keeper.Offer(offered);
  const std::optional<v1::Snapshot> held = keeper.WaitForSnapshot(absl::Seconds(10));
  ASSERT_TRUE(held.has_value());
  EXPECT_FALSE(keeper.wants_snapshot());
  EXPECT_NE(held->id(), offered.id());
  EXPECT_EQ(held->current_snapshot(), offered.current_snapshot());
  EXPECT_EQ(held->postmaster_start(), offered.postmaster_start());

  exporter_.reset();
  Source("DELETE FROM worker_test.t");
  ASSERT_TRUE(RunCopyTask(Work(4), *held, task_).ok());
  EXPECT_EQ(TargetRows(), "50000");

  Source("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hypershift keeper'");
  keeper.CheckNow();
  for (int i = 0; i < 100 && keeper.snapshot().has_value(); ++i) absl::SleepFor(absl::Milliseconds(100));
  EXPECT_FALSE(keeper.snapshot().has_value());
  EXPECT_TRUE(keeper.wants_snapshot());

  keeper.Offer(Snapshot());
  EXPECT_TRUE(keeper.WaitForSnapshot(absl::Seconds(10)).has_value());
  keeper.Release();
  EXPECT_FALSE(keeper.snapshot().has_value());
  EXPECT_FALSE(keeper.wants_snapshot());
}

}  // namespace
}  // namespace hypershift
