// The run loop: one thread that takes turns (coordinator/turn) until the migration ends, and between them looks after
// the snapshot.
//
// After a turn that failed (a lost connection to the target, a journal that has moved on) it rebuilds everything from
// the journal before it takes another.
#ifndef HYPERSHIFT_COORDINATOR_RUN_LOOP_H_
#define HYPERSHIFT_COORDINATOR_RUN_LOOP_H_

#include <deque>
#include <memory>
#include <set>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/coordinator.h"
#include "coordinator/journal.h"
#include "coordinator/migration_state.h"
#include "coordinator/server_watch.h"
#include "coordinator/snapshot.h"
#include "coordinator/throttle_watch.h"
#include "coordinator/turn.h"

namespace hypershift {

class RunLoop {
 public:
  RunLoop(const CoordinatorOptions& options, MigrationRecord record, std::unique_ptr<SnapshotHolder> holder,
          MigrationState* state, Journal* journal);

  // Runs until every task is done, or nothing more can run, or a stop was asked for.
  absl::StatusOr<RunResult> Run();

 private:
  absl::Status TakeTurn(absl::Duration wait);
  bool AllDone();
  Circumstances FindCircumstances();
  absl::Status Steer();
  absl::Status RecordWorkers();
  absl::Status RetryTables();
  absl::Status ReleaseSnapshotWhenCopied();
  absl::Status KeepSnapshot();
  absl::Status RecoverFrom(const absl::Status& error);
  void EndTrouble();
  void EndDeposed();
  absl::StatusOr<RunResult> EndStopped();
  absl::StatusOr<RunResult> EndCancelled();
  absl::StatusOr<RunResult> EndFinished();
  int Leased();
  void RollBackRunning();
  absl::StatusOr<RunResult> EndWithFailures();

  const CoordinatorOptions& options_;
  const MigrationRecord record_;
  std::unique_ptr<SnapshotHolder> holder_;
  MigrationState* state_;
  Journal* journal_;
  Turn turn_;

  ServerWatch watch_;
  ThrottleWatch throttle_watch_;

  std::deque<v1::RegisterRequest> registered_;  // Not yet in the journal.
  std::set<int> retried_;                       // Tables likewise.
  bool snapshot_released_ = false;
  absl::Time last_heartbeat_ = absl::InfinitePast();
  absl::Time snapshot_lost_since_ = absl::InfiniteFuture();
  absl::Time trouble_since_ = absl::InfiniteFuture();
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_RUN_LOOP_H_
