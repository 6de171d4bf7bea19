// From nothing, or from an interrupted run, to a migration whose tasks can be leased: check, schema, plan; or resume.
//
// Not thread-safe; used by the coordinator's own thread before the run loop.
#ifndef HYPERSHIFT_COORDINATOR_MIGRATION_SETUP_H_
#define HYPERSHIFT_COORDINATOR_MIGRATION_SETUP_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/coordinator.h"
#include "coordinator/inspection.h"
#include "coordinator/journal.h"
#include "coordinator/lead_keeper.h"
#include "coordinator/planner.h"
#include "coordinator/snapshot.h"

namespace hypershift {

// Rebuilds what the coordinator holds in memory from the journal.
absl::Status LoadFromJournal(const std::string& migration, Journal* journal, MigrationState* state);

// kFailedPrecondition: the migration was cancelled, and nobody can resume it.
absl::Status RefuseCancelled(const MigrationRecord& record);

class MigrationSetup {
 public:
  MigrationSetup(const CoordinatorOptions& options, const std::string& address, MigrationState* state,
                 Journal* journal);

  // On return the state holds the plan and the phase is RUN (or, in verify_only, what is to be read back).
  absl::Status Run();

  const MigrationRecord& record() const { return record_; }
  // Why Run() failed: another coordinator has brought the migration to its end while this one waited for the lead.
  bool ended_meanwhile() const { return ended_meanwhile_; }
  // Whether keepers may hold what no new snapshot can replace: as soon as rows may have arrived under it, and until it
  // is released or lost. Also after Run has failed.
  bool needs_keepers() const { return needs_keepers_; }
  // The coordinator's hold on the snapshot; null when it has been released.
  std::unique_ptr<SnapshotHolder> TakeSnapshotHolder() { return std::move(holder_); }

 private:
  // Who holds the lead: this host and process.
  static std::string HolderName();
  static bool NeedsKeepers(const MigrationRecord& record);

  absl::Status Prepare();
  absl::Status Begin();
  absl::Status Resume(MigrationRecord record);
  absl::Status PrepareVerification();
  absl::Status PlanVerificationsAfterwards(bool gated);

  absl::Status OpenTarget();
  void IdentifyServers();
  absl::Status CreateTargetDatabase();
  absl::Status Inspect();  // Catalog, selection, hypertables, under the snapshot.
  absl::Status Check();
  absl::Status CheckSameMigration(const MigrationRecord& record);
  absl::Status TakeLead();
  absl::Status ReadRecordAgain();
  absl::Status RecoverSnapshot();
  absl::Status GoOnWithoutSnapshot();
  absl::Status ProveUnchanged();
  // What of the journal's tasks.
  struct Unfinished {
    std::set<int> tables;  // Some of whose copies are not done.
    std::vector<TaskId> leased;
  };
  absl::Status RestartUnfinishedTables(const Unfinished& unfinished);
  absl::Status ContinueFrom(JournalPhase phase);
  bool IsHypertable(const SchemaEntry& entry) const;
  absl::Status RestoreSchema();
  absl::Status CreateHypertables();
  absl::Status WritePlan();
  absl::Status ReadForPlan();
  PlannerInput MakePlannerInput() const;
  absl::Status LoadState();
  absl::Status ReadSchemaParts();
  void ShowMigration(bool resumed);
  void KeepLead();

  const CoordinatorOptions& options_;
  const std::string address_;
  MigrationState* state_;
  Journal* journal_;

  MigrationRecord record_;
  bool ended_meanwhile_ = false;
  bool needs_keepers_ = true;  // For all that is known before the journal is read.
  std::unique_ptr<SnapshotHolder> holder_;
  std::unique_ptr<LeadKeeper> lead_keeper_;  // While the set-up lasts.
  Inspection inspection_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_MIGRATION_SETUP_H_
