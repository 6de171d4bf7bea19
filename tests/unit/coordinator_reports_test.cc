// Promise: a worker reports and renews only what is leased to it; everything else it says of tasks changes nothing,
// however often it says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/version.h"
#include "coordinator/migration_state.h"

namespace hypershift {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr absl::Duration kLease = absl::Seconds(20);

class ReportsTest : public ::testing::Test {
 protected:
  ReportsTest() {
    for (const char* name : {"mine", "other"}) EXPECT_TRUE(Register(name, {}).ok());
    state_.TakeReports(absl::ZeroDuration());
  }

  // Task 1 is leased to `mine`, task 2 waits.
  void LoadPlan() {
    std::vector<Task> tasks(2);
    tasks[0].id = 1;
    tasks[1].id = 2;
    Scheduler scheduler = *Scheduler::Create(std::move(tasks), {});
    EXPECT_TRUE(scheduler.Lease(1, "mine", clock_.Now() + kLease).ok());
    state_.LoadPlan({}, {}, std::move(scheduler));
  }

  absl::Status Register(const std::string& name, std::vector<std::pair<TaskId, int>> running) {
    v1::RegisterRequest request;
    request.set_name(name);
    request.set_version(kVersion);
    for (const auto& [id, attempt] : running) {
      request.add_running()->set_id(id);
      request.mutable_running()->rbegin()->set_attempt(attempt);
    }
    return state_.Register(request).status();
  }

  absl::Status Complete(const std::string& name, TaskId id, int attempt) {
    v1::CompleteRequest request;
    request.set_name(name);
    request.set_id(id);
    request.set_attempt(attempt);
    return state_.Complete(request);
  }

  absl::Status Fail(const std::string& name, TaskId id, int attempt) {
    v1::FailRequest request;
    request.set_name(name);
    request.set_id(id);
    request.set_attempt(attempt);
    return state_.Fail(request);
  }

  v1::SynchronizeResponse Synchronize(const std::string& name, TaskId id, int attempt) {
    v1::SynchronizeRequest request;
    request.set_name(name);
    request.add_running()->set_id(id);
    request.mutable_running(0)->set_attempt(attempt);
    return *state_.Synchronize(request, [] { return true; });
  }

  FakeClock clock_;
  MigrationState state_{StateTimes(), &clock_};
};

TEST_F(ReportsTest, TheHolderIsHeard) {
  LoadPlan();
  EXPECT_TRUE(Complete("mine", 1, 1).ok());
  EXPECT_THAT(state_.TakeReports(absl::ZeroDuration()).completed, ElementsAre(1));
  EXPECT_TRUE(Fail("mine", 1, 1).ok());
  EXPECT_EQ(state_.TakeReports(absl::ZeroDuration()).failed.size(), 1u);
}

TEST_F(ReportsTest, NobodyElseIs) {
  LoadPlan();
  for (const auto& [name, id, attempt] :
       {std::tuple("other", 1, 1), std::tuple("mine", 1, 0), std::tuple("mine", 1, 2), std::tuple("mine", 2, 0),
        std::tuple("mine", 2, 1), std::tuple("mine", 3, 1)}) {
    EXPECT_TRUE(absl::IsAborted(Complete(name, id, attempt))) << name << id << attempt;
    EXPECT_TRUE(absl::IsAborted(Fail(name, id, attempt))) << name << id << attempt;
  }
  EXPECT_TRUE(absl::IsNotFound(Complete("nobody", 1, 1)));
  EXPECT_TRUE(absl::IsNotFound(Fail("nobody", 1, 1)));
  const Reports reports = state_.TakeReports(absl::ZeroDuration());
  EXPECT_THAT(reports.completed, IsEmpty());
  EXPECT_THAT(reports.failed, IsEmpty());
}

TEST_F(ReportsTest, ACompletionSaidAgainIsNotHeard) {
  LoadPlan();
  EXPECT_TRUE(Complete("mine", 1, 1).ok());
  state_.TakeReports(absl::ZeroDuration());
  state_.WithScheduler([](Scheduler& scheduler) { EXPECT_TRUE(scheduler.Finish(1, 1, 10, 100).ok()); });
  EXPECT_TRUE(absl::IsAborted(Complete("mine", 1, 1)));
  EXPECT_TRUE(absl::IsAborted(Fail("mine", 1, 1)));
  EXPECT_THAT(state_.TakeReports(absl::ZeroDuration()).completed, IsEmpty());
}

// Promise: an attempt that has committed is not taken from whoever made it. A worker pauses after what was revoked.
TEST_F(ReportsTest, WhatIsDoneIsNotRevoked) {
  LoadPlan();
  state_.WithScheduler([](Scheduler& scheduler) { EXPECT_TRUE(scheduler.Finish(1, 1, 10, 100).ok()); });
  EXPECT_EQ(Synchronize("mine", 1, 1).revoked_size(), 0);
  EXPECT_THAT(state_.TakeRenewals(clock_.Now()), IsEmpty());
  EXPECT_EQ(Synchronize("mine", 1, 0).revoked_size(), 1);
  EXPECT_EQ(Synchronize("other", 1, 1).revoked_size(), 1);
}

TEST_F(ReportsTest, OnlyTheHolderRenews) {
  LoadPlan();
  EXPECT_EQ(Synchronize("other", 1, 1).revoked_size(), 1);
  EXPECT_TRUE(Register("other", {{1, 1}}).ok());
  EXPECT_THAT(state_.TakeRenewals(clock_.Now()), IsEmpty());
  EXPECT_EQ(Synchronize("mine", 1, 1).revoked_size(), 0);
  EXPECT_THAT(state_.TakeRenewals(clock_.Now()), ElementsAre(Pair(1, 1)));
  EXPECT_TRUE(Register("mine", {{1, 1}}).ok());
  EXPECT_THAT(state_.TakeRenewals(clock_.Now()), ElementsAre(Pair(1, 1)));
}

// After a restart workers come before the plan is read: what they run is not lost, and still nobody speaks for others.
TEST_F(ReportsTest, BeforeThereIsAPlanReportsWait) {
  EXPECT_TRUE(Register("other", {{1, 1}}).ok());
  EXPECT_TRUE(absl::IsUnavailable(Complete("mine", 1, 1)));
  LoadPlan();
  EXPECT_THAT(state_.TakeRenewals(clock_.Now()), IsEmpty());
  EXPECT_TRUE(Complete("mine", 1, 1).ok());
}

TEST_F(ReportsTest, AStandByHearsNobody) {
  LoadPlan();
  state_.SetStandby(true);
  EXPECT_TRUE(absl::IsUnavailable(Complete("mine", 1, 1)));
  EXPECT_TRUE(absl::IsUnavailable(Fail("mine", 1, 1)));
}

}  // namespace
}  // namespace hypershift
