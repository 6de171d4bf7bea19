// Transactions on the source that see the migration's snapshot.
//
// A snapshot id alone proves nothing: after a server restart another session can export the very same id. So an import
// compares what identifies the snapshot before anything is read.
#ifndef HYPERSHIFT_WORKER_SOURCE_SNAPSHOT_H_
#define HYPERSHIFT_WORKER_SOURCE_SNAPSHOT_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/copy_connection.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

// Begins a read-only transaction that sees `snapshot`. On failure the transaction may be left open: roll back or close.
// kFailedPrecondition, retryable: the id is not there any more, or it names another snapshot than the migration's.
absl::Status BeginOnSnapshot(CopyConnection* source, const v1::Snapshot& snapshot);

// Exports the snapshot of the transaction that is open, with what identifies it.
absl::StatusOr<v1::Snapshot> ExportSnapshot(CopyConnection* source);

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_SOURCE_SNAPSHOT_H_
