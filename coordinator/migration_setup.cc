#include "coordinator/migration_setup.h"

#include <unistd.h>

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/proto_time.h"
#include "common/server_identity.h"
#include "common/status_macros.h"
#include "common/version.h"
#include "coordinator/finishing_planner.h"
#include "coordinator/pooler_probe.h"
#include "coordinator/preflight.h"
#include "coordinator/schema_archive.h"

namespace hypershift {
namespace {

std::string NewMigrationId() {
  std::random_device random;
  return absl::StrFormat("%08x%08x", random(), random());
}

std::string HolderName() {
  char host[256] = {};
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, ":", getpid());
}

// Settings of pg_restore's own scripts that matter while they run, for this transaction only.
std::vector<std::string> RestoreSettings() {
  return {"SET LOCAL client_min_messages = warning", "SET LOCAL check_function_bodies = false",
          "SET LOCAL xmloption = content", "SET LOCAL search_path = ''"};
}

constexpr absl::Duration kShortKeeperWait = absl::Seconds(5);

// Rows may have arrived under the snapshot, and others are still to come.
bool NeedsKeepers(const MigrationRecord& record) {
  return record.phase == JournalPhase::kRun && !record.snapshot_released && !record.steering.cancelled();
}

constexpr char kThreeWaysOn[] =
    "nobody holds this migration's snapshot of the source any more, so the ranges still to come can't be read as of "
    "the "
    "same moment. Three ways on:\n"
    "  --source-unchanged     you vouch that nothing was written to the source since (a fork, a stopped application)\n"
    "  --restart-tables       unfinished tables are copied again from nothing under a new snapshot; each is consistent "
    "in itself\n"
    "  --allow-inconsistent   go on under a new snapshot; unfinished tables mix two moments";

}  // namespace

MigrationSetup::MigrationSetup(const CoordinatorOptions& options, const std::string& address, MigrationState* state,
                               Journal* journal)
    : options_(options), address_(address), state_(state), journal_(journal) {}

namespace {

absl::Status RefuseCancelled(const MigrationRecord& record) {
  if (!record.steering.cancelled()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "target: it holds migration ", record.id, ", which was cancelled at ",
      absl::FormatTime("%Y-%m-%d %H:%M:%S", record.steering.cancelled_at, absl::UTCTimeZone()),
      " UTC and can't be resumed: drop what it has brought (or take an empty database), remove its journal with "
      "`hypershift cleanup`, and begin anew"));
}

}  // namespace

absl::Status MigrationSetup::Run() {
  absl::Status ready = Prepare();
  lead_keeper_.reset();
  return ready;
}

void MigrationSetup::KeepLead() {
  lead_keeper_ = std::make_unique<LeadKeeper>(options_.target, journal_->epoch(), options_.leader_lease);
}

absl::Status MigrationSetup::Prepare() {
  state_->SetPhase(v1::MigrationPhase::PHASE_CHECK, "checks source and target");
  absl::Status target = OpenTarget();
  if (options_.verify_only) {
    needs_keepers_ = false;
    HS_RETURN_IF_ERROR(target);
    return PrepareVerification();
  }
  const bool must_create = target.code() == absl::StatusCode::kNotFound && options_.config.create_db;
  if (!target.ok() && !must_create) {
    if (target.code() == absl::StatusCode::kNotFound) {
      return WithContext(target, "create it, or say create_db: true");
    }
    return target;
  }
  if (target.ok()) {
    HS_ASSIGN_OR_RETURN(std::optional<MigrationRecord> unfinished, journal_->FindUnfinished());
    if (unfinished.has_value()) {
      needs_keepers_ = NeedsKeepers(*unfinished);
      HS_RETURN_IF_ERROR(RefuseCancelled(*unfinished));
      return Resume(*std::move(unfinished));
    }
  }
  needs_keepers_ = false;
  return Begin();
}

absl::Status MigrationSetup::OpenTarget() { return journal_->Session().status(); }

