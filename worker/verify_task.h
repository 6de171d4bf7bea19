// Reads rows back from the target and records their digest in the journal, where the coordinator compares it with the
// one taken while they were copied.
#ifndef HYPERSHIFT_WORKER_VERIFY_TASK_H_
#define HYPERSHIFT_WORKER_VERIFY_TASK_H_

#include "absl/status/status.h"
#include "hypershift/v1/types.pb.h"
#include "worker/task_context.h"

namespace hypershift {

// OK: the digest is in the journal. The rows are read in a transaction of their own, which ends before the entry is
// written. Errors as RunCopyTask() has them. After an error the caller closes the connections.
absl::Status RunVerifyTask(const v1::VerifyWork& work, const TaskContext& task);

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_VERIFY_TASK_H_
