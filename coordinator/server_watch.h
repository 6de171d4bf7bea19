// Looks every few seconds at both servers, to say what the migration waits for there: who holds the locks that its
// sessions want, and how far the snapshot holds back vacuum on the source.
//
// Owns a thread and a connection to each server, opened when needed and again after a loss; errors are nobody's
// concern, since this only informs. Without the right to see other sessions (pg_read_all_stats) it knows their pid and
// user only.
#ifndef HYPERSHIFT_COORDINATOR_SERVER_WATCH_H_
#define HYPERSHIFT_COORDINATOR_SERVER_WATCH_H_

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/connection_string.h"
#include "common/mutex.h"
#include "common/pg_session.h"
#include "coordinator/migration_state.h"

namespace hypershift {

class ServerWatch {
 public:
  // Begins at once. The state is not owned and must outlive this.
  ServerWatch(ConnectionString source, ConnectionString target, MigrationState* state);
  ~ServerWatch();
  ServerWatch(const ServerWatch&) = delete;
  ServerWatch& operator=(const ServerWatch&) = delete;

  // From now on nothing is asked of the source, and no connection to it stays open. Any thread; does not wait.
  void LeaveSource();

 private:
  struct Server {
    ConnectionString where;
    ServerRole role;
    std::unique_ptr<PgSession> session;
  };

  void Loop();
  void Look(bool source_too);
  static absl::StatusOr<PgSession*> SessionOf(Server* server);
  static void AddWaits(Server* server, std::vector<std::string>* waits);
  void ReadXminAge();

  Server source_;  // Of the thread, as target_.
  Server target_;
  MigrationState* const state_;
  Mutex mutex_;
  CondVar changed_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool leave_source_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_SERVER_WATCH_H_
