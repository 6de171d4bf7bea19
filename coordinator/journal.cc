#include "coordinator/journal.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/names.h"
#include "common/pg_status.h"
#include "common/status_macros.h"
#include "coordinator/journal_schema.h"
#include "coordinator/journal_values.h"

namespace hypershift {
namespace {

constexpr char kLockLeaderSql[] = R"sql(
UPDATE _hypershift.leader SET expires_at = clock_timestamp() + make_interval(secs => $2)
 WHERE epoch = $1
)sql";

// Keeps the row from nothing but its deletion: the lead can be renewed, and taken over.
constexpr char kMarkLeaderSql[] = R"sql(
SELECT 1 FROM _hypershift.leader WHERE epoch = $1 FOR KEY SHARE
)sql";

// Waits for nobody's lock: whoever leads holds it when it writes, and who was left behind is ended before the next try.
constexpr char kTakeLeadSql[] = R"sql(
INSERT INTO _hypershift.leader (holder, address, epoch, expires_at)
SELECT $1, $2, 1, clock_timestamp() + make_interval(secs => $3)
 WHERE NOT EXISTS (SELECT 1 FROM _hypershift.leader)
    OR EXISTS (SELECT 1 FROM _hypershift.leader FOR UPDATE SKIP LOCKED)
ON CONFLICT (only_row) DO UPDATE
   SET holder = excluded.holder, address = excluded.address, epoch = leader.epoch + 1, expires_at = excluded.expires_at
 WHERE leader.expires_at <= clock_timestamp()
RETURNING epoch
)sql";

constexpr char kWhoLeadsSql[] = R"sql(
SELECT holder, extract(epoch FROM expires_at - clock_timestamp())::float8 FROM _hypershift.leader
)sql";

// A leader that was stopped in the middle of a write still holds the lock on its row, or locks on what it was making.
// Whoever began before the lead expired is such a one, or has been at it for longer than a lead lasts: its transaction
// would keep a successor waiting. ($1: seconds.)
constexpr char kEndDeposedSql[] = R"sql(
SELECT pg_terminate_backend(a.pid)
  FROM _hypershift.leader l
  JOIN pg_locks k ON k.relation = '_hypershift.leader'::regclass AND k.locktype = 'relation'
                 AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND k.mode IN ('RowShareLock', 'RowExclusiveLock') AND k.granted
  JOIN pg_stat_activity a ON a.pid = k.pid
 WHERE l.expires_at <= clock_timestamp() AND a.pid <> pg_backend_pid()
   AND a.xact_start < greatest(l.expires_at, clock_timestamp() - make_interval(secs => $1))
)sql";

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

constexpr char kTaskColumnsSql[] = R"sql(
SELECT id, table_id, kind, state, attempt, sequence, estimated_bytes, barrier, array_to_string(gates, ','), range_key,
       description, worker, coalesce(extract(epoch FROM lease_expires_at - clock_timestamp()), 0)::float8, failures, error,
       sqlstate, rows, bytes, digest, rewritable_digest, coalesce(extract(epoch FROM started_at), 0)::float8,
       coalesce(extract(epoch FROM finished_at), 0)::float8
  FROM _hypershift.task
)sql";

constexpr char kLeaseSql[] = R"sql(
UPDATE _hypershift.task t
   SET state = 'leased', attempt = t.attempt + 1, worker = v.worker, session_pid = NULL, session_start = NULL,
       lease_expires_at = clock_timestamp() + make_interval(secs => $4), started_at = clock_timestamp()
  FROM unnest($1::bigint[], $2::int[], $3::text[]) v(id, attempt, worker)
 WHERE t.id = v.id AND t.attempt = v.attempt AND t.state = 'pending'
RETURNING t.id, t.attempt, t.description, t.work
)sql";

