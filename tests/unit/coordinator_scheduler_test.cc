#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <tuple>

#include "coordinator/scheduler.h"

namespace hypershift {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1000);

bool Any(const Task&) { return true; }

Task MakeTask(TaskId id, int table, int64_t sequence, std::vector<BarrierId> gates = {}, BarrierId barrier = 0,
              int64_t bytes = 1) {
  Task task;
  task.id = id;
  task.table = table;
  task.kind = TaskKind::KIND_COPY;
  task.sequence = sequence;
  task.gates = std::move(gates);
  task.barrier = barrier;
  task.estimated_bytes = bytes;
  return task;
}

Scheduler Make(std::vector<Task> tasks, const std::vector<Barrier>& barriers) {
  absl::StatusOr<Scheduler> scheduler = Scheduler::Create(std::move(tasks), barriers);
  EXPECT_TRUE(scheduler.ok()) << scheduler.status();
  return *std::move(scheduler);
}

void RunOne(Scheduler& scheduler, TaskId id) {
  ASSERT_TRUE(scheduler.Lease(id, "w", kNow + absl::Seconds(10)).ok());
  ASSERT_TRUE(scheduler.Finish(id, scheduler.Find(id)->attempt, 5, 50).ok());
}

// Promise: a task waits for all its gates, and a barrier opens only when its tasks and the barriers below are done.
TEST(SchedulerTest, NestedBarriersOpenFromTheInside) {
  Scheduler scheduler =
      Make({MakeTask(1, 1, 1, {}, 11), MakeTask(2, 1, 2, {11}, 10), MakeTask(3, 1, 3, {10}, 0)}, {{10, 0}, {11, 10}});
  EXPECT_EQ(scheduler.Next(kNow, Any)->id, 1);
  EXPECT_FALSE(scheduler.Lease(2, "w", kNow).ok());
  EXPECT_FALSE(scheduler.Lease(3, "w", kNow).ok());
  RunOne(scheduler, 1);
  EXPECT_TRUE(scheduler.IsOpen(11));
  EXPECT_FALSE(scheduler.IsOpen(10));
  EXPECT_FALSE(scheduler.Lease(3, "w", kNow).ok());
  RunOne(scheduler, 2);
  EXPECT_TRUE(scheduler.IsOpen(10));
  RunOne(scheduler, 3);
  EXPECT_EQ(scheduler.unfinished(), 0);
}

