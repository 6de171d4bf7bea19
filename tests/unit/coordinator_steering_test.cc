// Promise: a pause, a limit and what is measured of the servers hold leasing back, say so, and let go again; a limit on
// bytes is shared so that the workers together keep it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/time/clock.h"
#include "common/version.h"
#include "coordinator/byte_rate.h"
#include "coordinator/dispatcher.h"
#include "coordinator/migration_state.h"
#include "coordinator/steering.h"
#include "coordinator/throttle.h"

namespace hypershift {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const absl::Time kNow = absl::FromUnixSeconds(1700000000);

// --- leasing -------------------------------------------------------------------------------------------------------

size_t LeasesUnder(const Circumstances& circumstances) {
  std::vector<Task> tasks;
  for (TaskId id = 1; id <= 10; ++id) {
    Task& task = tasks.emplace_back();
    task.id = id;
    task.table = 1;
    task.kind = TaskKind::KIND_COPY;
    task.sequence = id;
    // Two run already.
    if (id <= 2) task.state = TaskState::STATE_LEASED;
  }
  Scheduler scheduler = *Scheduler::Create(std::move(tasks), {});
  Dispatcher dispatcher{DispatchSettings()};
  dispatcher.Begin(circumstances);
  dispatcher.Lease({{"a", 3}, {"b", 3}}, kNow, &scheduler);
  return dispatcher.batch().leases.size();
}

TEST(LeaseTest, NothingIsLeasedInAPauseOrWhileThrottled) {
  EXPECT_EQ(LeasesUnder({}), 6);
  EXPECT_EQ(LeasesUnder({.paused = true}), 0);
  EXPECT_EQ(LeasesUnder({.throttled = true}), 0);
}

TEST(LeaseTest, MaxSlotsCountsWhatRunsAlready) {
  EXPECT_EQ(LeasesUnder({.max_slots = 1}), 0);
  EXPECT_EQ(LeasesUnder({.max_slots = 5}), 3);
  EXPECT_EQ(LeasesUnder({.max_slots = 100}), 6);
}

// --- wishes --------------------------------------------------------------------------------------------------------

TEST(SteeringTest, WishesAreLaidOverEachOther) {
  SteeringWish wish;
  OverlayWish({.paused = true}, &wish);
  SteeringWish limits;
  limits.limits.set_max_slots(3);
  OverlayWish(limits, &wish);
  Steering steering = Fulfil(wish, Steering(), kNow);
  EXPECT_EQ(steering.paused_since, kNow);
  EXPECT_EQ(steering.limits.max_slots(), 3);
  EXPECT_FALSE(steering.cancelled());
  // A second pause keeps the time of the first.
  EXPECT_EQ(Fulfil(wish, steering, kNow + absl::Hours(1)).paused_since, kNow);
  EXPECT_FALSE(Fulfil({.paused = false}, steering, kNow).paused());
  EXPECT_TRUE(Fulfil({.cancel = true}, steering, kNow).cancelled());
}

TEST(ShareOfRateTest, SharesByRunningCopiesAndKeepsTheSum) {
  EXPECT_EQ(ShareOfRate(0, 3, 5), 0) << "no limit";
  EXPECT_EQ(ShareOfRate(100, 4, 4), 100);
  EXPECT_EQ(ShareOfRate(100, 3, 4), 75);
  EXPECT_EQ(ShareOfRate(100, 1, 4), 25);
  EXPECT_EQ(ShareOfRate(100, 0, 0), 100);
  EXPECT_EQ(ShareOfRate(100, 0, 4), 20) << "what one copy more would get";
  EXPECT_EQ(ShareOfRate(2, 1, 4), 1) << "0 would be no limit at all";
  const int64_t most = std::numeric_limits<int64_t>::max();
  EXPECT_NEAR(static_cast<double>(ShareOfRate(most, 1, 3)), static_cast<double>(most) / 3, 1e4);
  int64_t sum = 0;
  for (const int copies : {1, 2, 7, 3}) sum += ShareOfRate(1000003, copies, 13);
  EXPECT_LE(sum, 1000003);
  EXPECT_GT(sum, 1000003 - 4);
}

TEST(ByteRateTest, IsSmoothAndForgets) {
  ByteRate rate;
  EXPECT_EQ(rate.PerSecond(kNow), 0);
  for (int i = 0; i < 100; ++i) rate.Add(1000, kNow + i * absl::Milliseconds(100));
  EXPECT_NEAR(rate.PerSecond(kNow + absl::Seconds(10)), 10000, 400);
  EXPECT_NEAR(rate.PerSecond(kNow + absl::Seconds(14)), 5000, 400);
  EXPECT_EQ(rate.PerSecond(kNow + absl::Seconds(30)), 0);
}

// --- what is measured ----------------------------------------------------------------------------------------------

v1::Limits LoadLimit(int sessions) {
  v1::Limits limits;
  limits.set_max_source_load(sessions);
  return limits;
}

TEST(ThrottleTest, SaysWhichLimitHoldsAndWhatWasMeasured) {
  Throttle throttle;
  v1::Limits limits = LoadLimit(8);
  limits.mutable_max_replication_lag()->set_seconds(5);
  limits.set_max_target_wal(1 << 30);
  throttle.TakeIn(Gauge::kSourceLoad, 14, "", kNow);
  throttle.TakeIn(Gauge::kReplicationLag, 12345, "replica:5432", kNow);
  throttle.TakeIn(Gauge::kTargetWal, int64_t{3} << 30, "", kNow);
  EXPECT_EQ(throttle.Reason(limits, kNow), "14 active sessions on the source, more than max-source-load 8");
  limits.set_max_source_load(0);
  EXPECT_EQ(throttle.Reason(limits, kNow),
            "the source's stand-by replica:5432 lags 12.3s, more than max-replication-lag 5s");
  limits.clear_max_replication_lag();
  EXPECT_EQ(throttle.Reason(limits, kNow),
            "3.00 GiB of WAL on the target since its last checkpoint, more than max-target-wal 1GiB");
  limits.set_max_target_wal(int64_t{4} << 30);
  EXPECT_EQ(throttle.Reason(limits, kNow + absl::Seconds(4)), "");
}

TEST(ThrottleTest, LetsGoOnlyWhenItHasBeenCalmForAWhile) {
  Throttle throttle;
  const v1::Limits limits = LoadLimit(8);
  throttle.TakeIn(Gauge::kSourceLoad, 9, "", kNow);
  EXPECT_NE(throttle.Reason(limits, kNow), "");
  throttle.TakeIn(Gauge::kSourceLoad, 8, "", kNow + absl::Seconds(1));
  EXPECT_THAT(throttle.Reason(limits, kNow + absl::Seconds(1)), HasSubstr("8 active sessions"));
  throttle.TakeIn(Gauge::kSourceLoad, 9, "", kNow + absl::Seconds(2));
  EXPECT_NE(throttle.Reason(limits, kNow + absl::Seconds(2)), "");
  throttle.TakeIn(Gauge::kSourceLoad, 8, "", kNow + absl::Seconds(4));
  EXPECT_NE(throttle.Reason(limits, kNow + absl::Seconds(4)), "");
  EXPECT_EQ(throttle.Reason(limits, kNow + absl::Seconds(5)), "");
}

TEST(ThrottleTest, AServerThatDoesNotAnswerHoldsNobodyBackForEver) {
  Throttle throttle;
  const v1::Limits limits = LoadLimit(8);
  const absl::Status away = absl::UnavailableError("source: it is away");
  throttle.TakeIn(Gauge::kSourceLoad, away, "", kNow);
  EXPECT_EQ(throttle.Reason(limits, kNow), "") << "nothing is known";
  EXPECT_THAT(throttle.Warnings(limits, kNow),
              ElementsAre("max-source-load holds nothing back now: source: it is away"));
  throttle.TakeIn(Gauge::kSourceLoad, 14, "", kNow);
  EXPECT_THAT(throttle.Warnings(limits, kNow), IsEmpty());
  throttle.TakeIn(Gauge::kSourceLoad, away, "", kNow + absl::Seconds(20));
  EXPECT_NE(throttle.Reason(limits, kNow + absl::Seconds(20)), "");
  EXPECT_THAT(throttle.Warnings(limits, kNow + absl::Seconds(20)), ElementsAre(HasSubstr("goes by an old answer")));
  EXPECT_EQ(throttle.Reason(limits, kNow + absl::Seconds(31)), "");
  throttle.Forget(Gauge::kSourceLoad);
  EXPECT_THAT(throttle.Warnings(limits, kNow + absl::Seconds(31)), IsEmpty());
}

// --- the state -----------------------------------------------------------------------------------------------------

class StateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::vector<Task> tasks;
    std::vector<TaskRow> rows;
    for (TaskId id = 1; id <= 4; ++id) {
      TaskRow& row = rows.emplace_back();
      row.task.id = id;
      row.task.kind = TaskKind::KIND_COPY;
      tasks.push_back(row.task);
    }
    state_.LoadPlan({}, rows, *Scheduler::Create(tasks, {}));
    state_.SetPhase(v1::MigrationPhase::PHASE_RUN, "runs");
    v1::Snapshot snapshot;
    snapshot.set_current_snapshot("1:1:");
    state_.SetSnapshot(snapshot);
    state_.SetSteering({});
  }

  void Register(const std::string& name, int slots, bool holds_snapshot) {
    v1::RegisterRequest request;
    request.set_name(name);
    request.set_slots(slots);
    request.set_version(kVersion);
    if (holds_snapshot) request.mutable_keeper_snapshot()->set_current_snapshot("1:1:");
    ASSERT_TRUE(state_.Register(request).ok());
  }
  v1::SynchronizeResponse Synchronize(const std::string& name) {
    v1::SynchronizeRequest request;
    request.set_name(name);
    request.mutable_keeper_snapshot()->set_current_snapshot("1:1:");
    return *state_.Synchronize(request, [] { return false; });
  }
  void Lease(TaskId id, const std::string& worker) {
    state_.WithScheduler(
        [&](Scheduler& scheduler) { ASSERT_TRUE(scheduler.Lease(id, worker, absl::InfiniteFuture()).ok()); });
  }
  // What the run loop does, with a journal that takes all.
  void WriteWish() {
    const absl::Time end = absl::Now() + absl::Seconds(5);
    while (absl::Now() < end) {
      if (const std::optional<WishedSteering> wished = state_.FindWishedSteering())
        return state_.SteeringWritten(*wished);
      absl::SleepFor(absl::Milliseconds(5));
    }
    FAIL() << "nobody wishes anything";
  }

  MigrationState state_{StateTimes()};
};

