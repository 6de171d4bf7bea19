// What the coordinator reads from and writes to the journal's tasks, as values. Pure data: whoever decides about tasks
// needs this and not the journal.
#ifndef HYPERSHIFT_COORDINATOR_JOURNAL_ROWS_H_
#define HYPERSHIFT_COORDINATOR_JOURNAL_ROWS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/scheduler.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

// A task's row as far as the coordinator watches it change.
struct TaskRow {
  Task task;
  std::string description;
  std::string sqlstate;
  v1::Digest digest;
  absl::Time started_at;
  absl::Time finished_at;
};

// A change of one task, applied only if the row is leased by this attempt.
struct TaskChange {
  TaskId id = 0;
  int attempt = 0;
  TaskState::State to = TaskState::STATE_UNSPECIFIED;  // STATE_PENDING (released) or STATE_FAILED.
  int failures = 0;
  std::string error;
  std::string sqlstate;
};

// Applied only if the row is pending and `attempt` is its last one.
struct LeaseRequest {
  TaskId id = 0;
  int attempt = 0;  // The attempt before this lease.
  std::string worker;
  int64_t bundle = 0;  // As Task::bundle, 0 if it is alone; not for the journal.
};

// Everything of one turn of the coordinator.
struct JournalBatch {
  std::vector<TaskChange> changes;
  std::vector<std::pair<TaskId, int>> renewals;
  std::vector<LeaseRequest> leases;
};

struct Leased {
  TaskId id = 0;
  int attempt = 0;
  std::string description;
  v1::TaskWork work;
};

// What became of a batch. What did not apply, because the row is not what the coordinator believed, is missing.
struct AppliedBatch {
  size_t changed = 0;
  std::vector<Leased> leased;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_JOURNAL_ROWS_H_
