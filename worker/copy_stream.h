// Streams rows from the source into the target: one COPY after the other, all in one transaction on either side.
#ifndef HYPERSHIFT_WORKER_COPY_STREAM_H_
#define HYPERSHIFT_WORKER_COPY_STREAM_H_

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "common/copy_connection.h"
#include "hypershift/v1/types.pb.h"
#include "worker/source_read.h"
#include "worker/task_context.h"

namespace hypershift {

// Ends the target's transaction, with the journal entries of what was read, part by part.
using FinishCopies = std::function<absl::Status(const std::vector<PartRead>& parts)>;

// Reads every part under the snapshot and writes it into its target COPY. Settings and prologue are those of the first
// part's work: parts of others must have the same. Blocks; starts a thread that reads the source, some parts ahead, and
// joins it. The target transaction begins when the first bytes are there (or the end), not while the source still
// sorts. `finish` is called, in the open transaction, when all parts are in and their tables are still those that were
// planned.
//
// OK: finish was called and said so. Errors as for RunCopyTask; transactions may be left open.
absl::Status StreamCopies(const std::vector<CopyPart>& parts, const v1::Snapshot& snapshot, const TaskContext& task,
                          CopyConnection* target, const FinishCopies& finish);

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_COPY_STREAM_H_
