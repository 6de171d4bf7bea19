#include "coordinator/journal.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/pg_status.h"
#include "common/status_macros.h"
#include "coordinator/journal_schema.h"
#include "coordinator/journal_values.h"

namespace hypershift {
namespace {

constexpr char kMigrationColumnsSql[] = R"sql(
SELECT id, journal_version, phase, program_version, source, target, system_identifier, timeline, database_oid, config,
       snapshot, postmaster_start, extract(epoch FROM snapshot_taken_at)::float8, snapshot_released_at IS NOT NULL,
       source_now, warnings, left_out,
       extract(epoch FROM created_at)::float8, coalesce(extract(epoch FROM finished_at), 0)::float8,
       extract(epoch FROM paused_at)::float8, extract(epoch FROM cancelled_at)::float8, limits
  FROM _hypershift.migration
)sql";

constexpr char kInsertMigrationSql[] = R"sql(
INSERT INTO _hypershift.migration
       (id, journal_version, phase, program_version, source, target, system_identifier, timeline, database_oid, config,
        snapshot, postmaster_start, source_now, warnings, left_out, limits)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
)sql";

constexpr char kSteeringSql[] = R"sql(
UPDATE _hypershift.migration
   SET paused_at = to_timestamp($2::float8), cancelled_at = to_timestamp($3::float8), limits = $4,
       snapshot_released_at = CASE WHEN $3::float8 IS NULL THEN snapshot_released_at
                                   ELSE coalesce(snapshot_released_at, clock_timestamp()) END
 WHERE id = $1
)sql";

constexpr char kOwnSessionSql[] = R"sql(
SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()
)sql";

constexpr char kEndSessionSql[] = R"sql(
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2
)sql";

bool NoSuchJournal(const absl::Status& status) {
  const std::string state = SqlState(status);
  return state == "42P01" || state == "3F000";
}

}  // namespace

Journal::Journal(ConnectionString target) : target_(std::move(target)) {}

absl::StatusOr<PgSession*> Journal::Session() {
  if (session_ != nullptr && !session_->broken()) return session_.get();
  SessionOptions options;
  options.role = ServerRole::kTarget;
  options.application_name = "hypershift coordinator";
  options.lock_timeout = absl::Seconds(30);
  HS_ASSIGN_OR_RETURN(session_, PgSession::Open(target_, options));
  // The server may not know yet that the session before is lost, and keep its locks: the leader's row among them.
  if (own_session_.pid != 0) {
    HS_RETURN_IF_ERROR(session_->Query(kEndSessionSql, own_session_.pid, own_session_.start).status());
  }
  HS_ASSIGN_OR_RETURN(const pqxx::result own, session_->Query(kOwnSessionSql));
  own_session_ = own.empty() ? OwnSession() : OwnSession{Number<int>(own[0][0]), Text(own[0][1])};
  return session_.get();
}

absl::StatusOr<std::optional<MigrationRecord>> Journal::FindWhere(const std::string& condition) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  const std::string which = absl::StrCat(condition, " ORDER BY created_at DESC LIMIT 1");
  // First its version: one that is older or newer may lack columns.
  const absl::StatusOr<pqxx::result> version =
      session->Query(absl::StrCat("SELECT journal_version FROM _hypershift.migration", which));
  if (!version.ok()) {
    if (NoSuchJournal(version.status())) return std::optional<MigrationRecord>();
    return version.status();
  }
  if (version->empty()) return std::optional<MigrationRecord>();
  MigrationRecord record;
  record.journal_version = Number<int>((*version)[0][0]);
  if (record.journal_version != kJournalVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the journal on the target has version ", record.journal_version, "; this program needs ",
                     kJournalVersion, ": use the program that began the migration, or `hypershift cleanup`"));
  }
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(absl::StrCat(kMigrationColumnsSql, which)));
  if (rows.empty()) return std::optional<MigrationRecord>();
  const pqxx::row row = rows[0];
  record.id = Text(row[0]);
  HS_ASSIGN_OR_RETURN(record.phase, ParsePhase(Text(row[2])));
  record.program_version = Text(row[3]);
  record.source = Text(row[4]);
  record.target = Text(row[5]);
  record.system_identifier = Text(row[6]);
  record.timeline = Number<int64_t>(row[7]);
  record.database_oid = Number<Oid>(row[8]);
  record.config = Text(row[9]);
  record.snapshot.set_current_snapshot(Text(row[10]));
  record.snapshot.set_postmaster_start(Text(row[11]));
  record.snapshot_taken_at = TimeOf(row[12]);
  record.snapshot_released = Text(row[13]) == "t";
  record.source_now_microseconds = Number<int64_t>(row[14]);
  record.warnings = ListOf(Text(row[15]));
  record.left_out = ListOf(Text(row[16]));
  record.created_at = TimeOf(row[17]);
  record.finished_at = TimeOf(row[18]);
  if (!row[19].is_null()) record.steering.paused_since = TimeOf(row[19]);
  if (!row[20].is_null()) record.steering.cancelled_at = TimeOf(row[20]);
  record.steering.limits = LimitsFromJson(Text(row[21]));
  return std::optional<MigrationRecord>(std::move(record));
}

