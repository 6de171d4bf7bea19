// The coordinator: one migration from check to summary, or the rest of one that was interrupted.
//
// Owns the gRPC server, the journal's session and the source session that holds the snapshot. Listen() and Run() are
// called once, in this order, by one thread; Stop() by any.
#ifndef HYPERSHIFT_COORDINATOR_COORDINATOR_H_
#define HYPERSHIFT_COORDINATOR_COORDINATOR_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/config.h"
#include "common/connection_string.h"
#include "common/transport_security.h"
#include "coordinator/migration_state.h"
#include "coordinator/web_server.h"

namespace hypershift {

// How to go on when nobody holds the migration's snapshot any more.
enum class LostSnapshot {
  kRefuse,           // Exit, and name the three ways on.
  kSourceUnchanged,  // The operator vouches that nothing was written; refused when counters prove the contrary.
  kRestartTables,    // Unfinished tables again from nothing, under a new snapshot.
  kAllowInconsistent,
};

struct CoordinatorOptions {
  ConnectionString source;
  ConnectionString target;
  Config config;
  // Of the source, whose lag max_replication_lag is about.
  std::vector<ConnectionString> source_standbys;
  std::string listen = "127.0.0.1:0";
  // Where others are told to find it; empty = where it listens.
  std::string advertise;
  TransportSecurity security;
  // Metrics and the web page; unset = neither.
  std::optional<WebOptions> web;
  LostSnapshot lost_snapshot = LostSnapshot::kRefuse;
  bool fail_on_value_rewrite = false;
  // Only reads back what an ended migration brought, and compares.
  bool verify_only = false;
  // Wait until the leader's lead has expired, then go on in its place.
  bool standby = false;
  StateTimes times;
  absl::Duration leader_lease = absl::Seconds(10);
  // How long a resumed run waits for a keeper that holds the snapshot.
  absl::Duration keeper_wait = absl::Seconds(15);
  int retry_limit = 5;
  int64_t sort_budget_bytes = int64_t{1} << 30;
  // Called once when the snapshot is there and workers can be started; never after a failed check.
  std::function<void()> on_ready;
};

enum class RunResult { kDone, kStopped, kCancelled, kTablesFailed, kDifferences, kNotChecked };

class Coordinator {
 public:
  static std::unique_ptr<Coordinator> Create(CoordinatorOptions options);
  virtual ~Coordinator() = default;

  // Starts the gRPC server, and the web server if there is to be one; returns the address it listens on,
  // "127.0.0.1:43211". kInvalidArgument, kNotFound: it must not listen there, or a certificate is not as it must be.
  // kUnavailable: it can't be bound.
  virtual absl::StatusOr<std::string> Listen() = 0;

  // Runs to the end. kInvalidArgument, kNotFound, kUnauthenticated, kFailedPrecondition, …: the check failed, nothing
  // was written, the message is for the operator (several lines if there are several findings). kUnavailable: a server
  // can't be reached. kAborted: another coordinator has taken the lead.
  virtual absl::StatusOr<RunResult> Run() = 0;

  // The first call: no more leases, running ranges finish. at_once: they are rolled back. Everything stays resumable.
  virtual void Stop(bool at_once) = 0;

  // After Run(), when all is told: keeps the web page up for a moment, so that it can show the end. Until Stop().
  virtual void Linger() = 0;

  virtual MigrationState* state() = 0;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_COORDINATOR_H_
