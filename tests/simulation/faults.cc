#include "tests/simulation/faults.h"

namespace hypershift::simulation {
namespace {

void Perhaps(Random* random, double highest, double* probability) {
  if (random->Chance(0.5)) *probability = highest * random->Fraction();
}

void Perhaps(Random* random, absl::Duration* mean_time) {
  if (random->Chance(0.4)) *mean_time = random->Magnitude(absl::Seconds(5), absl::Seconds(60));
}

}  // namespace

Faults DrawFaults(Random* random) {
  Faults faults;
  Perhaps(random, 0.2, &faults.call_lost);
  Perhaps(random, 0.2, &faults.answer_lost);
  Perhaps(random, 0.2, &faults.call_doubled);
  if (random->Chance(0.5)) {
    faults.longest_call_delay = random->Magnitude(absl::Milliseconds(10), absl::Seconds(20));
  }
  Perhaps(random, 0.05, &faults.statement_lost);
  Perhaps(random, 0.05, &faults.statement_answer_lost);
  Perhaps(random, 1, &faults.session_lingers);
  Perhaps(random, 0.3, &faults.connect_fails);
  Perhaps(random, 1, &faults.termination_late);
  if (random->Chance(0.4)) {
    faults.longest_statement_delay = random->Magnitude(absl::Milliseconds(10), absl::Seconds(3));
  }
  Perhaps(random, 0.2, &faults.attempt_outage);
  Perhaps(random, 0.2, &faults.attempt_contended);
  Perhaps(random, 0.3, &faults.attempt_transient);
  Perhaps(random, 0.05, &faults.attempt_final);
  if (random->Chance(0.5)) faults.longest_task = random->Magnitude(absl::Seconds(1), absl::Seconds(30));
  for (absl::Duration* mean_time :
       {&faults.worker_killed, &faults.worker_stopped, &faults.keeper_lost, &faults.coordinator_killed,
        &faults.coordinator_stopped, &faults.coordinator_asked_to_stop, &faults.coordinator_source_lost,
        &faults.partition, &faults.target_restarted, &faults.table_retried}) {
    Perhaps(random, mean_time);
  }
  Perhaps(random, 1, &faults.host_lost);
  Perhaps(random, 0.5, &faults.stopped_for_ever);
  return faults;
}

}  // namespace hypershift::simulation