TEST_F(StateTest, AWishIsAnsweredWhenItIsWrittenAndHoldsFromThenOn) {
  std::thread journal([&] {
    absl::SleepFor(absl::Milliseconds(100));
    EXPECT_FALSE(state_.steering().paused()) << "it holds before it is durable";
    WriteWish();
  });
  const absl::StatusOr<Steering> steering = state_.Steer({.paused = true});
  journal.join();
  ASSERT_TRUE(steering.ok()) << steering.status();
  EXPECT_TRUE(state_.steering().paused());
  EXPECT_TRUE(state_.GetMigration().paused());
  EXPECT_THAT(state_.GetMigration().status_line(), HasSubstr("`hypershift resume` goes on"));
  EXPECT_THAT(state_.ListTasks("", TaskState::STATE_PENDING, 0, 1)[0].waits_for(), HasSubstr("hypershift resume"));
  EXPECT_FALSE(state_.FindWishedSteering().has_value());
}

TEST_F(StateTest, NothingIsSteeredBeforeOrAfterARun) {
  MigrationState new_one{StateTimes()};
  EXPECT_TRUE(absl::IsUnavailable(new_one.Steer({.paused = true}).status()));
  state_.ForbidSteering("only verified");
  EXPECT_TRUE(absl::IsFailedPrecondition(state_.Steer({.cancel = true}).status()));
  state_.ForbidSteering("");
  state_.SetPhase(v1::MigrationPhase::PHASE_DONE, "done");
  EXPECT_TRUE(absl::IsFailedPrecondition(state_.Steer({.paused = true}).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(state_.DrainWorker("w").status()));
}

TEST_F(StateTest, TheLastHolderOfTheSnapshotIsNotDrained) {
  Register("a", 2, true);
  Register("newcomer", 2, false);
  const absl::Status refused = state_.DrainWorker("a").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the last that holds the source's snapshot, and 4 ranges"));
  EXPECT_TRUE(state_.DrainWorker("newcomer").ok());
  Register("keeper", 0, true);
  EXPECT_TRUE(state_.DrainWorker("a").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(state_.DrainWorker("keeper").status())) << "a drains: it holds it no longer";
  state_.ReleaseSnapshot();
  EXPECT_TRUE(state_.DrainWorker("keeper").ok());
  const absl::Status unknown = state_.DrainWorker("b").status();
  EXPECT_TRUE(absl::IsNotFound(unknown));
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("there is no worker b: there are a, keeper, newcomer"));
}