// A row that is locked is its worker's, who is about to commit, or was stopped there: neither is worth a wait in which
// nobody else's lease is renewed.
constexpr char kRenewSql[] = R"sql(
UPDATE _hypershift.task SET lease_expires_at = clock_timestamp() + make_interval(secs => $3)
 WHERE id IN (SELECT t.id
                FROM _hypershift.task t
                JOIN unnest($1::bigint[], $2::int[]) v(id, attempt) ON t.id = v.id AND t.attempt = v.attempt
               WHERE t.state = 'leased'
                 FOR NO KEY UPDATE OF t SKIP LOCKED)
)sql";

constexpr char kExtendSql[] = R"sql(
UPDATE _hypershift.task SET lease_expires_at = clock_timestamp() + make_interval(secs => $2)
 WHERE id IN (SELECT id FROM _hypershift.task WHERE migration_id = $1 AND state = 'leased'
                 FOR NO KEY UPDATE SKIP LOCKED)
)sql";

constexpr char kChangeSql[] = R"sql(
UPDATE _hypershift.task
   SET state = $3, failures = $4, error = $5, sqlstate = $6, lease_expires_at = NULL, worker = ''
 WHERE id = $1 AND attempt = $2 AND state = 'leased'
)sql";

constexpr char kOwnSessionSql[] = R"sql(
SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()
)sql";

constexpr char kEndSessionSql[] = R"sql(
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2
)sql";

// A session that began after the lease did is another one with the same pid.
constexpr char kTerminateSql[] = R"sql(
SELECT pg_terminate_backend(a.pid)
  FROM _hypershift.task t
  JOIN pg_stat_activity a ON a.pid = t.session_pid AND a.backend_start = t.session_start
 WHERE t.id = ANY($1::bigint[]) AND t.session_pid <> 0
)sql";

// Rows of VALUES in batches, so that neither the statements' number nor their length grows without bound.
void InsertBatched(pqxx::work& work, const std::string& head, const std::vector<std::string>& values) {
  constexpr size_t kBatch = 500;
  for (size_t begin = 0; begin < values.size(); begin += kBatch) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last = values.begin() + static_cast<std::ptrdiff_t>(std::min(begin + kBatch, values.size()));
    work.exec(absl::StrCat(head, absl::StrJoin(first, last, ",")));
  }
}

void InsertPlan(pqxx::work& work, const std::string& id, const Plan& plan) {
  std::vector<std::string> values;
  for (const TablePlan& table : plan.tables) {
    values.push_back(absl::StrCat("(", QuoteLiteral(id), ",", table.id, ",", QuoteLiteral(table.name.schema), ",",
                                  QuoteLiteral(table.name.name), ",") +
                     absl::StrCat(QuoteLiteral(table.ToJson()), ")"));
  }
  InsertBatched(work, "INSERT INTO _hypershift.source_table (migration_id, id, schema_name, table_name, plan) VALUES ",
                values);
  values.clear();
  for (const Barrier& barrier : plan.barriers) {
    values.push_back(absl::StrCat("(", QuoteLiteral(id), ",", barrier.id, ",", barrier.parent, ")"));
  }
  InsertBatched(work, "INSERT INTO _hypershift.barrier (migration_id, id, parent) VALUES ", values);
  values.clear();
  for (const PlannedTask& task : plan.tasks) values.push_back(TaskValues(id, task));
  InsertBatched(
      work,
      "INSERT INTO _hypershift.task (id, migration_id, table_id, kind, sequence, estimated_bytes, barrier, gates, "
      "range_key, description, work) VALUES ",
      values);
}

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

