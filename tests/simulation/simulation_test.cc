#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/log.h"
#include "tests/simulation/simulation.h"

namespace hypershift::simulation {
namespace {

int64_t Number(const char* variable, int64_t otherwise) {
  const char* const text = std::getenv(variable);
  int64_t number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

class SimulationTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    LogOptions log;
    log.level = LogLevel::kError;
    InitLog(log);
  }
};

TEST_F(SimulationTest, KeepsItsPromisesUnderEverySeed) {
  const int64_t first = Number("HYPERSHIFT_SIMULATION_FIRST_SEED", 1);
  const int64_t seeds = Number("HYPERSHIFT_SIMULATION_SEEDS", 3000);
  const absl::Duration limit = absl::Seconds(Number("HYPERSHIFT_SIMULATION_SECONDS", 20));
  const bool trace = Number("HYPERSHIFT_SIMULATION_TRACE", 0) != 0;
  const absl::Time began = absl::Now();
  Figures total;
  int failed = 0;
  int64_t done = 0;
  for (; done < seeds && absl::Now() - began < limit && failed < 10; ++done) {
    const Outcome outcome = Simulate(static_cast<uint64_t>(first + done), Weakness::kNone, trace);
    if (!outcome.violation.empty()) {
      ++failed;
      ADD_FAILURE() << "seed " << first + done << ": " << outcome.violation;
    }
    total.attempts += outcome.figures.attempts;
    total.stale_attempts += outcome.figures.stale_attempts;
    total.in_doubt_commits += outcome.figures.in_doubt_commits;
    total.failed_turns += outcome.figures.failed_turns;
    total.take_overs += outcome.figures.take_overs;
    total.depositions += outcome.figures.depositions;
    total.kills += outcome.figures.kills;
    total.stops += outcome.figures.stops;
    total.failed_tables += outcome.figures.failed_tables;
    total.simulated += outcome.figures.simulated;
  }
  std::printf("%ld seeds from %ld in %.1f s: simulated %s\n", done, first, absl::ToDoubleSeconds(absl::Now() - began),
              absl::FormatDuration(total.simulated).c_str());
  std::printf("attempts %ld, stale %ld, in doubt %ld, failed turns %ld, leads %ld, depositions %ld, kills %ld, stops %ld, "
              "runs that ended with failed tables %ld\n",
              total.attempts, total.stale_attempts, total.in_doubt_commits, total.failed_turns, total.take_overs,
              total.depositions, total.kills, total.stops, total.failed_tables);
}

}  // namespace
}  // namespace hypershift::simulation
