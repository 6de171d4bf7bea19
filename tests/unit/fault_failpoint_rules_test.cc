// Promise: what a test of failures asks for is what happens, or the program says at once why not. A rule that is
// silently ignored would make such a test prove nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/fault/failpoint_rules.h"

namespace hypershift {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

FailpointTrigger Trigger(absl::string_view text, bool in_keeper = false) {
  absl::StatusOr<std::vector<FailpointRule>> rules = ParseFailpointRules(text);
  EXPECT_TRUE(rules.ok()) << rules.status();
  return FailpointTrigger(*std::move(rules), in_keeper);
}

std::string PassesThatFire(FailpointTrigger* trigger, Failpoint point, absl::string_view detail, int passes) {
  std::string fired;
  for (int i = 0; i < passes; ++i) {
    fired += trigger->Pass(point, FailpointSide::kBefore, detail).has_value() ? '1' : '0';
  }
  return fired;
}

TEST(FailpointRulesTest, ReadsEveryPart) {
  const auto rules = ParseFailpointRules(
      "worker.commit_sent[KIND_COPY]=exit@3;coordinator.lease_expiry=pause:2s@4x2; "
      "keeper:worker.rpc_sent[Synchronize]=run-then-errorx5;coordinator.commit_sent[pre_data]=error;");
  ASSERT_TRUE(rules.ok()) << rules.status();
  ASSERT_EQ(rules->size(), 4U);
  const FailpointRule& exit = (*rules)[0];
  EXPECT_EQ(exit.text, "worker.commit_sent[KIND_COPY]=exit@3");
  EXPECT_EQ(exit.point, Failpoint::kWorkerCommitSent);
  EXPECT_EQ(exit.detail, "KIND_COPY");
  EXPECT_EQ(exit.action, FailpointAction::kExit);
  EXPECT_EQ(exit.first, 3);
  EXPECT_EQ(exit.times, 1);
  EXPECT_FALSE(exit.keeper);
  const FailpointRule& pause = (*rules)[1];
  EXPECT_EQ(pause.point, Failpoint::kCoordinatorLeaseExpiry);
  EXPECT_EQ(pause.detail, "");
  EXPECT_EQ(pause.action, FailpointAction::kPause);
  EXPECT_EQ(pause.pause, absl::Seconds(2));
  EXPECT_EQ(pause.first, 4);
  EXPECT_EQ(pause.times, 2);
  const FailpointRule& after = (*rules)[2];
  EXPECT_TRUE(after.keeper);
  EXPECT_EQ(after.action, FailpointAction::kRunThenError);
  EXPECT_EQ(after.first, 1);
  EXPECT_EQ(after.times, 5);
  EXPECT_EQ((*rules)[3].action, FailpointAction::kError);
}

TEST(FailpointRulesTest, KnowsEveryPointWithEveryAction) {
  std::set<std::string> names;
  for (const FailpointEntry& entry : kFailpoints) {
    EXPECT_TRUE(names.insert(std::string(entry.name)).second) << entry.name << " twice";
    for (const char* action : {"error", "exit", "pause:500ms", "run-then-error", "run-then-pause:500ms"}) {
      const auto rules = ParseFailpointRules(absl::StrCat(entry.name, "=", action));
      ASSERT_TRUE(rules.ok()) << rules.status();
      ASSERT_EQ(rules->size(), 1U);
      EXPECT_EQ(rules->front().point, entry.point);
      EXPECT_EQ(FailpointName(rules->front().point), entry.name);
    }
  }
}

TEST(FailpointRulesTest, RefusesInOneLineThatNamesTheRule) {
  const std::pair<const char*, const char*> cases[] = {
      {"worker.comit_sent=exit", "no failpoint 'worker.comit_sent'"},
      {"worker.commit_sent=kill", "no action 'kill'"},
      {"worker.commit_sent", "not of the form"},
      {"worker.commit_sent=", "not of the form"},
      {"=exit", "not of the form"},
      {"worker.commit_sent=exit@", "not of the form"},
      {"worker.commit_sent=exit@0", "no count from 1"},
      {"worker.commit_sent=exitx0", "no count from 1"},
      {"worker.commit_sent=exit@99999999999", "no count from 1"},
      {"worker.commit_sent=exit:2s", "takes no argument"},
      {"worker.commit_sent=pause", "is no time"},
      {"worker.commit_sent=pause:2", "is no time"},
      {"worker.commit_sent=pause:0s", "is no time"},
      {"worker.commit_sent[KIND_COPIES]=exit", "never says 'KIND_COPIES'"},
      {"worker.commit_sent[Synchronize]=exit", "never says 'Synchronize'"},
      {"worker.rpc_sent[synchronize]=exit", "never says 'synchronize'"},
      {"coordinator.commit_sent[predata]=exit", "never says 'predata'"},
      {"coordinator.lease_expiry[turn]=exit", "never says 'turn'"},
      {"worker.commit_sent=error,worker.claim=error", "not of the form"},
  };
  for (const auto& [text, reason] : cases) {
    const auto rules = ParseFailpointRules(absl::StrCat("worker.claim=error;", text));
    ASSERT_EQ(rules.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(rules.status().message()), HasSubstr(reason));
    EXPECT_THAT(std::string(rules.status().message()), HasSubstr(text));
    EXPECT_THAT(std::string(rules.status().message()), Not(HasSubstr("\n")));
  }
}

TEST(FailpointRulesTest, NothingIsNoRule) {
  const auto rules = ParseFailpointRules("");
  ASSERT_TRUE(rules.ok());
  EXPECT_TRUE(rules->empty());
}

TEST(FailpointTriggerTest, FiresFromTheFirstPassForAsManyTimes) {
  const std::pair<const char*, const char*> cases[] = {
      {"worker.claim=error", "1000000"},
      {"worker.claim=error@3", "0010000"},
      {"worker.claim=errorx2", "1100000"},
      {"worker.claim=exit@2x3", "0111000"},
      {"worker.claim=pause:1s@7", "0000001"},
      {"worker.claim=error@8", "0000000"},
      {"worker.claim=error@1;worker.claim=error@5", "1000100"},
  };
  for (const auto& [text, expected] : cases) {
    FailpointTrigger trigger = Trigger(text);
    EXPECT_EQ(PassesThatFire(&trigger, Failpoint::kWorkerClaim, "KIND_COPY", 7), expected) << text;
  }
}

TEST(FailpointTriggerTest, CountsOnlyPassesThatFit) {
  FailpointTrigger trigger = Trigger("worker.commit_sent[KIND_INDEX]=error@2");
  EXPECT_EQ(PassesThatFire(&trigger, Failpoint::kWorkerCommitSent, "KIND_COPY", 5), "00000");
  EXPECT_EQ(PassesThatFire(&trigger, Failpoint::kWorkerCommitAnswered, "KIND_INDEX", 5), "00000");
  EXPECT_EQ(PassesThatFire(&trigger, Failpoint::kWorkerCommitSent, "KIND_INDEX", 3), "010");
}

TEST(FailpointTriggerTest, RunThenFiresAfterTheStepAndTheOthersBefore) {
  for (const FailpointSide side : {FailpointSide::kBefore, FailpointSide::kAfter}) {
    for (const char* action : {"error", "exit", "pause:1s", "run-then-error", "run-then-pause:1s"}) {
      FailpointTrigger trigger = Trigger(absl::StrCat("worker.claim=", action));
      const bool fires = (side == FailpointSide::kAfter) == absl::StartsWith(action, "run-then-");
      EXPECT_EQ(trigger.Pass(Failpoint::kWorkerClaim, side, "").has_value(), fires) << action;
    }
  }
}

TEST(FailpointTriggerTest, AKeeperHasRulesOfItsOwn) {
  const char* const text = "worker.rpc_sent=error;keeper:worker.snapshot_export=error";
  FailpointTrigger program = Trigger(text);
  FailpointTrigger keeper = Trigger(text, /*in_keeper=*/true);
  EXPECT_EQ(PassesThatFire(&program, Failpoint::kWorkerRpcSent, "Register", 1), "1");
  EXPECT_EQ(PassesThatFire(&program, Failpoint::kWorkerSnapshotExport, "", 1), "0");
  EXPECT_EQ(PassesThatFire(&keeper, Failpoint::kWorkerRpcSent, "Register", 1), "0");
  EXPECT_EQ(PassesThatFire(&keeper, Failpoint::kWorkerSnapshotExport, "", 1), "1");
}

// Promise: the product itself has no failures built in, whatever the environment says.
TEST(FailpointTest, TheProductsLibraryAlwaysGoesOn) {
  ASSERT_EQ(setenv("HYPERSHIFT_FAILPOINTS", "worker.claim=error", 1), 0);
  int steps = 0;
  for (const FailpointEntry& entry : kFailpoints) {
    EXPECT_TRUE(AtFailpoint(entry.point, "", [&] { return ++steps, absl::OkStatus(); }).ok()) << entry.name;
  }
  EXPECT_EQ(steps, static_cast<int>(kFailpoints.size()));
  unsetenv("HYPERSHIFT_FAILPOINTS");
}

}  // namespace
}  // namespace hypershift