TEST_F(StateTest, ADrainedWorkerIsToldAndGetsNothing) {
  Register("a", 2, true);
  Register("b", 2, true);
  EXPECT_THAT(state_.FreeWorkers(SystemClock::Get()->Now()), SizeIs(2));
  Lease(1, "a");
  EXPECT_EQ(*state_.DrainWorker("a"), 1);
  EXPECT_THAT(state_.FreeWorkers(SystemClock::Get()->Now()), SizeIs(1));
  EXPECT_TRUE(Synchronize("a").drain());
  EXPECT_FALSE(Synchronize("b").drain());
  // A new worker of the same name is none that drains.
  Register("a", 2, true);
  EXPECT_FALSE(Synchronize("a").drain());
}

TEST_F(StateTest, WorkersAreToldTheirShares) {
  Register("a", 2, true);
  Register("b", 2, true);
  EXPECT_EQ(Synchronize("a").bytes_per_second(), 0);
  Steering steering;
  steering.limits.set_max_bytes_per_second(900);
  state_.SetSteering(steering);
  Lease(1, "a");
  Lease(2, "a");
  Lease(3, "b");
  EXPECT_EQ(Synchronize("a").bytes_per_second(), 600);
  EXPECT_EQ(Synchronize("b").bytes_per_second(), 300);
  // One that has just begun to lead knows nothing of limits yet: it must not say that there are none.
  MigrationState starting{StateTimes()};
  v1::RegisterRequest registered;
  registered.set_name("a");
  registered.set_version(kVersion);
  ASSERT_TRUE(starting.Register(registered).ok());
  v1::SynchronizeRequest request;
  request.set_name("a");
  EXPECT_FALSE(starting.Synchronize(request, [] { return false; })->has_bytes_per_second());
}

TEST_F(StateTest, SaysWhyLessRunsThanCould) {
  Register("a", 4, true);
  EXPECT_EQ(state_.GetMigration().throttled(), "");
  state_.SetThrottle("14 active sessions on the source, more than max-source-load 8", {"a warning"});
  EXPECT_TRUE(state_.throttled());
  EXPECT_THAT(state_.GetMigration().status_line(),
              HasSubstr("throttled: 14 active sessions on the source, more than max-source-load 8"));
  EXPECT_THAT(state_.GetMigration().warnings(), ElementsAre("a warning"));
  EXPECT_THAT(state_.ListTasks("", TaskState::STATE_PENDING, 0, 1)[0].waits_for(), HasSubstr("less load: 14 active"));
  state_.SetThrottle("", {});
  Steering steering;
  steering.limits.set_max_slots(1);
  state_.SetSteering(steering);
  Lease(1, "a");
  EXPECT_EQ(state_.GetMigration().throttled(), "1 slot is busy, no more than max-slots 1");
  EXPECT_THAT(state_.GetMigration().status_line(), HasSubstr("max-slots 1"));
}

}  // namespace
}  // namespace hypershift