// So that a worker whose own connection strings lead elsewhere is refused. Where they can't be asked, nobody is.
void MigrationSetup::IdentifyServers() {
  const absl::StatusOr<v1::ServerIdentity> source = ReadServerIdentity(options_.source, ServerRole::kSource);
  const absl::StatusOr<PgSession*> session = journal_->Session();
  const absl::StatusOr<v1::ServerIdentity> target = session.ok() ? ReadServerIdentity(*session) : session.status();
  if (source.ok() && target.ok()) state_->SetServers(*source, *target);
}

absl::Status MigrationSetup::CreateTargetDatabase() {
  SessionOptions session_options;
  session_options.role = ServerRole::kTarget;
  HS_ASSIGN_OR_RETURN(std::unique_ptr<PgSession> session,
                      PgSession::Open(options_.target.WithDatabase("postgres"), session_options));
  LogInfo("creating the target database", {{"database", options_.target.Get("dbname")}});
  return session->Query(absl::StrCat("CREATE DATABASE ", QuoteIdentifier(options_.target.Get("dbname")))).status();
}

absl::Status MigrationSetup::Begin() {
  HS_RETURN_IF_ERROR(RefuseTransactionPooler(options_.source, ServerRole::kSource));
  HS_ASSIGN_OR_RETURN(holder_, SnapshotHolder::Take(options_.source));
  HS_RETURN_IF_ERROR(Inspect());
  if (!OpenTarget().ok()) HS_RETURN_IF_ERROR(CreateTargetDatabase());
  HS_RETURN_IF_ERROR(Check());
  IdentifyServers();

  record_.id = NewMigrationId();
  record_.phase = JournalPhase::kSchema;
  record_.program_version = kVersion;
  record_.source = options_.source.Display();
  record_.target = options_.target.Display();
  record_.system_identifier = catalog_.system_identifier;
  record_.timeline = catalog_.timeline;
  record_.database_oid = catalog_.database_oid;
  record_.config = options_.config.Fingerprint();
  record_.snapshot = holder_->snapshot();
  record_.snapshot_taken_at = SystemClock::Get()->Now();
  record_.source_now_microseconds = catalog_.source_now_microseconds;
  record_.created_at = SystemClock::Get()->Now();
  record_.steering.limits = options_.config.limits;
  HS_RETURN_IF_ERROR(journal_->Begin(record_, HolderName(), address_, options_.leader_lease));
  KeepLead();
  ShowMigration(false);
  state_->SetSnapshot(holder_->snapshot());
  if (options_.on_ready) options_.on_ready();
  return ContinueFrom(JournalPhase::kSchema);
}

absl::Status MigrationSetup::Inspect() {
  HS_ASSIGN_OR_RETURN(catalog_, ReadCatalog(holder_->session()));
  selection_ = SelectTables(options_.config, catalog_);
  hypertables_.clear();
  profiles_.clear();
  for (const HypertableConfig& config : options_.config.hypertables) {
    HS_ASSIGN_OR_RETURN(HypertableSpec spec, ResolveHypertable(config, catalog_));
    HS_ASSIGN_OR_RETURN(profiles_[spec.table->oid], ReadTimeBounds(holder_->session(), spec));
    hypertables_.push_back(spec);
  }
  return absl::OkStatus();
}

absl::Status MigrationSetup::Check() {
  HS_RETURN_IF_ERROR(RefuseTransactionPooler(options_.target, ServerRole::kTarget));
  SessionOptions session_options;
  session_options.role = ServerRole::kTarget;
  session_options.lock_timeout = absl::Seconds(30);
  HS_ASSIGN_OR_RETURN(const std::unique_ptr<PgSession> target, PgSession::Open(options_.target, session_options));
  HS_ASSIGN_OR_RETURN(target_facts_,
                      hypertables_.empty() ? ReadTargetFacts(target.get()) : ReadFutureTargetFacts(target.get()));
  HS_ASSIGN_OR_RETURN(const int pg_dump_major, PgDumpMajorVersion());
  const absl::StatusOr<std::optional<MigrationRecord>> latest = journal_->FindLatest();
  const std::string finished = latest.ok() && latest->has_value() ? (*latest)->id : "";
  const PreflightInput input{options_.config, catalog_,  target_facts_, selection_,
                             hypertables_,    profiles_, pg_dump_major, options_.fail_on_value_rewrite,
                             finished};
  std::vector<std::string> failures;
  for (const Finding& finding : RunPreflight(input)) {
    if (finding.level == FindingLevel::kFail) {
      failures.push_back(finding.message);
    } else {
      record_.warnings.push_back(finding.message);
      LogWarning(finding.message);
    }
  }
  if (failures.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrJoin(failures, "\n"));
}

