// Copies one range: streams the rows of queries on the source, under the migration's snapshot, into COPYs on the
// target, and commits them together with the journal entry.
#ifndef HYPERSHIFT_WORKER_COPY_TASK_H_
#define HYPERSHIFT_WORKER_COPY_TASK_H_

#include <vector>

#include "absl/status/status.h"
#include "hypershift/v1/types.pb.h"
#include "worker/task_context.h"

namespace hypershift {

// Runs one attempt to its commit. Blocks; starts a thread that reads the source and joins it. Bytes go from one server
// to the other unchanged. The target transaction begins when the first bytes are there (or the end), not while the
// source still sorts. Memory: the ring, and libpq's own copies of the largest row.
//
// OK: committed. Any error: nothing of the attempt is on the target, but transactions may be left open: the caller
// closes the connections. Errors worth knowing:
//   kAborted             the lease is no longer this attempt's
//   kFailedPrecondition  the snapshot is gone or foreign (retryable); or the source table was rewritten under the
//                        snapshot (permanent)
//   kDataLoss            a malformed stream, or the target took another number of rows than were read (permanent)
//   kCancelled           task.progress->cancelled
absl::Status RunCopyTask(const v1::CopyWork& work, const v1::Snapshot& snapshot, const TaskContext& task);

// The same for tasks that share their transactions and commit together or not at all: their works have the same
// settings and prologue, their contexts the same connections and ring.
absl::Status RunCopyTasks(const std::vector<const v1::CopyWork*>& works, const v1::Snapshot& snapshot,
                          const std::vector<TaskContext>& tasks);

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_COPY_TASK_H_
