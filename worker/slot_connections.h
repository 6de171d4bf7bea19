// The two connections of a slot: one to the source, one to the target; opened when first needed, opened anew after they
// broke.
//
// Belongs to the slot's thread; only Cancel() may be called from another. A reader thread may use the source connection
// while the slot's thread uses the target's, as long as neither is opened or closed meanwhile.
#ifndef HYPERSHIFT_WORKER_SLOT_CONNECTIONS_H_
#define HYPERSHIFT_WORKER_SLOT_CONNECTIONS_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "common/connection_string.h"
#include "common/copy_connection.h"
#include "common/mutex.h"

namespace hypershift {

class SlotConnections {
 public:
  // `application_name` is what pg_stat_activity shows.
  SlotConnections(ConnectionString source, ConnectionString target, std::string application_name);
  ~SlotConnections();

  // The open connection; errors as CopyConnection::Open has them.
  absl::StatusOr<CopyConnection*> Source();
  absl::StatusOr<CopyConnection*> Target();

  // Rolls back whatever is open, and closes both: after a failed attempt nothing of it must be left behind.
  void Close();
  void CloseSource();
  void CloseTarget();

  // Any thread: asks both servers to cancel what they run now.
  void Cancel();

 private:
  absl::StatusOr<CopyConnection*> Get(ServerRole role);
  std::unique_ptr<CopyConnection>& Connection(ServerRole role) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return role == ServerRole::kSource ? source_ : target_;
  }
  void CloseOne(ServerRole role);

  const ConnectionString source_string_;
  const ConnectionString target_string_;
  const std::string application_name_;

  // Guards the pointers: a connection must not go away under Cancel().
  Mutex mutex_;
  std::unique_ptr<CopyConnection> source_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<CopyConnection> target_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_SLOT_CONNECTIONS_H_
