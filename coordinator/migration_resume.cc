// How a migration is taken up again: the lead, what the journal has, and the snapshot or one of the ways on without it.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "coordinator/finishing_planner.h"
#include "coordinator/migration_setup.h"

namespace hypershift {
namespace {

// Before any row can have arrived.
constexpr absl::Duration kShortKeeperWait = absl::Seconds(5);

constexpr char kThreeWaysOn[] =
    "nobody holds this migration's snapshot of the source any more, so the ranges still to come can't be read as of "
    "the "
    "same moment. Three ways on:\n"
    "  --source-unchanged     you vouch that nothing was written to the source since (a fork, a stopped application)\n"
    "  --restart-tables       unfinished tables are copied again from nothing under a new snapshot; each is consistent "
    "in itself\n"
    "  --allow-inconsistent   go on under a new snapshot; unfinished tables mix two moments";

}  // namespace

absl::Status MigrationSetup::CheckSameMigration(const MigrationRecord& record) {
  SessionOptions session_options;
  absl::StatusOr<std::unique_ptr<PgSession>> session = PgSession::Open(options_.source, session_options);
  if (!session.ok()) {
    // The rest of a migration whose rows have all arrived needs the source no more.
    return record.snapshot_released ? absl::OkStatus() : session.status();
  }
  HS_ASSIGN_OR_RETURN(const Catalog source, ReadSourceIdentity(session->get()));
  const std::string unfinished =
      absl::StrCat("target: it holds an unfinished migration (", record.id, ", from ", record.source, ")");
  const std::string remedy = ": use the same, or give that migration up with `hypershift cleanup`";
  if (source.system_identifier != record.system_identifier) {
    return absl::FailedPreconditionError(absl::StrCat(unfinished, " from another server than --source", remedy));
  }
  if (source.database_oid != record.database_oid) {
    return absl::FailedPreconditionError(absl::StrCat(unfinished, " from another database than --source", remedy));
  }
  if (source.timeline != record.timeline) {
    return absl::FailedPreconditionError(absl::StrCat(unfinished, " from timeline ", record.timeline,
                                                      ", but --source is on timeline ", source.timeline,
                                                      " (a promoted stand-by or a fork)", remedy));
  }
  if (options_.config.Fingerprint() != record.config) {
    return absl::FailedPreconditionError(absl::StrCat(unfinished, " with another configuration", remedy));
  }
  return absl::OkStatus();
}

absl::Status MigrationSetup::TakeLead() {
  // A leader that died stops renewing; one that lives goes on. Two leases' time tells them apart.
  const absl::Time deadline = SystemClock::Get()->Now() + 2 * options_.leader_lease + absl::Seconds(2);
  bool said = false;
  while (true) {
    absl::Status taken = journal_->TakeLead(HolderName(), address_, options_.leader_lease);
    if (taken.ok()) break;
    if (taken.code() != absl::StatusCode::kUnavailable || SystemClock::Get()->Now() > deadline ||
        state_->stop_requested())
      return taken;
    state_->SetPhase(v1::MigrationPhase::PHASE_CHECK, absl::StrCat("waits: ", taken.message()));
    if (!std::exchange(said, true)) {
      LogInfo("waiting for the lead", {{"reason", taken.message()}});
      // Workers are of use to whoever leads.
      state_->SetStandby(true);
    }
    absl::SleepFor(absl::Milliseconds(300));
  }
  state_->SetStandby(false);
  KeepLead();
  return journal_->ExtendLeases(record_.id, options_.times.lease_duration);
}

absl::Status MigrationSetup::Resume(MigrationRecord record) {
  HS_RETURN_IF_ERROR(CheckSameMigration(record));
  IdentifyServers();
  record_ = std::move(record);
  ShowMigration(true);
  HS_RETURN_IF_ERROR(TakeLead());
  HS_RETURN_IF_ERROR(ReadRecordAgain());
  if (!record_.snapshot_released) HS_RETURN_IF_ERROR(RecoverSnapshot());
  if (holder_ != nullptr) state_->SetSnapshot(holder_->snapshot());
  state_->SetSnapshotTime(record_.snapshot_taken_at, record_.snapshot_released);
  if (record_.snapshot_released) state_->ReleaseSnapshot();
  if (options_.on_ready) options_.on_ready();
  HS_RETURN_IF_ERROR(journal_->RetryFailed(record_.id));
  return ContinueFrom(record_.phase);
}

// Whoever led until now has gone on while this coordinator waited: a plan may be there by now, and rows, or the end.
absl::Status MigrationSetup::ReadRecordAgain() {
  HS_ASSIGN_OR_RETURN(std::optional<MigrationRecord> current, journal_->FindUnfinished());
  if (current.has_value() && current->id == record_.id) {
    record_ = *std::move(current);
    needs_keepers_ = NeedsKeepers(record_);
    state_->SetSteering(record_.steering);
    return RefuseCancelled(record_);
  }
  ended_meanwhile_ = true;
  return absl::FailedPreconditionError(
      absl::StrCat("target: migration ", record_.id,
                   " has ended while this coordinator waited for the lead: nothing is left to do"));
}

absl::Status MigrationSetup::RecoverSnapshot() {
  // A keeper finds this coordinator by the address it has just written into the journal.
  // Before any row can have arrived a new snapshot is as good, and not worth a long wait.
  const absl::Duration wait = needs_keepers_ ? options_.keeper_wait : std::min(options_.keeper_wait, kShortKeeperWait);
  const absl::Time deadline = SystemClock::Get()->Now() + wait;
  absl::Status refused;
  state_->SetPhase(v1::MigrationPhase::PHASE_CHECK, "waits for a keeper that holds the source's snapshot");
  while (SystemClock::Get()->Now() < deadline && !state_->stop_requested()) {
    std::optional<v1::Snapshot> held = state_->FindKeeperSnapshot(record_.snapshot, SystemClock::Get()->Now());
    refused = absl::OkStatus();
    if (held.has_value()) {
      absl::StatusOr<std::unique_ptr<SnapshotHolder>> imported = SnapshotHolder::Import(options_.source, *held);
      if (imported.ok()) {
        holder_ = *std::move(imported);
        LogInfo("the snapshot lives on", {{"migration", record_.id}, {"snapshot", held->current_snapshot()}});
        return absl::OkStatus();
      }
      // The keeper may just have died, which it will say or be silent; or another one holds it too.
      refused = imported.status();
      LogWarning("the snapshot can't be taken over yet", {{"migration", record_.id}, {"error", refused.message()}});
    }
    HS_RETURN_IF_ERROR(journal_->RenewLead());
    state_->TakeReports(absl::Milliseconds(200));
  }
  // A keeper still says that it holds the snapshot: it must not be given up for trouble with the source.
  if (!refused.ok()) return refused;
  return GoOnWithoutSnapshot();
}

absl::Status MigrationSetup::GoOnWithoutSnapshot() {
  needs_keepers_ = false;
  Unfinished unfinished;
  bool rows_arrived = false;
  HS_RETURN_IF_ERROR(journal_->ForEachTask(record_.id, [&](const TaskRow& row) {
    const bool copy = row.task.kind == TaskKind::KIND_COPY;
    const bool done = row.task.state == TaskState::STATE_DONE;
    rows_arrived = rows_arrived || (copy && done);
    if (copy && !done) unfinished.tables.insert(row.task.table);
    if (row.task.state == TaskState::STATE_LEASED) unfinished.leased.push_back(row.task.id);
    return absl::OkStatus();
  }));
  if (!rows_arrived) {
    // Nothing was copied yet: a new snapshot is as good. What was planned under the old one is planned again.
    HS_ASSIGN_OR_RETURN(holder_, SnapshotHolder::Take(options_.source));
    LogInfo("no row had been copied: going on under a new snapshot", {{"migration", record_.id}});
    if (record_.phase == JournalPhase::kRun) HS_RETURN_IF_ERROR(RestartUnfinishedTables(unfinished));
  } else {
    switch (options_.lost_snapshot) {
      case LostSnapshot::kRefuse:
        return absl::FailedPreconditionError(kThreeWaysOn);
      case LostSnapshot::kSourceUnchanged: {
        HS_ASSIGN_OR_RETURN(holder_, SnapshotHolder::Take(options_.source));
        HS_RETURN_IF_ERROR(ProveUnchanged());
        break;
      }
      case LostSnapshot::kRestartTables: {
        HS_ASSIGN_OR_RETURN(holder_, SnapshotHolder::Take(options_.source));
        HS_RETURN_IF_ERROR(RestartUnfinishedTables(unfinished));
        break;
      }
      case LostSnapshot::kAllowInconsistent: {
        HS_ASSIGN_OR_RETURN(holder_, SnapshotHolder::Take(options_.source));
        record_.warnings.push_back(
            "the snapshot was lost and --allow-inconsistent given: tables that were unfinished then mix two moments");
        break;
      }
    }
  }
  record_.snapshot = holder_->snapshot();
  record_.snapshot_taken_at = SystemClock::Get()->Now();
  HS_RETURN_IF_ERROR(journal_->StoreSnapshot(record_.id, record_.snapshot));
  return journal_->StoreReport(record_.id, record_.warnings, record_.left_out);
}

// Refuses when it can be shown that rows were written. The absence of proof is not proof: that is what the operator
// vouches for.
absl::Status MigrationSetup::ProveUnchanged() {
  if (holder_->snapshot().current_snapshot() == record_.snapshot.current_snapshot()) return absl::OkStatus();
  HS_ASSIGN_OR_RETURN(const std::vector<TablePlan> tables, journal_->LoadTables(record_.id));
  HS_ASSIGN_OR_RETURN(const std::unique_ptr<PgSession> source, holder_->OpenReader());
  HS_ASSIGN_OR_RETURN(const Catalog now, ReadCatalog(source.get()));
  for (const TablePlan& table : tables) {
    const Table* current = now.FindTable(table.name);
    if (current == nullptr || current->oid != table.source_oid) {
      return absl::FailedPreconditionError(
          absl::StrCat("--source-unchanged: ", table.name.Display(), " was dropped or created anew on the source"));
    }
    if (current->writes > table.source_writes) {
      return absl::FailedPreconditionError(absl::StrCat(
          "--source-unchanged: the source's statistics count ", current->writes - table.source_writes, " writes to ",
          table.name.Display(), " since the snapshot: use --restart-tables or --allow-inconsistent instead"));
    }
  }
  return absl::OkStatus();
}

// What was unfinished when it was decided to start again: a range that a worker commits since then goes with its table.
absl::Status MigrationSetup::RestartUnfinishedTables(const Unfinished& unfinished) {
  HS_RETURN_IF_ERROR(Inspect());
  HS_RETURN_IF_ERROR(ReadForPlan());
  HS_ASSIGN_OR_RETURN(const std::vector<TablePlan> tables, journal_->LoadTables(record_.id));
  std::map<Oid, int> ids;
  std::vector<std::string> truncations;
  for (const TablePlan& table : tables) {
    const Table* current = inspection_.catalog.FindTable(table.name);
    if (current == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat(table.name.Display(), " is no longer on the source"));
    }
    ids[current->oid] = table.id;
    if (unfinished.tables.count(table.id) > 0) truncations.push_back(absl::StrCat("TRUNCATE ", table.name.Quoted()));
  }
  HS_ASSIGN_OR_RETURN(const TaskId last_task, journal_->MaxTaskId());
  HS_ASSIGN_OR_RETURN(const BarrierId last_barrier, journal_->MaxBarrierId(record_.id));
  // A worker that was stopped or cut off still has its locks, and nobody will wait for its lease to expire.
  HS_RETURN_IF_ERROR(journal_->TerminateSessions(unfinished.leased));
  LogWarning("starting unfinished tables again", {{"migration", record_.id}, {"tables", unfinished.tables.size()}});
  return journal_->ReplaceLoad(record_.id, {unfinished.tables.begin(), unfinished.tables.end()}, truncations,
                               [&](const TaskSink& sink) -> absl::StatusOr<Plan> {
                                 const PlannerInput input = MakePlannerInput();
                                 PlanBuilder builder(last_task + 1, last_barrier + 1, sink);
                                 PlanLoad(input, ids, &unfinished.tables, &builder);
                                 if (options_.config.verify)
                                   PlanVerifications(input, ids, &unfinished.tables, &builder);
                                 return std::move(builder.plan);
                               });
}

}  // namespace hypershift
