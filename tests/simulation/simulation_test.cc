// HYPERSHIFT_SIMULATION_SEEDS=100000 runs more than the few seconds' worth that a test run gets;
// HYPERSHIFT_SIMULATION_FIRST_SEED and HYPERSHIFT_SIMULATION_TRACE=1 look into one.
#include "tests/simulation/simulation.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/log.h"

namespace hypershift::simulation {
namespace {

constexpr int64_t kSeeds = 3000;
constexpr absl::Duration kTimeLimit = absl::Seconds(20);
constexpr int kMostFailures = 10;

int64_t Number(const char* variable, int64_t otherwise) {
  const char* const text = std::getenv(variable);
  int64_t number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

void Silence() {
  LogOptions log;
  log.level = LogLevel::kError;
  InitLog(log);
}

void Add(const Figures& figures, Figures* total) {
  total->attempts += figures.attempts;
  total->stale_attempts += figures.stale_attempts;
  total->in_doubt_commits += figures.in_doubt_commits;
  total->failed_turns += figures.failed_turns;
  total->take_overs += figures.take_overs;
  total->depositions += figures.depositions;
  total->kills += figures.kills;
  total->stops += figures.stops;
  total->hand_overs += figures.hand_overs;
  total->failed_tables += figures.failed_tables;
  total->simulated += figures.simulated;
}

// Promise: with workers, coordinators and the target killed, stopped, cut off and restarted, and messages lost,
// doubled, delayed and reordered, every task takes effect once, after what it waits for, by an attempt that holds the
// lease; a deposed coordinator changes nothing; no task is given up before its limit; and when the faults cease, the
// migration ends.
TEST(SimulationTest, KeepsItsPromisesUnderEverySeed) {
  Silence();
  const int64_t first = Number("HYPERSHIFT_SIMULATION_FIRST_SEED", 1);
  const int64_t seeds = Number("HYPERSHIFT_SIMULATION_SEEDS", kSeeds);
  const bool limited = std::getenv("HYPERSHIFT_SIMULATION_SEEDS") == nullptr;
  const bool trace = Number("HYPERSHIFT_SIMULATION_TRACE", 0) != 0;
  const absl::Time began = absl::Now();
  Figures total;
  int64_t done = 0;
  for (int failures = 0; done < seeds && failures < kMostFailures; ++done) {
    if (limited && absl::Now() - began > kTimeLimit) break;
    const auto seed = static_cast<uint64_t>(first + done);
    const Outcome outcome = Simulate(seed, Weakness::kNone, trace);
    Add(outcome.figures, &total);
    if (outcome.violation.empty()) continue;
    ++failures;
    ADD_FAILURE() << "seed " << seed << ": " << outcome.violation
                  << "\nLook into it with HYPERSHIFT_SIMULATION_SEEDS=1 "
                  << "HYPERSHIFT_SIMULATION_FIRST_SEED=" << seed << " HYPERSHIFT_SIMULATION_TRACE=1";
  }
  std::printf("%s\n", absl::StrCat(done, " seeds from ", first, " in ", absl::ToInt64Seconds(absl::Now() - began),
                                   " s: ", absl::ToInt64Hours(total.simulated), " simulated hours, ", total.attempts,
                                   " attempts")
                          .c_str());
  std::printf("%s\n",
              absl::StrCat("stale ", total.stale_attempts, ", in doubt ", total.in_doubt_commits, ", failed turns ",
                           total.failed_turns, ", leads ", total.take_overs, ", depositions ", total.depositions)
                  .c_str());
  std::printf("%s\n", absl::StrCat("kills ", total.kills, ", stops ", total.stops, ", hand-overs ", total.hand_overs,
                                   ", runs with failed tables ", total.failed_tables)
                          .c_str());
  if (done < 200) return;
  // What it is about did come to pass.
  for (const int64_t figure : {total.attempts, total.stale_attempts, total.in_doubt_commits, total.failed_turns,
                               total.depositions, total.kills, total.stops, total.hand_overs, total.failed_tables}) {
    EXPECT_GT(figure, 0);
  }
}

// Promise: a seed repeats itself.
TEST(SimulationTest, RepeatsASeed) {
  Silence();
  for (const uint64_t seed : {uint64_t{1}, uint64_t{77}}) {
    const Outcome one = Simulate(seed);
    const Outcome other = Simulate(seed);
    EXPECT_EQ(one.figures.simulated, other.figures.simulated);
    EXPECT_EQ(one.figures.attempts, other.figures.attempts);
    EXPECT_EQ(one.figures.failed_turns, other.figures.failed_turns);
  }
}

struct WeakenedCase {
  Weakness weakness;
  const char* name;
};

class WeakenedJournalTest : public ::testing::TestWithParam<WeakenedCase> {};

// Promise: the simulation would notice if any of the journal's conditions were missing.
TEST_P(WeakenedJournalTest, IsNoticed) {
  Silence();
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    const Outcome outcome = Simulate(seed, GetParam().weakness);
    if (outcome.violation.empty()) continue;
    std::printf("seed %s: %s\n", std::to_string(seed).c_str(), outcome.violation.c_str());
    return;
  }
  FAIL() << "no seed shows it";
}

INSTANTIATE_TEST_SUITE_P(All, WeakenedJournalTest,
                         ::testing::Values(WeakenedCase{Weakness::kFinishUnchecked, "FinishUnchecked"},
                                           WeakenedCase{Weakness::kEffectUnfenced, "EffectUnfenced"},
                                           WeakenedCase{Weakness::kEpochUnchecked, "EpochUnchecked"},
                                           WeakenedCase{Weakness::kEpochUnlocked, "EpochUnlocked"},
                                           WeakenedCase{Weakness::kLeadTakenEarly, "LeadTakenEarly"},
                                           WeakenedCase{Weakness::kLeaseUnchecked, "LeaseUnchecked"},
                                           WeakenedCase{Weakness::kChangeUnchecked, "ChangeUnchecked"},
                                           WeakenedCase{Weakness::kGatesForgotten, "GatesForgotten"},
                                           WeakenedCase{Weakness::kSessionsKept, "SessionsKept"},
                                           WeakenedCase{Weakness::kFailuresForgotten, "FailuresForgotten"}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace hypershift::simulation
