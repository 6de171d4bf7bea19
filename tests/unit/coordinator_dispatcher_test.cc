#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "coordinator/dispatcher.h"

namespace hypershift {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kLease = absl::Seconds(20);

class DispatcherTest : public ::testing::Test {
 protected:
  static DispatchSettings Settings() {
    DispatchSettings settings;
    settings.lease_duration = kLease;
    settings.leader_lease = absl::Seconds(10);
    settings.retry_limit = 3;
    return settings;
  }

  static Task MakeTask(TaskId id, TaskKind::Kind kind) {
    Task task;
    task.id = id;
    task.table = 1;
    task.kind = kind;
    task.sequence = id;
    return task;
  }

  void Load(std::vector<Task> tasks) { scheduler_.emplace(*Scheduler::Create(std::move(tasks), {})); }

  // What the journal would say if it agreed with memory.
  TaskRow RowOf(TaskId id, TaskState::State state) const {
    TaskRow row;
    row.task = *scheduler_->Find(id);
    row.task.state = state;
    return row;
  }

  void LeaseAll(const std::string& worker) {
    dispatcher_.Begin({});
    dispatcher_.Lease({{worker, 100}}, now_, &*scheduler_);
  }

  // One turn in which an attempt failed in a way that another may cure.
  TaskChange FailOnce(TaskId id, const Circumstances& circumstances, const std::string& sqlstate = "40P01") {
    now_ += absl::Minutes(2);
    dispatcher_.Begin(circumstances);
    dispatcher_.Lease({{"w", 1}}, now_, &*scheduler_);
    dispatcher_.Begin(circumstances);
    const FailureReport report{id, scheduler_->Find(id)->attempt, "broken", sqlstate, true};
    EXPECT_TRUE(dispatcher_.TakeIn({RowOf(id, TaskState::STATE_LEASED)}, {report}, now_, &*scheduler_).ok());
    EXPECT_THAT(dispatcher_.batch().changes, SizeIs(1));
    return dispatcher_.batch().changes.empty() ? TaskChange() : dispatcher_.batch().changes[0];
  }