void MigrationSetup::ShowMigration(bool resumed) {
  v1::MigrationInfo info;
  info.set_id(record_.id);
  info.set_phase(v1::MigrationPhase::PHASE_SCHEMA);
  info.set_source(record_.source);
  info.set_target(record_.target);
  *info.mutable_started_at() = ToProto(record_.created_at);
  info.set_resumed(resumed);
  state_->SetMigration(info);
  if (!options_.verify_only) state_->SetSteering(record_.steering);
  state_->SetReport(record_.warnings, record_.left_out);
  state_->SetSnapshotTime(record_.snapshot_taken_at, record_.snapshot_released);
  LogInfo(resumed ? "migration resumes" : "migration begins",
          {{"migration", record_.id}, {"source", record_.source}, {"target", record_.target}});
}

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
  HS_ASSIGN_OR_RETURN(const std::vector<TaskRow> tasks, journal_->LoadTasks(record_.id));
  const bool rows_arrived = std::any_of(tasks.begin(), tasks.end(), [](const TaskRow& row) {
    return row.task.kind == TaskKind::KIND_COPY && row.task.state == TaskState::STATE_DONE;
  });
  if (!rows_arrived) {
    // Nothing was copied yet: a new snapshot is as good. What was planned under the old one is planned again.
    HS_ASSIGN_OR_RETURN(holder_, SnapshotHolder::Take(options_.source));
    LogInfo("no row had been copied: going on under a new snapshot", {{"migration", record_.id}});
    if (record_.phase == JournalPhase::kRun) HS_RETURN_IF_ERROR(RestartUnfinishedTables(tasks));
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
        HS_RETURN_IF_ERROR(RestartUnfinishedTables(tasks));
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
  HS_ASSIGN_OR_RETURN(const Catalog now, ReadCatalog(holder_->session()));
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
absl::Status MigrationSetup::RestartUnfinishedTables(const std::vector<TaskRow>& tasks) {
  HS_RETURN_IF_ERROR(Inspect());
  HS_RETURN_IF_ERROR(ReadForPlan());
  HS_ASSIGN_OR_RETURN(const std::vector<TablePlan> tables, journal_->LoadTables(record_.id));
  std::set<int> unfinished;
  std::vector<TaskId> leased;
  for (const TaskRow& row : tasks) {
    if (row.task.state == TaskState::STATE_LEASED) leased.push_back(row.task.id);
    if (row.task.kind == TaskKind::KIND_COPY && row.task.state != TaskState::STATE_DONE)
      unfinished.insert(row.task.table);
  }
  std::map<Oid, int> ids;
  std::vector<std::string> truncations;
  for (const TablePlan& table : tables) {
    const Table* current = catalog_.FindTable(table.name);
    if (current == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat(table.name.Display(), " is no longer on the source"));
    }
    ids[current->oid] = table.id;
    if (unfinished.count(table.id) > 0) truncations.push_back(absl::StrCat("TRUNCATE ", table.name.Quoted()));
  }
  HS_ASSIGN_OR_RETURN(const TaskId last_task, journal_->MaxTaskId());
  HS_ASSIGN_OR_RETURN(const BarrierId last_barrier, journal_->MaxBarrierId(record_.id));
  PlanBuilder builder(last_task + 1, last_barrier + 1);
  PlanLoad(MakePlannerInput(), ids, &unfinished, &builder);
  if (options_.config.verify) PlanVerifications(&builder);
  // A worker that was stopped or cut off still has its locks, and nobody will wait for its lease to expire.
  HS_RETURN_IF_ERROR(journal_->TerminateSessions(leased));
  LogWarning("starting unfinished tables again", {{"migration", record_.id}, {"tables", unfinished.size()}});
  return journal_->ReplaceLoad(record_.id, {unfinished.begin(), unfinished.end()}, truncations, builder.plan);
}

