// The run loop: one thread that takes workers' reports, asks the journal what is true, decides, writes the decisions
// down in one transaction per turn, and only then hands tasks out.
//
// It owns the order of things: nothing is given away before the journal has it. After a lost connection to the target
// it rebuilds everything from the journal.
#ifndef HYPERSHIFT_COORDINATOR_RUN_LOOP_H_
#define HYPERSHIFT_COORDINATOR_RUN_LOOP_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/coordinator.h"
#include "coordinator/journal.h"
#include "coordinator/migration_state.h"
#include "coordinator/snapshot.h"

namespace hypershift {

class RunLoop {
 public:
  RunLoop(const CoordinatorOptions& options, MigrationRecord record, std::unique_ptr<SnapshotHolder> holder,
          MigrationState* state, Journal* journal);

  // Runs until every task is done, or nothing more can run, or a stop was asked for.
  absl::StatusOr<RunResult> Run();

 private:
  absl::Status Turn();
  absl::Status TakeInDone(std::vector<TaskId> completed, const std::vector<FailureReport>& failed);
  void DecideFailure(const TaskRow& row, const FailureReport& report, Journal::Batch* batch);
  absl::Status TakeBackExpired(Journal::Batch* batch);
  void PickTasks(Journal::Batch* batch);
  absl::Status ApplyAndHandOut(Journal::Batch batch);
  absl::Status ReleaseSnapshotWhenCopied();
  absl::Status KeepSnapshot();
  absl::Status RecoverFrom(const absl::Status& error);
  absl::StatusOr<RunResult> EndStopped();
  absl::StatusOr<RunResult> EndFinished();
  absl::StatusOr<RunResult> EndWithFailures();
  bool MayRun(const Task& task) const;

  const CoordinatorOptions& options_;
  const MigrationRecord record_;
  std::unique_ptr<SnapshotHolder> holder_;
  MigrationState* state_;
  Journal* journal_;

  bool snapshot_released_ = false;
  bool leasing_ = true;
  std::vector<TaskChange> changes_;  // Decided, to be written in this turn.
  std::map<TaskId, TaskKind::Kind> kinds_;
  absl::Time last_write_ = absl::InfinitePast();
  absl::Time last_heartbeat_ = absl::InfinitePast();
  absl::Time last_renewal_ = absl::InfinitePast();
  absl::Time snapshot_lost_since_ = absl::InfiniteFuture();
  absl::Time trouble_since_ = absl::InfiniteFuture();
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_RUN_LOOP_H_
