// A migration with coordinators that take over from each other, workers, a target server, and all that goes wrong
// between them, under one seed. Faults strike for a while and then cease: from then on it must come to its end.
#ifndef HYPERSHIFT_TESTS_SIMULATION_SIMULATION_H_
#define HYPERSHIFT_TESTS_SIMULATION_SIMULATION_H_

#include <cstdint>
#include <string>

#include "tests/simulation/context.h"
#include "tests/simulation/database.h"

namespace hypershift::simulation {

struct Outcome {
  std::string violation;  // Empty: every promise was kept.
  Figures figures;
};

// The same seed and weakness give the same outcome. `trace`: prints what happens to standard error.
Outcome Simulate(uint64_t seed, Weakness weakness = Weakness::kNone, bool trace = false);

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_SIMULATION_H_
