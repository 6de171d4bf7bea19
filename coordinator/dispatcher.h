// What one turn of the coordinator decides about tasks: what to make of reports, whose lease is over, who gets which
// task, and whether any of it must be written now.
//
// Pure: no I/O, no clock of its own (now is passed in), not thread-safe. It applies its decisions to the scheduler at
// once and collects them as a batch for the journal. If the journal does not take the batch as it is, memory and
// journal have parted: the scheduler must then be loaded from the journal again.
#ifndef HYPERSHIFT_COORDINATOR_DISPATCHER_H_
#define HYPERSHIFT_COORDINATOR_DISPATCHER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/failure_class.h"
#include "coordinator/hand_over.h"
#include "coordinator/journal_rows.h"
#include "coordinator/scheduler.h"

namespace hypershift {

// What a worker said of an attempt that ended without a commit.
struct FailureReport {
  TaskId id = 0;
  int attempt = 0;
  std::string error;
  std::string sqlstate;
  bool retryable = false;
};

// A worker with a free slot.
struct FreeWorker {
  std::string name;
  int free_slots = 0;
};

struct DispatchSettings {
  absl::Duration lease_duration = absl::Seconds(20);
  absl::Duration leader_lease = absl::Seconds(10);
  int retry_limit = 5;  // Failures that count against a task until it is given up.
  // For so long no outage counts against a task. Afterwards it does: what ends the server each time is no outage.
  absl::Duration outage_patience = absl::Minutes(30);
  bool verify_only = false;
};

// What holds for the whole of a turn.
struct Circumstances {
  bool stopping = false;         // Nothing is leased any more.
  bool snapshot_is_held = true;  // Copies can run.
  bool paused = false;           // Nothing is leased for now, by an operator's wish.
  bool throttled = false;        // Nothing is leased for now, by what was measured of the servers.
  int max_slots = 0;             // Tasks at a time; 0 = as many as there are slots.
};

// The pause after an attempt that failed when `setbacks` others in a row had failed before: 0.5 s, doubled up to a
// minute; to 10 s while it waits for others, so that it goes on soon when they are done.
absl::Duration RetryDelay(int setbacks, FailureClass failure_class);

class Dispatcher {
 public:
  explicit Dispatcher(const DispatchSettings& settings) : settings_(settings) {}

  // Begins a turn; what the one before has decided and not written is forgotten.
  void Begin(const Circumstances& circumstances);

  // `rows`: what the journal says of the tasks that workers reported on or whose lease is over. A report is a hint: a
  // failure counts only if the row still belongs to that attempt. Returns the rows that the scheduler did not know to
  // be done. kUnavailable: the journal has moved on without this coordinator.
  absl::StatusOr<std::vector<TaskRow>> TakeIn(const std::vector<TaskRow>& rows,
                                              const std::vector<FailureReport>& failures, absl::Time now,
                                              Scheduler* scheduler);
  // Takes back these tasks, as far as their lease is still over: neither renewed nor ended by the rows just taken in.
  void TakeBack(const std::vector<TaskId>& expired, absl::Time now, Scheduler* scheduler);
  // Whether a copy could be leased in this turn, if there were a slot for it.
  bool MayLeaseCopies() const;
  // Takes running copies back, as far as they are still those attempts, and leases each to its new worker at once.
  void HandOverTo(const std::vector<HandOver>& chosen, absl::Time now, Scheduler* scheduler);
  // Tasks whose lease memory has renewed.
  void Renew(std::vector<std::pair<TaskId, int>> renewals) { batch_.renewals = std::move(renewals); }
  // Gives tasks to free slots, to the workers in turns, so that few tasks spread over them. Small ones in bundles.
  void Lease(std::vector<FreeWorker> workers, absl::Time now, Scheduler* scheduler);

  // Whether the batch is to be written in this turn. It also renews the lead, so now and then an empty one is.
  bool MustWrite(absl::Time now) const;
  const JournalBatch& batch() const { return batch_; }
  // What the journal made of the batch. kUnavailable: not all of it applied, so memory and journal have parted.
  absl::Status Written(const AppliedBatch& applied, absl::Time now);

 private:
  bool MayRun(const Task& task) const;
  bool Counts(const Task& task, FailureClass failure_class, absl::Time now) const;
  void TakeInFailure(const FailureReport& report, absl::Time now, Scheduler* scheduler);

  const DispatchSettings settings_;
  Circumstances circumstances_;
  JournalBatch batch_;
  absl::Time last_write_ = absl::InfinitePast();
  absl::Time last_renewal_ = absl::InfinitePast();
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_DISPATCHER_H_
