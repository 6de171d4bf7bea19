// The tasks that a worker holds a lease of: those waiting for a slot, those running, and those that have ended but
// whose end the coordinator doesn't know yet.
//
// Thread-safe. Owns a thread that cancels what was revoked, because asking a server to cancel can block, and must be
// repeated: a request that arrives between two statements has no effect.
#ifndef HYPERSHIFT_WORKER_TASK_BOARD_H_
#define HYPERSHIFT_WORKER_TASK_BOARD_H_

#include <deque>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/mutex.h"
#include "hypershift/v1/worker.pb.h"
#include "worker/slot_connections.h"
#include "worker/task_context.h"

namespace hypershift {

class TaskBoard {
 public:
  // One attempt. The lease never changes; `revoked`: the lease is no longer this worker's, its end interests nobody.
  struct Entry {
    explicit Entry(v1::LeasedTask leased) : lease(std::move(leased)) {}
    const v1::LeasedTask lease;
    TaskProgress progress;
    std::atomic<bool> revoked{false};

   private:
    friend class TaskBoard;
    Mutex connections_mutex_;
    SlotConnections* connections_ ABSL_GUARDED_BY(connections_mutex_) = nullptr;  // Set while it runs.
  };
  using EntryPtr = std::shared_ptr<Entry>;

  TaskBoard();
  ~TaskBoard();

  // All of a bundle at once, so that one slot takes them together. Attempts that are on the board already are left out.
  void Add(std::vector<v1::LeasedTask> leases);
  // For a slot: the next task, or all that wait of the next bundle; they run on `connections` until Ended(). Blocks.
  // Empty: the board was closed.
  std::vector<EntryPtr> Take(SlotConnections* connections);
  // The attempt runs on other connections from now on, or for now on none (null).
  static void RunsOn(const EntryPtr& entry, SlotConnections* connections);
  // The attempt runs no more; it stays on the board until Forget().
  void Ended(const EntryPtr& entry);
  void Forget(const EntryPtr& entry);

  // The coordinator took the lease away. A task that hasn't begun is forgotten at once.
  void Revoke(int64_t id, int32_t attempt);
  // Cancels all; they still report their end.
  void CancelAll();
  // Take() returns null from now on.
  void Close();
  bool closed() const;

  // Everything on the board: what Synchronize reports.
  std::vector<v1::RunningTask> Running() const;
  int size() const;
  // How many slots they take: a bundle takes one.
  int slots() const;
  // Waiting for a slot or running.
  int unended() const;

 private:
  using Key = std::pair<int64_t, int32_t>;

  void CancelLoop();
  std::vector<EntryPtr> ToCancel() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  CondVar changed_;
  std::map<Key, EntryPtr> entries_ ABSL_GUARDED_BY(mutex_);
  std::deque<EntryPtr> waiting_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, EntryPtr> running_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool destroyed_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread canceller_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_TASK_BOARD_H_
