// Brings the chunks of one time slice of a hypertable to the status "compressed, ordered, nothing left in the row
// store".
#ifndef HYPERSHIFT_WORKER_COMPRESS_TASK_H_
#define HYPERSHIFT_WORKER_COMPRESS_TASK_H_

#include "absl/status/status.h"
#include "hypershift/v1/types.pb.h"
#include "worker/task_context.h"

namespace hypershift {

// Idempotent, so the work commits by itself, chunk by chunk, each in a short transaction (compress_chunk locks its
// chunk until commit); the journal entry follows. A chunk that isn't there counts as done: nothing is left to compress.
// kInternal, permanent: a chunk does not reach the status after a few tries.
absl::Status RunCompressTask(const v1::CompressWork& work, const TaskContext& task);

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_COMPRESS_TASK_H_