absl::Status MigrationSetup::ContinueFrom(JournalPhase phase) {
  if (phase != JournalPhase::kRun && phase != JournalPhase::kDone) {
    // A resumed run that had not planned yet reads the source again, under the snapshot.
    if (catalog_.tables.empty()) HS_RETURN_IF_ERROR(Inspect());
    HS_RETURN_IF_ERROR(ReadSchemaParts());
  }
  if (phase == JournalPhase::kSchema) {
    state_->SetPhase(v1::MigrationPhase::PHASE_SCHEMA, "restores the schema");
    HS_RETURN_IF_ERROR(RestoreSchema());
    phase = JournalPhase::kHypertables;
  }
  if (phase == JournalPhase::kHypertables) {
    state_->SetPhase(v1::MigrationPhase::PHASE_SCHEMA, "makes hypertables");
    HS_RETURN_IF_ERROR(CreateHypertables());
    phase = JournalPhase::kPlan;
  }
  if (phase == JournalPhase::kPlan) {
    state_->SetPhase(v1::MigrationPhase::PHASE_PLAN, "plans ranges");
    HS_RETURN_IF_ERROR(WritePlan());
  }
  if (options_.config.verify) {
    // A resumed run may ask for what the first one did not.
    HS_ASSIGN_OR_RETURN(const std::vector<TaskRow> tasks, journal_->LoadTasks(record_.id));
    const bool planned = std::any_of(tasks.begin(), tasks.end(),
                                     [](const TaskRow& row) { return row.task.kind == TaskKind::KIND_VERIFY; });
    if (!planned) HS_RETURN_IF_ERROR(PlanVerificationsAfterwards(/*gated=*/true));
  }
  HS_RETURN_IF_ERROR(LoadState());
  state_->SetReport(record_.warnings, record_.left_out);
  state_->SetPhase(v1::MigrationPhase::PHASE_RUN, "runs");
  LogInfo("set up: tasks can run", {{"migration", record_.id}});
  return absl::OkStatus();
}

absl::Status MigrationSetup::ReadSchemaParts() {
  absl::StatusOr<std::string> archive = journal_->LoadArchive(record_.id);
  if (!archive.ok()) {
    archive = DumpSchema(options_.source, holder_->snapshot().id());
    HS_RETURN_IF_ERROR(archive.status());
    HS_RETURN_IF_ERROR(journal_->StoreArchive(record_.id, *archive));
  }
  HS_ASSIGN_OR_RETURN(const std::vector<SchemaEntry> pre_data, ReadSchemaEntries(*archive, SchemaSection::kPreData));
  HS_ASSIGN_OR_RETURN(const std::vector<SchemaEntry> post_data, ReadSchemaEntries(*archive, SchemaSection::kPostData));
  SelectedEntries selected = SelectEntries(pre_data, post_data, options_.config, catalog_, selection_);
  pre_data_ = std::move(selected.pre_data);
  post_data_ = std::move(selected.post_data);
  for (const SchemaEntry& entry : pre_data_) {
    if (entry.catalog_class == kPgClassClass) restored_relations_.insert(entry.catalog_oid);
  }
  // A view that needs a primary key comes after the keys.
  for (const SchemaEntry& entry : post_data_) {
    if (entry.type == "MATERIALIZED VIEW") restored_relations_.insert(entry.catalog_oid);
  }
  record_.left_out = std::move(selected.left_out);
  record_.left_out.insert(record_.left_out.end(), catalog_.left_out.begin(), catalog_.left_out.end());
  return absl::OkStatus();
}

