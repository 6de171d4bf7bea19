// Runs statements on the target in one transaction, together with the task's journal entry.
#ifndef HYPERSHIFT_WORKER_STATEMENT_TASK_H_
#define HYPERSHIFT_WORKER_STATEMENT_TASK_H_

#include "absl/status/status.h"
#include "hypershift/v1/types.pb.h"
#include "worker/task_context.h"

namespace hypershift {

// OK: committed. Otherwise nothing is; the server's error, kAborted for a stale lease, kCancelled. After an error the
// caller closes the connections.
absl::Status RunStatementTask(const v1::StatementWork& work, const TaskContext& task);

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_STATEMENT_TASK_H_
