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

// Settings of pg_restore's own scripts that matter while they run, for this transaction only.
std::vector<std::string> RestoreSettings() {
  return {"SET LOCAL client_min_messages = warning", "SET LOCAL check_function_bodies = false",
          "SET LOCAL xmloption = content", "SET LOCAL search_path = ''"};
}

}  // namespace

MigrationSetup::MigrationSetup(const CoordinatorOptions& options, const std::string& address, MigrationState* state,
                               Journal* journal)
    : options_(options), address_(address), state_(state), journal_(journal) {}

// Rows may have arrived under the snapshot, and others are still to come.
bool MigrationSetup::NeedsKeepers(const MigrationRecord& record) {
  return record.phase == JournalPhase::kRun && !record.snapshot_released && !record.steering.cancelled();
}

absl::Status RefuseCancelled(const MigrationRecord& record) {
  if (!record.steering.cancelled()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "target: it holds migration ", record.id, ", which was cancelled at ",
      absl::FormatTime("%Y-%m-%d %H:%M:%S", record.steering.cancelled_at, absl::UTCTimeZone()),
      " UTC and can't be resumed: drop what it has brought (or take an empty database), remove its journal with "
      "`hypershift cleanup`, and begin anew"));
}

std::string MigrationSetup::HolderName() {
  char host[256] = {};
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, ":", getpid());
}

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
  if (options_.verify_only) {
    needs_keepers_ = false;
    HS_RETURN_IF_ERROR(OpenTarget());
    return PrepareVerification();
  }
  HS_ASSIGN_OR_RETURN(const bool target_exists, FindTargetDatabase(journal_, options_.config));
  if (target_exists) {
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
  record_.system_identifier = inspection_.catalog.system_identifier;
  record_.timeline = inspection_.catalog.timeline;
  record_.database_oid = inspection_.catalog.database_oid;
  record_.config = options_.config.Fingerprint();
  record_.snapshot = holder_->snapshot();
  record_.snapshot_taken_at = SystemClock::Get()->Now();
  record_.source_now_microseconds = inspection_.catalog.source_now_microseconds;
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
  std::vector<std::string> problems;
  HS_ASSIGN_OR_RETURN(const std::unique_ptr<PgSession> source, holder_->OpenReader());
  HS_RETURN_IF_ERROR(InspectSource(source.get(), options_.config, &inspection_, &problems));
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
}

