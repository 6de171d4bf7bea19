// The rows of the simulated journal.
#ifndef HYPERSHIFT_TESTS_SIMULATION_ROWS_H_
#define HYPERSHIFT_TESTS_SIMULATION_ROWS_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "coordinator/scheduler.h"

namespace hypershift::simulation {

// Of a task. Of `task` only what the journal keeps counts; lease_expires is by the server's clock.
struct JournalRow {
  Task task;
  std::string sqlstate;
  int64_t session = 0;  // That has claimed the attempt.
};

struct LeaderRow {
  std::string holder;
  int64_t epoch = 0;
  absl::Time expires = absl::InfinitePast();
};

// On whose behalf a transaction is.
struct Author {
  int64_t epoch = 0;  // A coordinator's; 0 = a worker.
  // Whether the coordinator, as things stand, charges no task for a failure, or no copy.
  bool forgives_all = false;
  bool forgives_copies = false;
  std::string worker;
  TaskId task = 0;
  int attempt = 0;
};

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_ROWS_H_