absl::Status Journal::TakeLead(const std::string& holder, const std::string& address, absl::Duration leader_lease) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  HS_RETURN_IF_ERROR(session->Query(kEndDeposedSql, absl::ToDoubleSeconds(leader_lease)).status());
  HS_ASSIGN_OR_RETURN(const pqxx::result lead, AtFailpoint(Failpoint::kCoordinatorCommitSent, "take_lead", [&] {
                        return session->Query(kTakeLeadSql, holder, address, absl::ToDoubleSeconds(leader_lease));
                      }));
  if (lead.empty()) {
    HS_ASSIGN_OR_RETURN(const std::optional<LeaderInfo> leader, FindLeader());
    if (!leader.has_value()) return absl::UnavailableError("the leadership has just changed");
    return absl::UnavailableError(absl::StrCat(
        "coordinator ", leader->holder, " leads this migration; its lead expires in ",
        absl::ToInt64Seconds(std::max(leader->expires_in, absl::ZeroDuration())) + 1, " s unless it renews it"));
  }
  epoch_ = lead[0][0].as<int64_t>();
  holder_ = holder;
  leader_lease_ = leader_lease;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<LeaderInfo>> Journal::FindLeader() {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  HS_ASSIGN_OR_RETURN(const pqxx::result who, session->Query(kWhoLeadsSql));
  if (who.empty()) return std::optional<LeaderInfo>();
  return std::optional<LeaderInfo>({Text(who[0][0]), absl::Seconds(Number<double>(who[0][1]))});
}

absl::Status Journal::Write(absl::string_view what, const Body& body) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  HS_RETURN_IF_ERROR(session->Transaction([&](pqxx::work& work) -> absl::Status {
    HS_RETURN_IF_ERROR(AtFailpoint(Failpoint::kCoordinatorJournalWrite, what, [&] { return body(work); }));
    return HitFailpoint(Failpoint::kCoordinatorCommitSent, FailpointSide::kBefore, what);
  }));
  HS_RETURN_IF_ERROR(HitFailpoint(Failpoint::kCoordinatorCommitSent, FailpointSide::kAfter, what));
  return AtFailpoint(Failpoint::kCoordinatorCommitAnswered, what);
}

bool IsDeposed(const absl::Status& status) { return absl::IsAborted(status) && SqlState(status).empty(); }

absl::Status RenewLead(PgSession* session, int64_t epoch, absl::Duration leader_lease) {
  return session->Query(kLockLeaderSql, epoch, absl::ToDoubleSeconds(leader_lease)).status();
}

absl::Status Journal::LockLead(pqxx::work& work) const {
  const pqxx::result lead = work.exec_params(kLockLeaderSql, epoch_, absl::ToDoubleSeconds(leader_lease_));
  if (lead.affected_rows() == 1) return absl::OkStatus();
  return absl::AbortedError("another coordinator has taken the lead; this one stops");
}

absl::Status Journal::AsLeader(absl::string_view what, const Body& body) {
  return Write(what, [&](pqxx::work& work) -> absl::Status {
    HS_RETURN_IF_ERROR(LockLead(work));
    return body(work);
  });
}

absl::Status Journal::AsLeaderAtLength(absl::string_view what, const Body& body) {
  // So that it begins within a lease: by that a successor tells a transaction that was left behind.
  HS_RETURN_IF_ERROR(RenewLead());
  return Write(what, [&](pqxx::work& work) -> absl::Status {
    if (work.exec_params(kMarkLeaderSql, epoch_).empty()) return LockLead(work);
    HS_RETURN_IF_ERROR(body(work));
    return LockLead(work);
  });
}

absl::Status Journal::RenewLead() {
  return AsLeader("renew_lead", [](pqxx::work&) { return absl::OkStatus(); });
}

