// A random plan of a migration, in the shapes that the planner makes.
#ifndef HYPERSHIFT_TESTS_SIMULATION_PLAN_H_
#define HYPERSHIFT_TESTS_SIMULATION_PLAN_H_

#include <map>
#include <vector>

#include "coordinator/plan.h"
#include "coordinator/scheduler.h"
#include "tests/simulation/random.h"

namespace hypershift::simulation {

struct SimulatedPlan {
  std::vector<TablePlan> tables;
  std::vector<Barrier> barriers;
  std::map<TaskId, Task> tasks;
};

SimulatedPlan MakeRandomPlan(Random* random);

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_PLAN_H_