// Promise: a stale attempt changes nothing.
TEST(SchedulerTest, StaleAttemptsAreRefused) {
  Scheduler scheduler = Make({MakeTask(1, 1, 1)}, {});
  ASSERT_TRUE(scheduler.Lease(1, "a", kNow + absl::Seconds(1)).ok());
  ASSERT_TRUE(scheduler.Release(1, 1, kNow, kNow, "expired", false).ok());
  ASSERT_TRUE(scheduler.Lease(1, "b", kNow + absl::Seconds(1)).ok());
  EXPECT_EQ(scheduler.Finish(1, 1, 1, 1).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(scheduler.Release(1, 1, kNow, kNow, "", true).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(scheduler.Fail(1, 1, "").code(), absl::StatusCode::kAborted);
  EXPECT_EQ(scheduler.Renew(1, 1, kNow).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(scheduler.Find(1)->worker, "b");
  EXPECT_TRUE(scheduler.Finish(1, 2, 1, 1).ok());
  EXPECT_EQ(scheduler.Finish(1, 2, 1, 1).code(), absl::StatusCode::kFailedPrecondition);
}

// Promise: largest first, and one table does not starve the rest: bytes left count per running task.
TEST(SchedulerTest, SpreadsSlotsByBytesLeft) {
  std::vector<Task> tasks;
  for (int i = 0; i < 4; ++i) tasks.push_back(MakeTask(1 + i, 1, i, {}, 0, 100));
  for (int i = 0; i < 4; ++i) tasks.push_back(MakeTask(11 + i, 2, i, {}, 0, 60));
  Scheduler scheduler = Make(std::move(tasks), {});
  std::vector<int> order;
  for (int i = 0; i < 4; ++i) {
    const Task* next = scheduler.Next(kNow, Any);
    order.push_back(next->table);
    ASSERT_TRUE(scheduler.Lease(next->id, "w", kNow + absl::Seconds(9)).ok());
  }
  EXPECT_EQ(order, (std::vector<int>{1, 2, 1, 1}));
}

// Promise: within a table, time order.
TEST(SchedulerTest, WithinATableTheSmallestSequenceIsNext) {
  Scheduler scheduler = Make({MakeTask(1, 1, 30), MakeTask(2, 1, 10), MakeTask(3, 1, 20)}, {});
  EXPECT_EQ(scheduler.Next(kNow, Any)->id, 2);
}

// Promise: a failing table stops alone.
TEST(SchedulerTest, AFailedTaskHoldsBackOnlyWhatDependsOnIt) {
  Scheduler scheduler = Make({MakeTask(1, 1, 1, {}, 8), MakeTask(2, 1, 2, {8}), MakeTask(3, 2, 1)}, {{8, 0}});
  ASSERT_TRUE(scheduler.Lease(1, "w", kNow + absl::Seconds(1)).ok());
  ASSERT_TRUE(scheduler.Fail(1, 1, "disk full").ok());
  EXPECT_EQ(scheduler.Next(kNow, Any)->id, 3);
  EXPECT_FALSE(scheduler.Idle());
  RunOne(scheduler, 3);
  EXPECT_TRUE(scheduler.Idle());
  EXPECT_EQ(scheduler.failed(), 1);
  ASSERT_TRUE(scheduler.Retry(1).ok());
  RunOne(scheduler, 1);
  RunOne(scheduler, 2);
  EXPECT_EQ(scheduler.unfinished(), 0);
  EXPECT_EQ(scheduler.failed(), 0);
}

TEST(SchedulerTest, ARetryWaitsForItsTime) {
  Scheduler scheduler = Make({MakeTask(1, 1, 1)}, {});
  ASSERT_TRUE(scheduler.Lease(1, "w", kNow + absl::Seconds(1)).ok());
  ASSERT_TRUE(scheduler.Release(1, 1, kNow, kNow + absl::Seconds(5), "lost", true).ok());
  EXPECT_EQ(scheduler.Next(kNow, Any), nullptr);
  EXPECT_EQ(scheduler.NextRetryTime(kNow), kNow + absl::Seconds(5));
  EXPECT_NE(scheduler.Next(kNow + absl::Seconds(5), Any), nullptr);
  EXPECT_EQ(scheduler.Find(1)->failures, 1);
}

// Promise: a table of a higher priority goes before a larger one, and gives way only when it has nothing to run.
TEST(SchedulerTest, PrioritiesGoBeforeSize) {
  absl::StatusOr<Scheduler> scheduler =
      Scheduler::Create({MakeTask(1, 1, 1, {}, 0, 1000), MakeTask(2, 2, 1, {}, 9), MakeTask(3, 2, 2, {9}),
                         MakeTask(4, 3, 1, {}, 0, 9999), MakeTask(5, 4, 1, {}, 0, 10)},
                        {{9, 0}}, {{2, 5}, {3, -1}});
  ASSERT_TRUE(scheduler.ok()) << scheduler.status();
  std::vector<TaskId> order;
  for (int i = 0; i < 2; ++i) {
    order.push_back(scheduler->Next(kNow, Any)->id);
    ASSERT_TRUE(scheduler->Lease(order.back(), "w", kNow + absl::Seconds(10)).ok());
  }
  // Task 3 was not ready beside 2, and is now.
  ASSERT_TRUE(scheduler->Finish(2, 1, 0, 0).ok());
  while (const Task* next = scheduler->Next(kNow, Any)) {
    order.push_back(next->id);
    ASSERT_TRUE(scheduler->Lease(order.back(), "w", kNow + absl::Seconds(10)).ok());
  }
  EXPECT_EQ(order, (std::vector<TaskId>{2, 1, 3, 5, 4}));
}

TEST(SchedulerTest, FindsExpiredLeases) {
  Scheduler scheduler = Make({MakeTask(1, 1, 1), MakeTask(2, 1, 2)}, {});
  ASSERT_TRUE(scheduler.Lease(1, "w", kNow + absl::Seconds(1)).ok());
  ASSERT_TRUE(scheduler.Lease(2, "w", kNow + absl::Seconds(9)).ok());
  ASSERT_TRUE(scheduler.Renew(1, 1, kNow + absl::Seconds(5)).ok());
  EXPECT_TRUE(scheduler.Expired(kNow + absl::Seconds(2)).empty());
  EXPECT_EQ(scheduler.Expired(kNow + absl::Seconds(6)), std::vector<TaskId>{1});
}

// Promise: what the journal says is taken up as it stands.
TEST(SchedulerTest, RebuildsFromTheJournal) {
  Task done = MakeTask(1, 1, 1, {}, 8);
  done.state = TaskState::STATE_DONE;
  Task leased = MakeTask(2, 1, 2, {8}, 9);
  leased.state = TaskState::STATE_LEASED;
  leased.attempt = 3;
  leased.lease_expires = kNow;
  Scheduler scheduler = Make({done, leased, MakeTask(3, 1, 3, {9})}, {{8, 0}, {9, 0}});
  EXPECT_EQ(scheduler.leased_count(), 1);
  EXPECT_EQ(scheduler.Next(kNow, Any), nullptr);
  ASSERT_TRUE(scheduler.Finish(2, 3, 1, 1).ok());
  EXPECT_EQ(scheduler.Next(kNow, Any)->id, 3);
}

TEST(SchedulerTest, RefusesABrokenJournal) {
  EXPECT_EQ(Scheduler::Create({MakeTask(1, 1, 1), MakeTask(1, 1, 2)}, {}).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Scheduler::Create({MakeTask(1, 1, 1, {7})}, {}).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Scheduler::Create({MakeTask(1, 1, 1, {}, 7)}, {}).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Scheduler::Create({}, {{1, 2}}).status().code(), absl::StatusCode::kDataLoss);
}

// The rule for the next task, word by word and without an index: whatever the scheduler keeps in order must agree.
const Task* NextByTheRule(const Scheduler& scheduler, absl::Time now) {
  std::map<int, std::pair<int64_t, int>> tables;  // Bytes left, running.
  for (const Task& task : scheduler.tasks()) {
    if (task.state == TaskState::STATE_DONE) continue;
    tables[task.table].first += task.estimated_bytes;
    if (task.state == TaskState::STATE_LEASED) ++tables[task.table].second;
  }
  const Task* best = nullptr;
  const auto place = [&tables](const Task& task) {
    const auto& [bytes_left, running] = tables[task.table];
    const double weight = static_cast<double>(bytes_left + 1) / (running + 1);
    return std::make_tuple(-weight, task.table, task.sequence, task.id);
  };
  for (const Task& task : scheduler.tasks()) {
    const bool open =
        std::all_of(task.gates.begin(), task.gates.end(), [&](BarrierId gate) { return scheduler.IsOpen(gate); });
    if (task.state != TaskState::STATE_PENDING || !open || task.not_before > now) continue;
    if (best == nullptr || place(task) < place(*best)) best = &task;
  }
  return best;
}

// Promise: under any order of leases, expiries, failures and completions every task ends done exactly once, gates are
// respected, and the scheduler never gets stuck.
TEST(SchedulerTest, RandomRunsEndWithEverythingDoneOnce) {
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto below = [&random](uint32_t n) { return static_cast<int>(random() % n); };
    std::vector<Barrier> barriers;
    std::vector<Task> tasks;
    const int barrier_count = 1 + below(6);
    for (int i = 1; i <= barrier_count; ++i) barriers.push_back({i, i == 1 ? 0 : below(static_cast<uint32_t>(i))});
    const int task_count = 1 + below(40);
    for (int i = 1; i <= task_count; ++i) {
      // Gates only on barriers of higher number than the one it counts in, parents have lower numbers: no cycle.
      const BarrierId barrier = below(static_cast<uint32_t>(barrier_count) + 1);
      std::vector<BarrierId> gates;
      if (barrier < barrier_count && below(2) == 0) {
        gates.push_back(barrier + 1 + below(static_cast<uint32_t>(barrier_count - barrier)));
      }
      tasks.push_back(MakeTask(i, below(4), below(10), gates, barrier, below(100)));
    }
    Scheduler scheduler = Make(tasks, barriers);
    absl::Time now = kNow;
    std::map<TaskId, int> finished;
    for (int step = 0; step < 20000 && scheduler.unfinished() > 0; ++step) {
      now += absl::Milliseconds(100);
      for (TaskId id : scheduler.Expired(now)) {
        ASSERT_TRUE(scheduler.Release(id, scheduler.Find(id)->attempt, now, now, "expired", false).ok());
      }
      const Task* next = scheduler.Next(now, Any);
      ASSERT_EQ(next, NextByTheRule(scheduler, now));
      if (next != nullptr && below(3) > 0) {
        for (BarrierId gate : next->gates) ASSERT_TRUE(scheduler.IsOpen(gate));
        ASSERT_TRUE(scheduler.Lease(next->id, "w", now + absl::Seconds(1)).ok());
      }
      if (!scheduler.leased().empty() && below(2) == 0) {
        const TaskId id = *scheduler.leased().begin();
        const int attempt = scheduler.Find(id)->attempt;
        switch (below(4)) {
          case 0:
            ASSERT_TRUE(scheduler.Release(id, attempt, now, now + absl::Seconds(1), "e", true).ok());
            break;
          case 1:
            ASSERT_TRUE(scheduler.Fail(id, attempt, "e").ok());
            ASSERT_TRUE(scheduler.Retry(id).ok());
            break;
          default:
            ASSERT_TRUE(scheduler.Finish(id, attempt, 1, 1).ok());
            ++finished[id];
        }
      }
    }
    EXPECT_EQ(scheduler.unfinished(), 0);
    EXPECT_EQ(static_cast<int>(finished.size()), task_count);
    for (const auto& [id, times] : finished) EXPECT_EQ(times, 1) << id;
  }
}

}  // namespace
}  // namespace hypershift