absl::StatusOr<std::optional<MigrationRecord>> Journal::FindUnfinished() { return FindWhere(" WHERE phase <> 'done'"); }

absl::StatusOr<std::optional<MigrationRecord>> Journal::FindLatest() { return FindWhere(""); }

absl::Status Journal::Begin(const MigrationRecord& record, const std::string& holder, const std::string& address,
                            absl::Duration leader_lease) {
  HS_RETURN_IF_ERROR(Write("begin", [&](pqxx::work& work) -> absl::Status {
    work.exec("SET LOCAL client_min_messages = warning");
    work.exec(kJournalSchemaSql);
    const pqxx::result lead = work.exec_params(kTakeLeadSql, holder, address, absl::ToDoubleSeconds(leader_lease));
    if (lead.empty()) return absl::UnavailableError("another coordinator leads a migration into this target");
    epoch_ = lead[0][0].as<int64_t>();
    work.exec_params(kInsertMigrationSql, record.id, kJournalVersion, PhaseName(record.phase), record.program_version,
                     record.source, record.target, record.system_identifier, record.timeline, record.database_oid,
                     record.config, record.snapshot.current_snapshot(), record.snapshot.postmaster_start(),
                     record.source_now_microseconds, JsonList(record.warnings), JsonList(record.left_out),
                     LimitsToJson(record.steering.limits));
    return absl::OkStatus();
  }));
  holder_ = holder;
  leader_lease_ = leader_lease;
  return absl::OkStatus();
}

absl::Status Journal::StoreArchive(const std::string& id, const std::string& archive) {
  return AsLeaderAtLength("archive", [&](pqxx::work& work) {
    work.exec_params("UPDATE _hypershift.migration SET archive = $2::bytea WHERE id = $1", id, ByteaText(archive));
    return absl::OkStatus();
  });
}

absl::StatusOr<std::string> Journal::LoadArchive(const std::string& id) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  HS_ASSIGN_OR_RETURN(const pqxx::result rows,
                      session->Query("SELECT archive FROM _hypershift.migration WHERE id = $1", id));
  if (rows.empty() || rows[0][0].is_null()) return absl::DataLossError("the journal holds no schema archive");
  return BytesOf(rows[0][0]);
}

absl::Status Journal::Advance(const std::string& id, JournalPhase phase, const std::vector<std::string>& statements) {
  return AsLeaderAtLength(phase == JournalPhase::kHypertables ? "pre_data" : "hypertables", [&](pqxx::work& work) {
    for (const std::string& statement : statements) work.exec(statement);
    work.exec_params("UPDATE _hypershift.migration SET phase = $2 WHERE id = $1", id, PhaseName(phase));
    return absl::OkStatus();
  });
}

absl::Status Journal::StoreSnapshot(const std::string& id, const v1::Snapshot& snapshot) {
  return AsLeader("store_snapshot", [&](pqxx::work& work) {
    work.exec_params(
        "UPDATE _hypershift.migration SET snapshot = $2, postmaster_start = $3, snapshot_taken_at = clock_timestamp(), "
        "snapshot_released_at = NULL WHERE id = $1",
        id, snapshot.current_snapshot(), snapshot.postmaster_start());
    return absl::OkStatus();
  });
}

absl::Status Journal::StoreReport(const std::string& id, const std::vector<std::string>& warnings,
                                  const std::vector<std::string>& left_out) {
  return AsLeader("report", [&](pqxx::work& work) {
    work.exec_params("UPDATE _hypershift.migration SET warnings = $2, left_out = $3 WHERE id = $1", id,
                     JsonList(warnings), JsonList(left_out));
    return absl::OkStatus();
  });
}