absl::Status MigrationSetup::RestoreSchema() {
  if (!hypertables_.empty()) {
    HS_ASSIGN_OR_RETURN(PgSession * session, journal_->Session());
    HS_RETURN_IF_ERROR(
        WithContext(session->Query("CREATE EXTENSION IF NOT EXISTS timescaledb WITH SCHEMA public").status(),
                    "target: timescaledb"));
  }
  std::vector<std::string> statements = RestoreSettings();
  for (const SchemaEntry& entry : pre_data_) {
    constexpr absl::string_view kCreateSchema = "CREATE SCHEMA ";
    if (entry.sql.empty()) continue;
    if (entry.type == "SCHEMA" && absl::StartsWith(entry.sql, kCreateSchema)) {
      statements.push_back(absl::StrCat("CREATE SCHEMA IF NOT EXISTS ", entry.sql.substr(kCreateSchema.size())));
    } else {
      statements.push_back(entry.sql);
    }
  }
  return WithContext(journal_->Advance(record_.id, JournalPhase::kHypertables, statements),
                     "target: restoring the schema");
}

absl::Status MigrationSetup::CreateHypertables() {
  std::vector<std::string> statements = RestoreSettings();
  if (!hypertables_.empty()) {
    HS_ASSIGN_OR_RETURN(PgSession * session, journal_->Session());
    HS_ASSIGN_OR_RETURN(target_facts_, ReadTargetFacts(session));
  }
  for (const IncompatibleConstraint& bad : FindIncompatibleConstraints(hypertables_, catalog_)) {
    // CHECKs came with the table; keys and foreign keys are still to come and are left out there.
    if (bad.constraint->type != 'c') continue;
    statements.push_back(absl::StrCat("ALTER TABLE ", catalog_.tables.at(bad.constraint->table).name.Quoted(),
                                      " DROP CONSTRAINT IF EXISTS ", QuoteIdentifier(bad.constraint->name)));
  }
  for (const HypertableSpec& hypertable : hypertables_) {
    for (std::string& sql : CreateHypertableSql(hypertable, target_facts_.timescaledb_schema)) {
      statements.push_back(std::move(sql));
    }
  }
  return WithContext(journal_->Advance(record_.id, JournalPhase::kPlan, statements), "target: making hypertables");
}

absl::Status MigrationSetup::ReadForPlan() {
  HS_ASSIGN_OR_RETURN(PgSession * session, journal_->Session());
  HS_ASSIGN_OR_RETURN(target_facts_, ReadTargetFacts(session));
  for (const HypertableSpec& hypertable : hypertables_) {
    TimeProfile& profile = profiles_[hypertable.table->oid];
    profile.chunk_starts.clear();
    if (hypertable.time_index != nullptr) {
      HS_RETURN_IF_ERROR(ReadTimeChunks(holder_->session(), hypertable, &profile));
    } else if (hypertable.time_type == TimeType::kInteger && hypertable.compress_after.has_value()) {
      HS_RETURN_IF_ERROR(ReadTimeMaximum(holder_->session(), hypertable, &profile));
    }
    if (hypertable.config->compress.has_value()) {
      HS_ASSIGN_OR_RETURN(compression_[hypertable.table->oid],
                          ReadEffectiveCompression(session, hypertable.table->name));
    }
  }
  return absl::OkStatus();
}

PlannerInput MigrationSetup::MakePlannerInput() const {
  PlannerInput input{options_.config, catalog_,     target_facts_, selection_,         hypertables_,
                     profiles_,       compression_, post_data_,    restored_relations_};
  input.source_now_microseconds = record_.source_now_microseconds;
  input.sort_budget_bytes = options_.sort_budget_bytes;
  return input;
}

