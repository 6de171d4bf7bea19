// Measures every second what the limits of a migration are about: sessions on the source, the lag of its stand-bys, WAL
// on the target; and tells the state whether any of it holds leasing back (coordinator/throttle).
//
// Owns a thread and its connections, which are opened for a limit that is set, with short time limits, and again after
// a loss. What can't be asked is said in the status and blocks nothing for ever.
#ifndef HYPERSHIFT_COORDINATOR_THROTTLE_WATCH_H_
#define HYPERSHIFT_COORDINATOR_THROTTLE_WATCH_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/connection_string.h"
#include "common/pg_session.h"
#include "coordinator/migration_state.h"
#include "coordinator/polling_thread.h"
#include "coordinator/throttle.h"

namespace hypershift {

class ThrottleWatch {
 public:
  // Begins at once. The state is not owned and must outlive this.
  ThrottleWatch(ConnectionString source, ConnectionString target, const std::vector<ConnectionString>& standbys,
                MigrationState* state);
  ThrottleWatch(const ThrottleWatch&) = delete;
  ThrottleWatch& operator=(const ThrottleWatch&) = delete;

  // From now on nothing is asked of the source and its stand-bys. Any thread; does not wait.
  void LeaveSource();

 private:
  struct Server {
    Server(ConnectionString where, ServerRole role, std::string name = "")
        : where(std::move(where)), role(role), name(std::move(name)) {}
    ConnectionString where;
    ServerRole role;
    std::string name;
    std::unique_ptr<PgSession> session;
    absl::Status error;
    absl::Time next_try = absl::InfinitePast();
  };

  static std::vector<Server> ServersOf(const std::vector<ConnectionString>& standbys);
  void Look();
  void LookAtStandbys();
  // The number that a query gives, or why there is none.
  static absl::StatusOr<int64_t> Ask(Server* server, const char* sql);

  // All of the thread.
  Server source_;
  Server target_;
  std::vector<Server> standbys_;
  std::vector<std::string> silent_standbys_;  // A warning each.
  Throttle throttle_;

  MigrationState* const state_;
  std::atomic<bool> leave_source_{false};
  PollingThread thread_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_THROTTLE_WATCH_H_