absl::Status Journal::RecordWorker(const std::string& id, const std::string& name, const std::string& zone, int slots,
                                   const std::string& version) {
  return AsLeader("worker", [&](pqxx::work& work) {
    work.exec_params(
        "INSERT INTO _hypershift.worker (migration_id, name, zone, slots, version) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (migration_id, name) DO UPDATE SET zone = excluded.zone, slots = excluded.slots, "
        "version = excluded.version, registered_at = clock_timestamp()",
        id, name, zone, slots, version);
    return absl::OkStatus();
  });
}

absl::Status Journal::MarkSnapshotReleased(const std::string& id) {
  return AsLeader("release", [&](pqxx::work& work) {
    work.exec_params("UPDATE _hypershift.migration SET snapshot_released_at = clock_timestamp() WHERE id = $1", id);
    return absl::OkStatus();
  });
}

absl::Status Journal::Finish(const std::string& id) {
  return AsLeader("finish", [&](pqxx::work& work) {
    work.exec_params("UPDATE _hypershift.migration SET phase = 'done', finished_at = clock_timestamp() WHERE id = $1",
                     id);
    return absl::OkStatus();
  });
}

absl::Status Journal::StoreSteering(const std::string& id, const Steering& steering) {
  // Seconds since 1970; empty: NULL.
  const auto seconds = [](absl::Time time) {
    return time == absl::InfiniteFuture() ? ""
                                          : absl::StrFormat("%.6f", absl::ToDoubleSeconds(time - absl::UnixEpoch()));
  };
  const std::string paused = seconds(steering.paused_since);
  const std::string cancelled = seconds(steering.cancelled_at);
  return AsLeader("steering", [&](pqxx::work& work) {
    work.exec_params(kSteeringSql, id, paused.empty() ? nullptr : paused.c_str(),
                     cancelled.empty() ? nullptr : cancelled.c_str(), LimitsToJson(steering.limits));
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<TablePlan>> Journal::LoadTables(const std::string& id) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  HS_ASSIGN_OR_RETURN(
      const pqxx::result rows,
      session->Query(
          "SELECT id, schema_name, table_name, plan FROM _hypershift.source_table WHERE migration_id = $1 ORDER BY id",
          id));
  std::vector<TablePlan> tables;
  for (const auto& row : rows) {
    HS_ASSIGN_OR_RETURN(TablePlan table, TablePlan::FromJson(Text(row[3])));
    table.id = Number<int>(row[0]);
    table.name = {Text(row[1]), Text(row[2])};
    tables.push_back(std::move(table));
  }
  return tables;
}

absl::StatusOr<std::vector<Barrier>> Journal::LoadBarriers(const std::string& id) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  HS_ASSIGN_OR_RETURN(const pqxx::result rows,
                      session->Query("SELECT id, parent FROM _hypershift.barrier WHERE migration_id = $1", id));
  std::vector<Barrier> barriers;
  for (const auto& row : rows) barriers.push_back({Number<BarrierId>(row[0]), Number<BarrierId>(row[1])});
  return barriers;
}

absl::StatusOr<BarrierId> Journal::MaxBarrierId(const std::string& id) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  HS_ASSIGN_OR_RETURN(
      const pqxx::result rows,
      session->Query("SELECT coalesce(max(id), 0) FROM _hypershift.barrier WHERE migration_id = $1", id));
  return rows[0][0].as<BarrierId>();
}

absl::Status Journal::Drop(bool force) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  if (!force) {
    absl::StatusOr<pqxx::result> who =
        session->Query("SELECT holder FROM _hypershift.leader WHERE expires_at > clock_timestamp()");
    if (!who.ok() && !NoSuchJournal(who.status())) return who.status();
    if (who.ok() && !who->empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("coordinator ", Text((*who)[0][0]), " leads a migration into this target: stop it first"));
    }
  }
  return session->Transaction([](pqxx::work& work) {
    work.exec("SET LOCAL client_min_messages = warning");
    work.exec("DROP SCHEMA IF EXISTS _hypershift CASCADE");
    return absl::OkStatus();
  });
}

}  // namespace hypershift
