// One task or bundle at a time: takes it from the board, runs it on its own connections, tells the coordinator how it
// ended.
//
// Owns a thread, which ends when the board is closed and the task at hand has ended; the destructor waits for that.
#ifndef HYPERSHIFT_WORKER_SLOT_H_
#define HYPERSHIFT_WORKER_SLOT_H_

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/buffer_ring.h"
#include "worker/bundle_task.h"
#include "worker/coordinator_client.h"
#include "worker/keeper.h"
#include "worker/rate_limit.h"
#include "worker/slot_connections.h"
#include "worker/task_board.h"
#include "worker/worker.h"
#include "worker/worker_metrics.h"

namespace hypershift {

class Slot {
 public:
  // Arguments must outlive this.
  Slot(const WorkerOptions& options, TaskBoard* board, Keeper* keeper, RateLimit* rate_limit, RoundTrips* round_trips,
       CoordinatorClient* coordinator);
  ~Slot();
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

 private:
  using Entries = std::vector<TaskBoard::EntryPtr>;

  void Loop();
  // In one transaction. False: that did not work, each is to be tried by itself.
  bool RunTogether(const Entries& entries);
  // `others_wait`: no longer than a bundle would for locks.
  void RunAlone(const TaskBoard::EntryPtr& entry, bool others_wait);
  // Counts the attempts that `run` makes.
  absl::Status Counted(const Entries& entries, const std::function<absl::Status()>& run);
  absl::Status Run(TaskBoard::Entry* entry);
  Bundle BundleOf(const Entries& entries);
  absl::Status RunBundle(const Entries& entries);
  // The task's, for its work: waits for the keeper's snapshot where it needs one.
  absl::StatusOr<v1::Snapshot> Snapshot();
  TaskContext ContextOf(TaskBoard::Entry* entry);
  // The attempts have ended, all alike: tells the coordinator, and takes them off the board.
  void End(const Entries& entries, const absl::Status& status);
  // Of several only a success.
  void Report(const Entries& entries, const absl::Status& status);
  absl::Status ReportOnce(const Entries& entries, const absl::Status& status);

  const std::string worker_name_;
  WorkerMetrics* const metrics_;
  TaskBoard* const board_;
  Keeper* const keeper_;
  RateLimit* const rate_limit_;
  RoundTrips* const round_trips_;
  CoordinatorClient* const coordinator_;
  SlotConnections connections_;
  BufferRing ring_;
  std::thread thread_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_SLOT_H_
