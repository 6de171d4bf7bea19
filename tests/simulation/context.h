// What the parts of one simulation share.
#ifndef HYPERSHIFT_TESTS_SIMULATION_CONTEXT_H_
#define HYPERSHIFT_TESTS_SIMULATION_CONTEXT_H_

#include "absl/time/time.h"
#include "coordinator/dispatcher.h"
#include "coordinator/migration_state.h"
#include "tests/simulation/database.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/oracle.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/simulated_source.h"
#include "tests/simulation/world.h"

namespace hypershift::simulation {

struct Settings {
  DispatchSettings dispatch;
  StateTimes times;
  absl::Duration keeper_wait = absl::Seconds(60);
};

// How often what a simulation is about came to pass.
struct Figures {
  int64_t attempts = 0;
  int64_t stale_attempts = 0;    // Refused at claim or commit.
  int64_t in_doubt_commits = 0;  // Whose answer was lost.
  int64_t failed_turns = 0;      // After which the coordinator loads everything again.
  int64_t take_overs = 0;
  int64_t depositions = 0;  // Noticed by the one deposed.
  int64_t kills = 0;
  int64_t stops = 0;
  int64_t hand_overs = 0;     // From a slow worker to one that would be done sooner.
  int64_t failed_tables = 0;  // Runs that ended with some.
  absl::Duration simulated;
};

struct Context {
  World* world = nullptr;
  const Faults* faults = nullptr;
  const Settings* settings = nullptr;
  const SimulatedPlan* plan = nullptr;
  Oracle* oracle = nullptr;
  Database* database = nullptr;
  SimulatedSource* source = nullptr;
  Figures* figures = nullptr;
};

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_CONTEXT_H_
