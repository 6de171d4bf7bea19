// What goes wrong in a simulation, and how often: drawn from the seed, each kind switched on in about half of them, so
// that every combination comes up.
#ifndef HYPERSHIFT_TESTS_SIMULATION_FAULTS_H_
#define HYPERSHIFT_TESTS_SIMULATION_FAULTS_H_

#include "absl/time/time.h"
#include "tests/simulation/random.h"

namespace hypershift::simulation {

// Probabilities of a single event, and mean times between those that strike by themselves (infinite: never).
struct Faults {
  // --- calls of workers to coordinators ---
  double call_lost = 0;
  double answer_lost = 0;
  double call_doubled = 0;
  absl::Duration longest_call_delay = absl::Milliseconds(5);

  // --- connections to the target ---
  double statement_lost = 0;         // The connection breaks before the server has the statement.
  double statement_answer_lost = 0;  // … or after.
  // Of the connections that break, those whose session the server keeps until it notices.
  double session_lingers = 0;
  double connect_fails = 0;
  // Of the sessions that are terminated, those that go on for a while: the server only sends a signal, and does not
  // even that where a session can't be told by its process.
  double termination_late = 0;
  absl::Duration longest_statement_delay = absl::Milliseconds(5);

  // --- attempts ---
  double attempt_outage = 0;
  double attempt_contended = 0;
  double attempt_transient = 0;
  double attempt_final = 0;
  absl::Duration longest_task = absl::Seconds(2);

  // --- what strikes by itself ---
  absl::Duration worker_killed = absl::InfiniteDuration();
  absl::Duration worker_stopped = absl::InfiniteDuration();
  absl::Duration keeper_lost = absl::InfiniteDuration();
  absl::Duration coordinator_killed = absl::InfiniteDuration();
  absl::Duration coordinator_stopped = absl::InfiniteDuration();
  absl::Duration coordinator_asked_to_stop = absl::InfiniteDuration();
  absl::Duration coordinator_source_lost = absl::InfiniteDuration();
  absl::Duration partition = absl::InfiniteDuration();
  absl::Duration target_restarted = absl::InfiniteDuration();
  absl::Duration table_retried = absl::InfiniteDuration();
  double host_lost = 0;         // Of the processes killed, those whose sessions the server does not see end.
  double stopped_for_ever = 0;  // Of the workers stopped, those that nobody continues.
};

Faults DrawFaults(Random* random);

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_FAULTS_H_
