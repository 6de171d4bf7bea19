// Which task runs next: the tasks of a migration in memory, their states, and what each waits for.
//
// Pure: no I/O, no clock of its own (now is passed in), not thread-safe. It knows nothing of what a task does; order
// comes from barriers alone. A barrier is open when every task counted in it, and every barrier below it, is done. A
// task may run when all its gates (barriers) are open. So "compress a chunk when its last range has committed" and
// "constraints after indexes" are the same mechanism.
#ifndef HYPERSHIFT_COORDINATOR_SCHEDULER_H_
#define HYPERSHIFT_COORDINATOR_SCHEDULER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/task_state.h"

namespace hypershift {

using TaskId = int64_t;
using BarrierId = int64_t;

struct Barrier {
  BarrierId id = 0;
  BarrierId parent = 0;  // 0 = none.
};

// What the scheduler keeps of a task; what it does stays in the journal. There may be millions.
struct Task {
  TaskId id = 0;
  int table = 0;  // 0 = of no table.
  TaskKind::Kind kind = TaskKind::KIND_UNSPECIFIED;
  TaskState::State state = TaskState::STATE_PENDING;
  int attempt = 0;
  // Order within a table: the smallest first.
  int64_t sequence = 0;
  int64_t estimated_bytes = 0;
  // Takes less time than its round trips: may be leased together with others of its kind. All tasks of a table are of
  // one or the other sort while they wait together.
  bool small = false;
  BarrierId barrier = 0;  // Counted in; 0 = none.
  std::vector<BarrierId> gates;
  // Names what the task covers, so that a verification finds what it is to be compared with.
  std::string range_key;

  std::string worker;
  int64_t bundle = 0;  // While leased: those that share a slot have the same number. Not in the journal.
  absl::Time lease_expires;
  absl::Time not_before = absl::InfinitePast();  // A retry's delay.
  int failures = 0;                              // Of its attempts, as far as they count against the limit.
  int setbacks = 0;                              // Attempts in a row that ended without a commit. Not in the journal.
  absl::Time failing_since = absl::InfiniteFuture();  // The first of them.
  std::string error;
  int64_t rows = 0;
  int64_t bytes = 0;
};

class Scheduler {
 public:
  // kDataLoss: an id twice, or a barrier that isn't there.
  // `priorities` by table, 0 where none is given.
  static absl::StatusOr<Scheduler> Create(std::vector<Task> tasks, const std::vector<Barrier>& barriers,
                                          const std::map<int, int>& priorities = {});

  // The task to lease next, or null: that of the table of the highest priority, among these of the one with the most
  // bytes left per task already running there, and
  // within a table the one with the smallest sequence. `allowed` leaves kinds out (copies while there is no snapshot).
  const Task* Next(absl::Time now, const std::function<bool(const Task&)>& allowed) const;

  // Others, at most `limit`, that a small task may be leased together with: small ones of its kind and priority that
  // are next after it, ready, allowed, and have not failed before. Looks at a bounded number of tables.
  std::vector<TaskId> Companions(const Task& first, absl::Time now, const std::function<bool(const Task&)>& allowed,
                                 int limit) const;

  // Each applies one event. kNotFound: no such task; kAborted: the attempt is not the current one; kFailedPrecondition:
  // the transition table has no such transition.
  // `bundle`: that of the leased tasks whose slot it shares; 0 = a new one.
  absl::Status Lease(TaskId id, const std::string& worker, absl::Time expires, int64_t bundle = 0);
  absl::Status Finish(TaskId id, int attempt, int64_t rows, int64_t bytes);
  // counts_as_failure: the attempt's own error, not an expiry, a stop or an outage.
  absl::Status Release(TaskId id, int attempt, absl::Time now, absl::Time not_before, const std::string& error,
                       bool counts_as_failure);
  absl::Status Fail(TaskId id, int attempt, const std::string& error);
  absl::Status Retry(TaskId id);

  absl::Status Renew(TaskId id, int attempt, absl::Time expires);
  // Leased tasks whose lease has expired.
  std::vector<TaskId> Expired(absl::Time now) const;

  const Task* Find(TaskId id) const;
  // Ascending by id.
  const std::vector<Task>& tasks() const { return tasks_; }
  bool IsOpen(BarrierId id) const;
  int leased_count() const { return static_cast<int>(leased_.size()); }
  const std::set<TaskId>& leased() const { return leased_; }
  // Fewer than there are leased tasks, where some share one.
  int busy_slots() const { return static_cast<int>(bundles_.size()); }
  // Tasks of a kind that are not done.
  int64_t unfinished(TaskKind::Kind kind) const;
  int64_t unfinished() const { return unfinished_total_; }
  int64_t failed() const { return failed_total_; }
  // Nothing runs and nothing can ever run without a retry: done, or stuck behind failed tasks.
  bool Idle() const;
  // Earliest not_before of the ready tasks that still wait for it; InfiniteFuture if none.
  absl::Time NextRetryTime(absl::Time now) const;

 private:
  struct BarrierState {
    BarrierId parent = 0;
    int64_t open_count = 0;  // Unfinished tasks counted here, and unfinished barriers below.
    std::vector<TaskId> waiting;
  };
  struct TableState {
    int priority = 0;
    absl::btree_set<std::pair<int64_t, TaskId>> ready;  // (sequence, id) of pending tasks whose gates are open.
    int64_t bytes_left = 0;
    int running = 0;
    std::optional<double> weight;  // As it stands in by_weight_; unset = nothing is ready.
  };

  absl::Status Transition(Task* task, int attempt, TaskEvent event);
  absl::StatusOr<Task*> FindMutable(TaskId id);
  bool GatesOpen(const Task& task) const;
  void SetReady(const Task& task, bool ready);
  void SetLeased(Task* task, int64_t bundle);
  void SetUnleased(const Task& task);
  // After a change of a table's state: brings its place in the order up to date.
  void Place(int id, TableState* table);
  void Count(BarrierId id, int64_t change);

  std::vector<Task> tasks_;
  std::unordered_map<BarrierId, BarrierState> barriers_;
  std::map<int, TableState> tables_;
  // (-priority, -weight, id) of tables with ready tasks: the next one first.
  std::set<std::tuple<int, double, int>> by_weight_;
  std::set<TaskId> leased_;
  std::map<int64_t, int> bundles_;  // Leased tasks of each.
  int64_t last_bundle_ = 0;
  std::map<TaskKind::Kind, int64_t> unfinished_;
  int64_t unfinished_total_ = 0;
  int64_t failed_total_ = 0;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_SCHEDULER_H_