absl::Status MigrationSetup::Check() {
  HS_RETURN_IF_ERROR(InspectTarget(options_.target, &inspection_));
  HS_ASSIGN_OR_RETURN(const std::vector<Finding> findings, CheckBothSides(options_, journal_, inspection_));
  std::vector<std::string> failures;
  for (const Finding& finding : findings) {
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

absl::Status MigrationSetup::ContinueFrom(JournalPhase phase) {
  if (phase != JournalPhase::kRun && phase != JournalPhase::kDone) {
    // A resumed run that had not planned yet reads the source again, under the snapshot.
    if (inspection_.catalog.tables.empty()) HS_RETURN_IF_ERROR(Inspect());
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
    HS_ASSIGN_OR_RETURN(const bool planned, journal_->HasTasks(record_.id, TaskKind::KIND_VERIFY));
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
  HS_RETURN_IF_ERROR(SelectSchema(*archive, options_.config, &inspection_));
  record_.left_out = inspection_.left_out;
  return absl::OkStatus();
}

bool MigrationSetup::IsHypertable(const SchemaEntry& entry) const {
  return entry.type == "TABLE" &&
         std::any_of(inspection_.hypertables.begin(), inspection_.hypertables.end(), [&](const auto& hypertable) {
           return entry.catalog_class == kPgClassClass && hypertable.table->oid == entry.catalog_oid;
         });
}

absl::Status MigrationSetup::RestoreSchema() {
  if (!inspection_.hypertables.empty()) {
    HS_ASSIGN_OR_RETURN(PgSession * session, journal_->Session());
    HS_RETURN_IF_ERROR(
        WithContext(session->Query("CREATE EXTENSION IF NOT EXISTS timescaledb WITH SCHEMA public").status(),
                    "target: timescaledb"));
  }
  std::vector<std::string> statements = RestoreSettings();
  for (const SchemaEntry& entry : inspection_.pre_data) {
    constexpr absl::string_view kCreateSchema = "CREATE SCHEMA ";
    if (entry.sql.empty()) continue;
    if (entry.type == "SCHEMA" && absl::StartsWith(entry.sql, kCreateSchema)) {
      statements.push_back(absl::StrCat("CREATE SCHEMA IF NOT EXISTS ", entry.sql.substr(kCreateSchema.size())));
    } else {
      statements.push_back(IsHypertable(entry) ? WithoutPartitions(entry.sql) : entry.sql);
    }
  }
  return WithContext(journal_->Advance(record_.id, JournalPhase::kHypertables, statements),
                     "target: restoring the schema");
}

absl::Status MigrationSetup::CreateHypertables() {
  std::vector<std::string> statements = RestoreSettings();
  if (!inspection_.hypertables.empty()) {
    HS_ASSIGN_OR_RETURN(PgSession * session, journal_->Session());
    HS_ASSIGN_OR_RETURN(inspection_.target, ReadTargetFacts(session));
  }
  for (const IncompatibleConstraint& bad : FindIncompatibleConstraints(inspection_.hypertables, inspection_.catalog)) {
    // CHECKs came with the table; keys and foreign keys are still to come and are left out there.
    if (bad.constraint->type != 'c') continue;
    statements.push_back(absl::StrCat("ALTER TABLE ",
                                      inspection_.catalog.tables.at(bad.constraint->table).name.Quoted(),
                                      " DROP CONSTRAINT IF EXISTS ", QuoteIdentifier(bad.constraint->name)));
  }
  for (const HypertableSpec& hypertable : inspection_.hypertables) {
    for (std::string& sql : CreateHypertableSql(hypertable, inspection_.target.timescaledb_schema)) {
      statements.push_back(std::move(sql));
    }
  }
  return WithContext(journal_->Advance(record_.id, JournalPhase::kPlan, statements), "target: making hypertables");
}

absl::Status MigrationSetup::ReadForPlan() {
  HS_ASSIGN_OR_RETURN(PgSession * session, journal_->Session());
  HS_ASSIGN_OR_RETURN(inspection_.target, ReadTargetFacts(session));
  HS_ASSIGN_OR_RETURN(const std::unique_ptr<PgSession> source, holder_->OpenReader());
  HS_RETURN_IF_ERROR(InspectRanges(source.get(), options_.config, &inspection_));
  for (const HypertableSpec& hypertable : inspection_.hypertables) {
    const Oid table = hypertable.table->oid;
    if (hypertable.time_index == nullptr && hypertable.time_type == TimeType::kInteger &&
        hypertable.compress_after.has_value()) {
      HS_RETURN_IF_ERROR(ReadTimeMaximum(source.get(), hypertable.time(), &inspection_.profiles[table]));
    }
    if (hypertable.config->compress.has_value()) {
      HS_ASSIGN_OR_RETURN(inspection_.compression[table], ReadEffectiveCompression(session, hypertable.table->name));
    }
  }
  return absl::OkStatus();
}

PlannerInput MigrationSetup::MakePlannerInput() const {
  return hypershift::MakePlannerInput(options_, inspection_, record_.source_now_microseconds);
}

absl::Status MigrationSetup::WritePlan() {
  HS_RETURN_IF_ERROR(ReadForPlan());
  HS_ASSIGN_OR_RETURN(const TaskId last_task, journal_->MaxTaskId());
  size_t tables = 0;
  size_t tasks = 0;
  HS_RETURN_IF_ERROR(journal_->WritePlan(
      record_.id,
      [&](const TaskSink& sink) -> absl::StatusOr<Plan> {
        Plan plan = MakePlan(MakePlannerInput(), last_task + 1, &record_.left_out, [&](PlannedTask task) {
          ++tasks;
          sink(std::move(task));
        });
        tables = plan.tables.size();
        return plan;
      },
      JournalPhase::kRun));
  LogInfo("planned", {{"migration", record_.id}, {"tables", tables}, {"tasks", tasks}});
  return journal_->StoreReport(record_.id, record_.warnings, record_.left_out);
}

absl::Status MigrationSetup::LoadState() { return LoadFromJournal(record_.id, journal_, state_); }

// From the copies that stand in the journal.
absl::Status MigrationSetup::PlanVerificationsAfterwards(bool gated) {
  HS_ASSIGN_OR_RETURN(const std::vector<TablePlan> tables, journal_->LoadTables(record_.id));
  HS_ASSIGN_OR_RETURN(const TaskId last_task, journal_->MaxTaskId());
  return journal_->ReplaceVerifications(record_.id, [&](const Journal::CopyReader& read, const TaskSink& sink) {
    PlanBuilder builder(last_task + 1, 1, [&](PlannedTask verify) {
      if (!gated) verify.task.gates.clear();
      sink(std::move(verify));
    });
    VerificationPlanner verifications(tables, &builder);
    return read([&](const PlannedTask& copy) { verifications.Add(copy); });
  });
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
  HS_ASSIGN_OR_RETURN(const int64_t count, journal->CountTasks(migration));
  // What verifications alone need is most of what there is to keep.
  HS_ASSIGN_OR_RETURN(const bool verifies, journal->HasTasks(migration, TaskKind::KIND_VERIFY));
  std::vector<Task> tasks;
  TaskDetails details;
  tasks.reserve(static_cast<size_t>(count));
  details.Reserve(static_cast<size_t>(count));
  details.KeepDigests(verifies);
  HS_RETURN_IF_ERROR(journal->ForEachTask(migration, [&](TaskRow row) {
    if (!verifies) std::string().swap(row.task.range_key);  // Assigning would keep its memory.
    details.Add(row);
    tasks.push_back(std::move(row.task));
    return absl::OkStatus();
  }));
  std::map<int, int> priorities;
  for (const TablePlan& table : tables) priorities[table.id] = table.priority;
  HS_ASSIGN_OR_RETURN(Scheduler scheduler, Scheduler::Create(std::move(tasks), barriers, priorities));
  state->LoadPlan(std::move(tables), std::move(details), std::move(scheduler));
  return absl::OkStatus();
}

}  // namespace hypershift
