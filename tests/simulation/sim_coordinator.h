// A coordinator's process: the product's MigrationState, Scheduler, Dispatcher and Turn, and around them what
// coordinator.cc, standby.cc, migration_setup.cc and run_loop.cc do, in their order, on the simulated journal. Where
// these change, this must.
#ifndef HYPERSHIFT_TESTS_SIMULATION_SIM_COORDINATOR_H_
#define HYPERSHIFT_TESTS_SIMULATION_SIM_COORDINATOR_H_

#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "coordinator/migration_state.h"
#include "coordinator/turn.h"
#include "tests/simulation/context.h"
#include "tests/simulation/sim_journal.h"

namespace hypershift::simulation {

class SimCoordinator {
 public:
  // `holder`: the snapshot of the one that begins the migration.
  SimCoordinator(const Context& context, std::string name, bool standby, std::optional<v1::Snapshot> holder);
  ~SimCoordinator() { process_.Kill(); }

  Process* process() { return &process_; }
  MigrationState* state() { return &state_; }
  const std::string& name() const { return name_; }
  void Kill();
  // Whether it has come to its end.
  bool ended() const { return ended_; }
  // Its session on the source is lost, if it has one.
  void LoseSource();

 private:
  void Main();
  absl::Status Lead();
  // False: the migration has ended, or it was asked to stop.
  absl::StatusOr<bool> WaitForLead();
  absl::Status SetUp();
  absl::Status TakeLead();
  absl::Status RecoverSnapshot();
  absl::Status LoadFromJournal();
  absl::Status RunLoop();
  absl::Status TakeTurn();
  absl::Status RetryTables();
  absl::Status ReleaseSnapshotWhenCopied();
  absl::Status KeepSnapshot();
  absl::Status RecoverFrom(const absl::Status& error);
  absl::Status EndStopped();
  absl::Status End(v1::MigrationPhase::Phase phase, bool keepers_too);
  void DropHolder();

  const Context context_;
  const std::string name_;
  const bool standby_;
  const SkewedClock clock_;
  Process process_;
  MigrationState state_;
  SimJournal journal_;
  Turn turn_;
  std::optional<v1::Snapshot> holder_;
  bool began_ = false;  // Began the migration; need not recover the snapshot.
  bool snapshot_released_ = false;
  absl::Time last_heartbeat_ = absl::InfinitePast();
  absl::Time snapshot_lost_since_ = absl::InfiniteFuture();
  std::set<int> retried_;
  bool ended_ = false;
};

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_SIM_COORDINATOR_H_