absl::Status MigrationSetup::WritePlan() {
  HS_RETURN_IF_ERROR(ReadForPlan());
  HS_ASSIGN_OR_RETURN(const TaskId last_task, journal_->MaxTaskId());
  const Plan plan = MakePlan(MakePlannerInput(), last_task + 1, &record_.left_out);
  LogInfo("planned", {{"migration", record_.id}, {"tables", plan.tables.size()}, {"tasks", plan.tasks.size()}});
  HS_RETURN_IF_ERROR(journal_->WritePlan(record_.id, plan, JournalPhase::kRun));
  return journal_->StoreReport(record_.id, record_.warnings, record_.left_out);
}

absl::Status MigrationSetup::LoadState() { return LoadFromJournal(record_.id, journal_, state_); }

// From the copies that stand in the journal.
absl::Status MigrationSetup::PlanVerificationsAfterwards(bool gated) {
  HS_ASSIGN_OR_RETURN(const std::vector<TablePlan> tables, journal_->LoadTables(record_.id));
  HS_ASSIGN_OR_RETURN(const std::vector<TaskRow> tasks, journal_->LoadTasks(record_.id));
  HS_ASSIGN_OR_RETURN(const TaskId last_task, journal_->MaxTaskId());
  PlanBuilder copies(1, 1);
  copies.plan.tables = tables;
  for (const TaskRow& row : tasks) {
    if (row.task.kind != TaskKind::KIND_COPY) continue;
    PlannedTask copy;
    copy.task = row.task;
    copy.task.gates.clear();
    copy.description = row.description;
    HS_ASSIGN_OR_RETURN(copy.work, journal_->LoadWork(row.task.id));
    copies.plan.tasks.push_back(std::move(copy));
  }
  const size_t copied = copies.plan.tasks.size();
  PlanVerifications(&copies);
  Plan plan;
  for (size_t i = copied; i < copies.plan.tasks.size(); ++i) {
    PlannedTask& verify = copies.plan.tasks[i];
    verify.task.id = last_task + 1 + static_cast<TaskId>(plan.tasks.size());
    if (!gated) verify.task.gates.clear();
    plan.tasks.push_back(std::move(verify));
  }
  return journal_->ReplaceVerifications(record_.id, plan);
}

absl::Status MigrationSetup::PrepareVerification() {
  HS_ASSIGN_OR_RETURN(std::optional<MigrationRecord> latest, journal_->FindLatest());
  if (!latest.has_value()) {
    return absl::NotFoundError("target: it holds no journal of a migration: there is nothing to verify against");
  }
  HS_RETURN_IF_ERROR(RefuseCancelled(*latest));
  if (latest->phase != JournalPhase::kDone) {
    return absl::FailedPreconditionError(
        absl::StrCat("target: migration ", latest->id, " has not ended yet: finish it with `hypershift clone` first"));
  }
  record_ = *std::move(latest);
  state_->ForbidSteering("the migration has ended, and is only verified: it can be stopped with Ctrl-C");
  ShowMigration(true);
  HS_RETURN_IF_ERROR(TakeLead());
  HS_RETURN_IF_ERROR(PlanVerificationsAfterwards(/*gated=*/false));
  state_->ReleaseSnapshot();
  HS_RETURN_IF_ERROR(LoadState());
  state_->SetPhase(v1::MigrationPhase::PHASE_RUN, "verifies");
  if (options_.on_ready) options_.on_ready();
  return absl::OkStatus();
}

absl::Status LoadFromJournal(const std::string& migration, Journal* journal, MigrationState* state) {
  HS_ASSIGN_OR_RETURN(std::vector<TablePlan> tables, journal->LoadTables(migration));
  HS_ASSIGN_OR_RETURN(const std::vector<Barrier> barriers, journal->LoadBarriers(migration));
  HS_ASSIGN_OR_RETURN(const std::vector<TaskRow> rows, journal->LoadTasks(migration));
  std::vector<Task> tasks;
  tasks.reserve(rows.size());
  for (const TaskRow& row : rows) tasks.push_back(row.task);
  HS_ASSIGN_OR_RETURN(Scheduler scheduler, Scheduler::Create(std::move(tasks), barriers));
  state->LoadPlan(std::move(tables), rows, std::move(scheduler));
  return absl::OkStatus();
}

}  // namespace hypershift
