// The coordinator's own source session: it holds the migration's snapshot, and nothing else. Whatever it read would be
// locked until the last range has been copied, and DDL on the source would wait for that, with everybody behind it.
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
  // Another session, in a transaction under the snapshot. What it reads stays locked as long as it is open.
  absl::StatusOr<std::unique_ptr<PgSession>> OpenReader();
  // Whether the session still lives. A round trip.
  absl::Status Heartbeat();

 private:
  SnapshotHolder(ConnectionString source, std::unique_ptr<PgSession> session, v1::Snapshot snapshot);
  static absl::StatusOr<std::unique_ptr<SnapshotHolder>> Export(const ConnectionString& source,
                                                                std::unique_ptr<PgSession> session,
                                                                v1::Snapshot snapshot);
  ConnectionString source_;
  std::unique_ptr<PgSession> session_;
  v1::Snapshot snapshot_;
};

// Whether two snapshots are the same rows: everything but the id, which each holder has of its own.
bool SameSnapshot(const v1::Snapshot& a, const v1::Snapshot& b);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_SNAPSHOT_H_