absl::Status Journal::GiveUpLead() {
  return AsLeader("give_up_lead", [](pqxx::work& work) {
    work.exec("UPDATE _hypershift.leader SET expires_at = clock_timestamp()");
    return absl::OkStatus();
  });
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

absl::Status Journal::WritePlan(const std::string& id, const Plan& plan, JournalPhase phase) {
  return AsLeaderAtLength("plan", [&](pqxx::work& work) {
    work.exec_params("DELETE FROM _hypershift.task WHERE migration_id = $1", id);
    work.exec_params("DELETE FROM _hypershift.barrier WHERE migration_id = $1", id);
    work.exec_params("DELETE FROM _hypershift.source_table WHERE migration_id = $1", id);
    InsertPlan(work, id, plan);
    work.exec_params("UPDATE _hypershift.migration SET phase = $2 WHERE id = $1", id, PhaseName(phase));
    return absl::OkStatus();
  });
}

absl::Status Journal::ReplaceLoad(const std::string& id, const std::vector<int>& tables,
                                  const std::vector<std::string>& statements, const Plan& plan) {
  return AsLeaderAtLength("replace_load", [&](pqxx::work& work) {
    const std::string ids = NumberArray(tables);
    for (const std::string& statement : statements) work.exec(statement);
    // Old barriers stay: an empty one is open.
    work.exec_params(
        "DELETE FROM _hypershift.task WHERE migration_id = $1 AND table_id = ANY($2::int[]) "
        "AND kind IN ('prepare_chunk', 'copy', 'compress', 'verify')",
        id, ids);
    work.exec_params("DELETE FROM _hypershift.source_table WHERE migration_id = $1 AND id = ANY($2::int[])", id, ids);
    InsertPlan(work, id, plan);
    return absl::OkStatus();
  });
}

absl::Status Journal::ReplaceVerifications(const std::string& id, const Plan& plan) {
  return AsLeaderAtLength("replace_verifications", [&](pqxx::work& work) {
    work.exec_params("DELETE FROM _hypershift.task WHERE migration_id = $1 AND kind = 'verify'", id);
    InsertPlan(work, id, plan);
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

absl::Status Journal::RevokeLeases(const std::string& id) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  HS_ASSIGN_OR_RETURN(
      const pqxx::result leased,
      session->Query("SELECT id FROM _hypershift.task WHERE migration_id = $1 AND state = 'leased'", id));
  std::vector<TaskId> ids;
  for (const auto& row : leased) ids.push_back(Number<TaskId>(row[0]));
  if (ids.empty()) return absl::OkStatus();
  // A session that is at its commit has the row locked, for ever if its worker was stopped there: it goes first.
  HS_RETURN_IF_ERROR(TerminateSessions(ids));
  return AsLeader("revoke_leases", [&](pqxx::work& work) {
    work.exec_params(
        "UPDATE _hypershift.task SET state = 'pending', worker = '', lease_expires_at = NULL "
        "WHERE id = ANY($1::bigint[]) AND state = 'leased'",
        NumberArray(ids));
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

absl::StatusOr<std::vector<TaskRow>> Journal::LoadTasks(const std::string& id) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  HS_ASSIGN_OR_RETURN(const pqxx::result rows,
                      session->Query(absl::StrCat(kTaskColumnsSql, " WHERE migration_id = $1 ORDER BY id"), id));
  std::vector<TaskRow> tasks;
  tasks.reserve(rows.size());
  for (const auto& row : rows) {
    HS_ASSIGN_OR_RETURN(TaskRow task, ToTaskRow(row));
    tasks.push_back(std::move(task));
  }
  return tasks;
}

absl::StatusOr<std::vector<TaskRow>> Journal::LoadTasks(const std::vector<TaskId>& ids) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  HS_ASSIGN_OR_RETURN(
      const pqxx::result rows,
      session->Query(absl::StrCat(kTaskColumnsSql, " WHERE id = ANY($1::bigint[]) ORDER BY id"), NumberArray(ids)));
  std::vector<TaskRow> tasks;
  for (const auto& row : rows) {
    HS_ASSIGN_OR_RETURN(TaskRow task, ToTaskRow(row));
    tasks.push_back(std::move(task));
  }
  return tasks;
}

absl::StatusOr<v1::TaskWork> Journal::LoadWork(TaskId id) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query("SELECT work FROM _hypershift.task WHERE id = $1", id));
  v1::TaskWork work;
  if (rows.empty() || !work.ParseFromString(BytesOf(rows[0][0]))) {
    return absl::DataLossError(absl::StrCat("the journal's task ", id, " can't be read"));
  }
  return work;
}

absl::StatusOr<TaskId> Journal::MaxTaskId() {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  absl::StatusOr<pqxx::result> rows = session->Query("SELECT coalesce(max(id), 0) FROM _hypershift.task");
  if (!rows.ok()) return rows.status();
  return (*rows)[0][0].as<TaskId>();
}

absl::StatusOr<BarrierId> Journal::MaxBarrierId(const std::string& id) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  HS_ASSIGN_OR_RETURN(
      const pqxx::result rows,
      session->Query("SELECT coalesce(max(id), 0) FROM _hypershift.barrier WHERE migration_id = $1", id));
  return rows[0][0].as<BarrierId>();
}

absl::StatusOr<AppliedBatch> Journal::Apply(const JournalBatch& batch, absl::Duration lease) {
  AppliedBatch applied;
  const double lease_seconds = absl::ToDoubleSeconds(lease);
  HS_RETURN_IF_ERROR(AsLeader("turn", [&](pqxx::work& work) -> absl::Status {
    std::vector<TaskId> changed;
    for (const TaskChange& change : batch.changes) {
      applied.changed += work.exec_params(kChangeSql, change.id, change.attempt, TaskStateName(change.to),
                                          change.failures, change.error, change.sqlstate)
                             .affected_rows();
      changed.push_back(change.id);
    }
    // Once more: an attempt may have been claimed after its session was looked for. From here on none can be.
    if (!changed.empty()) work.exec_params(kTerminateSql, NumberArray(changed));
    if (!batch.renewals.empty()) {
      std::vector<TaskId> ids;
      std::vector<int> attempts;
      for (const auto& [id, attempt] : batch.renewals) {
        ids.push_back(id);
        attempts.push_back(attempt);
      }
      work.exec_params(kRenewSql, NumberArray(ids), NumberArray(attempts), lease_seconds);
    }
    if (!batch.leases.empty()) {
      std::vector<TaskId> ids;
      std::vector<int> attempts;
      std::vector<std::string> workers;
      for (const LeaseRequest& request : batch.leases) {
        ids.push_back(request.id);
        attempts.push_back(request.attempt);
        workers.push_back(request.worker);
      }
      const pqxx::result rows =
          work.exec_params(kLeaseSql, NumberArray(ids), NumberArray(attempts), TextArray(workers), lease_seconds);
      for (const auto& row : rows) {
        Leased one;
        one.id = Number<TaskId>(row[0]);
        one.attempt = Number<int>(row[1]);
        one.description = Text(row[2]);
        if (!one.work.ParseFromString(BytesOf(row[3]))) {
          return absl::DataLossError(absl::StrCat("the journal's task ", one.id, " can't be read"));
        }
        applied.leased.push_back(std::move(one));
      }
    }
    return absl::OkStatus();
  }));
  return applied;
}

absl::Status Journal::ExtendLeases(const std::string& id, absl::Duration lease) {
  return AsLeader("extend_leases", [&](pqxx::work& work) {
    work.exec_params(kExtendSql, id, absl::ToDoubleSeconds(lease));
    return absl::OkStatus();
  });
}

absl::Status Journal::TerminateSessions(const std::vector<TaskId>& ids) {
  return AsLeader("terminate", [&](pqxx::work& work) {
    work.exec_params(kTerminateSql, NumberArray(ids));
    return absl::OkStatus();
  });
}

absl::Status Journal::RetryFailed(const std::string& id, std::optional<int> table) {
  return AsLeader("retry_failed", [&](pqxx::work& work) {
    work.exec_params(
        "UPDATE _hypershift.task SET state = 'pending', failures = 0, worker = '' "
        "WHERE migration_id = $1 AND state = 'failed' AND table_id = coalesce($2::int, table_id)",
        id, table.has_value() ? absl::StrCat(*table).c_str() : nullptr);
    return absl::OkStatus();
  });
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
