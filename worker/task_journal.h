// A task's row in the journal on the target: claiming an attempt, and committing its effect together with its entry.
//
// The invariant of the whole program stands here: what a task did and its journal entry become visible in the same
// commit, and only while the attempt still holds its lease. Tasks that share a transaction are claimed, and finished,
// all or none.
//
// Used by the slot's thread only.
#ifndef HYPERSHIFT_WORKER_TASK_JOURNAL_H_
#define HYPERSHIFT_WORKER_TASK_JOURNAL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "hypershift/v1/types.pb.h"
#include "worker/task_context.h"

namespace hypershift {

// What the journal keeps of a finished attempt.
struct TaskOutcome {
  int64_t rows = 0;
  int64_t bytes = 0;
  // 32 hexadecimal digits, or empty.
  std::string digest;
  std::string rewritable_digest;
};

using SettingList = google::protobuf::RepeatedPtrField<v1::Setting>;
using StatementList = google::protobuf::RepeatedPtrField<std::string>;

// One SELECT that sets all of them for the current transaction; empty if there are none.
std::string SetLocalSql(const SettingList& settings);

// In a transaction of its own: records this slot's target session as the one that runs the attempt, and returns it. The
// attempt uses that very connection to its end, because the coordinator terminates it when the lease expires. kAborted:
// the lease is somebody else's now. Contexts of several tasks name the same connections.
absl::StatusOr<CopyConnection*> ClaimTasks(const std::vector<TaskContext>& tasks);
absl::StatusOr<CopyConnection*> ClaimTask(const TaskContext& task);

// Begins the target transaction of an attempt: settings, then statements, in one round trip.
absl::Status BeginTarget(CopyConnection* target, const SettingList& settings, const StatementList& statements);

// Writes the journal entries in the transaction open on `target`, and commits it. kAborted: an attempt is stale; all of
// it is rolled back. kInternal: no transaction is open. When the answer to COMMIT is lost, connects again (`target` is
// no longer valid then) and asks the journal: done is OK; otherwise, or when it can't be reached in time, kUnavailable.
// `outcomes`: one for each task.
absl::Status FinishTasks(const std::vector<TaskContext>& tasks, CopyConnection* target,
                         const std::vector<TaskOutcome>& outcomes);
absl::Status FinishTask(const TaskContext& task, CopyConnection* target, const TaskOutcome& outcome);

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_TASK_JOURNAL_H_
