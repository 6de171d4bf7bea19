// Looks at both servers again and again, to say what the migration waits for there: who holds the locks that its
// sessions want, how far the snapshot holds back vacuum on the source, and whether the sessions that copy wait for
// their clients (coordinator/bottleneck.h).
//
// Owns a thread and a connection to each server, opened when needed and again after a loss; errors are nobody's
// concern, since this only informs. Without the right to see other sessions (pg_read_all_stats) it knows their pid and
// user only.
#ifndef HYPERSHIFT_COORDINATOR_SERVER_WATCH_H_
#define HYPERSHIFT_COORDINATOR_SERVER_WATCH_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "common/connection_string.h"
#include "common/pg_session.h"
#include "coordinator/migration_state.h"
#include "coordinator/polling_thread.h"

namespace hypershift {

class ServerWatch {
 public:
  // Begins at once. The state is not owned and must outlive this.
  ServerWatch(ConnectionString source, ConnectionString target, MigrationState* state);
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

  void Look();
  static absl::StatusOr<PgSession*> SessionOf(Server* server);
  static void AddWaits(Server* server, std::vector<std::string>* waits);
  void LookAtCopies(bool source_too);
  void ReadXminAge();

  Server source_;  // Of the thread, as target_.
  Server target_;
  int looks_ = 0;
  MigrationState* const state_;
  std::atomic<bool> leave_source_{false};
  PollingThread thread_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_SERVER_WATCH_H_