  Dispatcher dispatcher_{Settings()};
  std::optional<Scheduler> scheduler_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
};

// Promise: a failure that was decided is written even if another task's lease expires in the same turn.
TEST_F(DispatcherTest, KeepsAFailureBesideAnExpiredLease) {
  Load({MakeTask(1, TaskKind::KIND_COPY), MakeTask(2, TaskKind::KIND_COPY)});
  LeaseAll("w");
  now_ += kLease;
  dispatcher_.Begin({});
  const FailureReport report{1, 1, "broken", "08006", true};
  ASSERT_TRUE(dispatcher_.TakeIn({RowOf(1, TaskState::STATE_LEASED)}, {report}, now_, &*scheduler_).ok());
  const std::vector<TaskId> expired = scheduler_->Expired(now_);
  ASSERT_THAT(expired, ElementsAre(2));
  ASSERT_TRUE(dispatcher_.TakeIn({RowOf(2, TaskState::STATE_LEASED)}, {}, now_, &*scheduler_).ok());
  dispatcher_.TakeBack(expired, now_, &*scheduler_);
  EXPECT_THAT(dispatcher_.batch().changes, ElementsAre(Field(&TaskChange::id, 1), Field(&TaskChange::id, 2)));
  EXPECT_TRUE(dispatcher_.MustWrite(now_));
}

// Promise: what follows the copies is given up after the limit, although no snapshot is held any more.
TEST_F(DispatcherTest, LimitsRetriesAfterTheSnapshotWasReleased) {
  Load({MakeTask(1, TaskKind::KIND_INDEX)});
  const Circumstances released{/*stopping=*/false, /*snapshot_is_held=*/false};
  EXPECT_EQ(FailOnce(1, released).to, TaskState::STATE_PENDING);
  EXPECT_EQ(FailOnce(1, released).to, TaskState::STATE_PENDING);
  const TaskChange last = FailOnce(1, released);
  EXPECT_EQ(last.to, TaskState::STATE_FAILED);
  EXPECT_EQ(last.failures, 3);
}

// Promise: an outage counts against no task, until it has lasted longer than outages do; then it is what ends the
// server.
TEST_F(DispatcherTest, ForgivesOutagesForAWhile) {
  Load({MakeTask(1, TaskKind::KIND_COPY)});
  for (int i = 0; i < 15; ++i) {  // Two minutes each.
    const TaskChange change = FailOnce(1, {}, "57P01");
    EXPECT_EQ(change.to, TaskState::STATE_PENDING);
    EXPECT_EQ(change.failures, 0);
  }
  FailOnce(1, {}, "57P01");
  EXPECT_EQ(FailOnce(1, {}, "57P01").failures, 1);
  EXPECT_EQ(FailOnce(1, {}, "").failures, 2);
  EXPECT_EQ(FailOnce(1, {}, "57P01").to, TaskState::STATE_FAILED);
}

// Promise: it waits for a lock, and for a connection, as long as somebody else has it.
TEST_F(DispatcherTest, WaitsForOthersWithoutLimit) {
  Load({MakeTask(1, TaskKind::KIND_INDEX)});
  for (int i = 0; i < 100; ++i) {
    const TaskChange change = FailOnce(1, {}, i % 2 == 0 ? "55P03" : "53300");
    EXPECT_EQ(change.to, TaskState::STATE_PENDING);
    EXPECT_EQ(change.failures, 0);
  }
}

// Promise: a full disk ends the attempts at once, and the table's error says what to do.
TEST_F(DispatcherTest, AFullDiskIsFinalAndNamesTheRemedy) {
  Load({MakeTask(1, TaskKind::KIND_COPY)});
  LeaseAll("w");
  dispatcher_.Begin({});
  const FailureReport report{1, 1, "could not extend file", "53100", false};
  ASSERT_TRUE(dispatcher_.TakeIn({RowOf(1, TaskState::STATE_LEASED)}, {report}, now_, &*scheduler_).ok());
  ASSERT_THAT(dispatcher_.batch().changes, SizeIs(1));
  EXPECT_EQ(dispatcher_.batch().changes[0].to, TaskState::STATE_FAILED);
  EXPECT_EQ(dispatcher_.batch().changes[0].error,
            "could not extend file (free space on that server's disk, then retry the table)");
}

// Promise: a copy that failed because the snapshot was lost is not charged for it.
TEST_F(DispatcherTest, ForgivesCopiesWithoutASnapshot) {
  Load({MakeTask(1, TaskKind::KIND_COPY)});
  for (int i = 0; i < 10; ++i) {
    now_ += absl::Minutes(2);
    LeaseAll("w");
    dispatcher_.Begin({/*stopping=*/false, /*snapshot_is_held=*/false});
    const FailureReport report{1, scheduler_->Find(1)->attempt, "no snapshot", "", true};
    ASSERT_TRUE(dispatcher_.TakeIn({RowOf(1, TaskState::STATE_LEASED)}, {report}, now_, &*scheduler_).ok());
    ASSERT_THAT(dispatcher_.batch().changes, SizeIs(1));
    EXPECT_EQ(dispatcher_.batch().changes[0].to, TaskState::STATE_PENDING);
    EXPECT_EQ(dispatcher_.batch().changes[0].failures, 0);
  }
}

// Promise: a report of an attempt that is over, or said twice, changes nothing.
TEST_F(DispatcherTest, IgnoresStaleAndDoubledReports) {
  Load({MakeTask(1, TaskKind::KIND_COPY)});
  FailOnce(1, {});
  now_ += absl::Minutes(2);
  LeaseAll("w");
  dispatcher_.Begin({});
  const FailureReport stale{1, 1, "late", "08006", true};
  ASSERT_TRUE(dispatcher_.TakeIn({RowOf(1, TaskState::STATE_LEASED)}, {stale}, now_, &*scheduler_).ok());
  EXPECT_THAT(dispatcher_.batch().changes, IsEmpty());
  const FailureReport current{1, 2, "broken", "08006", true};
  ASSERT_TRUE(dispatcher_.TakeIn({RowOf(1, TaskState::STATE_LEASED)}, {current, current}, now_, &*scheduler_).ok());
  EXPECT_THAT(dispatcher_.batch().changes, SizeIs(1));
}

// Promise: when the journal has moved on without this coordinator, the turn fails instead of going on with old beliefs.
TEST_F(DispatcherTest, NoticesThatTheJournalHasMovedOn) {
  Load({MakeTask(1, TaskKind::KIND_COPY)});
  LeaseAll("w");
  TaskRow row = RowOf(1, TaskState::STATE_DONE);
  row.task.attempt = 2;
  dispatcher_.Begin({});
  EXPECT_EQ(dispatcher_.TakeIn({row}, {}, now_, &*scheduler_).status().code(), absl::StatusCode::kUnavailable);
  row.task.attempt = 1;
  row.task.state = TaskState::STATE_PENDING;
  EXPECT_EQ(dispatcher_.TakeIn({row}, {}, now_, &*scheduler_).status().code(), absl::StatusCode::kUnavailable);
  row.task.state = TaskState::STATE_DONE;
  absl::StatusOr<std::vector<TaskRow>> done = dispatcher_.TakeIn({row}, {}, now_, &*scheduler_);
  ASSERT_TRUE(done.ok());
  EXPECT_THAT(*done, SizeIs(1));
  done = dispatcher_.TakeIn({row}, {}, now_, &*scheduler_);
  ASSERT_TRUE(done.ok());
  EXPECT_THAT(*done, IsEmpty()) << "it was known already";
}

// Promise: a change or a lease that the journal did not take makes the coordinator load everything again.
TEST_F(DispatcherTest, FailsWhenTheJournalTookLess) {
  Load({MakeTask(1, TaskKind::KIND_COPY), MakeTask(2, TaskKind::KIND_COPY)});
  LeaseAll("w");
  AppliedBatch applied;
  applied.leased = {{1, 1, "", {}}};
  EXPECT_EQ(dispatcher_.Written(applied, now_).code(), absl::StatusCode::kUnavailable);
  applied.leased.push_back({2, 1, "", {}});
  EXPECT_TRUE(dispatcher_.Written(applied, now_).ok());
  now_ += kLease;
  dispatcher_.Begin({});
  dispatcher_.TakeBack({1, 2}, now_, &*scheduler_);
  applied = AppliedBatch();
  applied.changed = 1;
  EXPECT_EQ(dispatcher_.Written(applied, now_).code(), absl::StatusCode::kUnavailable);
}

// Promise: the lead is renewed in time even if nothing happens, and heartbeats alone don't write at each turn.
TEST_F(DispatcherTest, WritesWhenItMust) {
  dispatcher_.Begin({});
  EXPECT_TRUE(dispatcher_.MustWrite(now_)) << "nothing was ever written";
  ASSERT_TRUE(dispatcher_.Written({}, now_).ok());
  EXPECT_FALSE(dispatcher_.MustWrite(now_ + absl::Seconds(1)));
  dispatcher_.Begin({});
  dispatcher_.Renew({{1, 1}});
  EXPECT_TRUE(dispatcher_.MustWrite(now_ + absl::Seconds(1)));
  ASSERT_TRUE(dispatcher_.Written({}, now_ + absl::Seconds(1)).ok());
  EXPECT_FALSE(dispatcher_.MustWrite(now_ + absl::Seconds(2)));
  EXPECT_TRUE(dispatcher_.MustWrite(now_ + absl::Seconds(1) + Settings().leader_lease / 2));
}

// Promise: a stop leases nothing more, and tasks are dealt out to the workers in turns.
TEST_F(DispatcherTest, LeasesInTurnsUntilAStop) {
  Load({MakeTask(1, TaskKind::KIND_INDEX), MakeTask(2, TaskKind::KIND_INDEX), MakeTask(3, TaskKind::KIND_INDEX)});
  dispatcher_.Begin({/*stopping=*/true, /*snapshot_is_held=*/true});
  dispatcher_.Lease({{"a", 2}, {"b", 2}}, now_, &*scheduler_);
  EXPECT_THAT(dispatcher_.batch().leases, IsEmpty());
  dispatcher_.Begin({});
  dispatcher_.Lease({{"a", 2}, {"b", 2}}, now_, &*scheduler_);
  EXPECT_THAT(dispatcher_.batch().leases,
              ElementsAre(Field(&LeaseRequest::worker, "a"), Field(&LeaseRequest::worker, "b"),
                          Field(&LeaseRequest::worker, "a")));
}

// Promise: small tasks of a kind share a slot, as many as a bundle holds; large ones, other kinds and those that have
// failed before do not.
TEST_F(DispatcherTest, LeasesSmallTasksInBundles) {
  std::vector<Task> tasks;
  for (TaskId id = 1; id <= 50; ++id) {
    tasks.push_back(MakeTask(id, id % 10 == 0 ? TaskKind::KIND_ANALYZE : TaskKind::KIND_INDEX));
    tasks.back().table = static_cast<int>(id);
    tasks.back().small = true;
  }
  Task large = MakeTask(51, TaskKind::KIND_INDEX);
  large.table = 51;
  tasks.push_back(large);
  Load(std::move(tasks));
  FailOnce(1, {});
  now_ += absl::Hours(1);

  const auto lease_one = [&](int max_slots) {
    Circumstances circumstances;
    circumstances.max_slots = max_slots;
    dispatcher_.Begin(circumstances);
    dispatcher_.Lease({{"w", 1}}, now_, &*scheduler_);
    std::vector<TaskId> ids;
    for (const LeaseRequest& lease : dispatcher_.batch().leases) {
      ids.push_back(lease.id);
      const bool shared = dispatcher_.batch().leases.size() > 1;
      EXPECT_EQ(lease.bundle, shared ? scheduler_->Find(lease.id)->bundle : 0);
    }
    return ids;
  };
  // What the failed one was leased with runs on.
  const int busy = scheduler_->busy_slots();
  EXPECT_EQ(lease_one(0), std::vector<TaskId>{1}) << "it has failed before";
  const std::vector<TaskId> rest = lease_one(0);
  EXPECT_THAT(rest, ElementsAre(10, 20, 30, 40, 50)) << "all of one kind";
  EXPECT_EQ(scheduler_->busy_slots(), busy + 2);
  EXPECT_THAT(lease_one(busy + 2), IsEmpty()) << "a bundle counts as one of max-slots";
  EXPECT_THAT(lease_one(0), SizeIs(44 - 31)) << "what was left of the indexes";
  EXPECT_THAT(lease_one(0), ElementsAre(51)) << "large";
  for (const TaskId id : rest) ASSERT_TRUE(scheduler_->Finish(id, 1, 0, 0).ok());
  EXPECT_EQ(scheduler_->busy_slots(), busy + 3);
}

// Promise: pauses double from half a second up to a minute.
TEST(RetryDelayTest, Doubles) {
  EXPECT_EQ(RetryDelay(0, FailureClass::kTransient), absl::Milliseconds(500));
  EXPECT_EQ(RetryDelay(1, FailureClass::kTransient), absl::Seconds(1));
  EXPECT_EQ(RetryDelay(4, FailureClass::kTransient), absl::Seconds(8));
  EXPECT_EQ(RetryDelay(1000, FailureClass::kTransient), absl::Minutes(1));
  EXPECT_EQ(RetryDelay(1000, FailureClass::kOutage), absl::Seconds(10));
  EXPECT_EQ(RetryDelay(1000, FailureClass::kContended), absl::Seconds(10));
}

}  // namespace
}  // namespace hypershift
