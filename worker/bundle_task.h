// Small tasks that share a transaction: they cost as many round trips as one of them would alone.
//
// All of them are committed, each with its own journal entry, or none. Errors are not those of a certain task: whoever
// calls runs them one after the other then, on new connections, and each shows its own; unless a server is away, which
// would take each as long again, or a table is locked (SQLSTATE 55P03, after a second), behind which the rest would
// wait. That is safe also when nobody knows whether a COMMIT took effect: what is done can't be claimed again.
#ifndef HYPERSHIFT_WORKER_BUNDLE_TASK_H_
#define HYPERSHIFT_WORKER_BUNDLE_TASK_H_

#include <vector>

#include "absl/status/status.h"
#include "hypershift/v1/types.pb.h"
#include "worker/task_context.h"

namespace hypershift {

// Tasks of the same connections and ring, and the work of each.
struct Bundle {
  std::vector<TaskContext> tasks;
  std::vector<const v1::TaskWork*> works;
};

// kInvalidArgument: not all copies, or not all statements; or settings, which would hold for the others as well.
absl::Status CheckBundle(const Bundle& bundle);
absl::Status RunCopyBundle(const Bundle& bundle, const v1::Snapshot& snapshot);
absl::Status RunStatementBundle(const Bundle& bundle);

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_BUNDLE_TASK_H_
