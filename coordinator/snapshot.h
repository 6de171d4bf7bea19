// The coordinator's own source session: it holds the migration's snapshot and reads the source under it.
//
// Not thread-safe. The snapshot lives as long as this object or any worker's keeper that imported it.
#ifndef HYPERSHIFT_COORDINATOR_SNAPSHOT_H_
#define HYPERSHIFT_COORDINATOR_SNAPSHOT_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/connection_string.h"
#include "common/pg_session.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

class SnapshotHolder {
 public:
  // Takes a new snapshot and exports it.
  static absl::StatusOr<std::unique_ptr<SnapshotHolder>> Take(const ConnectionString& source);
  // Imports one that somebody else holds and exports it again. kFailedPrecondition: the id now means another snapshot
  // than `expected` says, or nobody holds it any more.
  static absl::StatusOr<std::unique_ptr<SnapshotHolder>> Import(const ConnectionString& source,
                                                                const v1::Snapshot& expected);

  const v1::Snapshot& snapshot() const { return snapshot_; }
  // For reading under the snapshot. An SQL error ends the transaction, and with it this holder's use.
  PgSession* session() { return session_.get(); }
  // Whether the session still lives. A round trip.
  absl::Status Heartbeat();

 private:
  SnapshotHolder(std::unique_ptr<PgSession> session, v1::Snapshot snapshot);
  static absl::StatusOr<std::unique_ptr<SnapshotHolder>> Export(std::unique_ptr<PgSession> session,
                                                                const v1::Snapshot* expected);
  std::unique_ptr<PgSession> session_;
  v1::Snapshot snapshot_;
};

// Whether two snapshots are the same rows: everything but the id, which each holder has of its own.
bool SameSnapshot(const v1::Snapshot& a, const v1::Snapshot& b);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_SNAPSHOT_H_
