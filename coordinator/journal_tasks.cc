// What a journal says of tasks, and how their leases change.
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "common/status_macros.h"
#include "coordinator/journal.h"
#include "coordinator/journal_values.h"

namespace hypershift {
namespace {

constexpr char kTaskColumnsSql[] = R"sql(
SELECT id, table_id, kind, state, attempt, sequence, estimated_bytes, barrier, array_to_string(gates, ','), range_key,
       description, worker, coalesce(extract(epoch FROM lease_expires_at - clock_timestamp()), 0)::float8, failures, error,
       sqlstate, rows, bytes, digest, rewritable_digest, coalesce(extract(epoch FROM started_at), 0)::float8,
       coalesce(extract(epoch FROM finished_at), 0)::float8, small
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

// A session that began after the lease did is another one with the same pid.
constexpr char kTerminateSql[] = R"sql(
SELECT pg_terminate_backend(a.pid)
  FROM _hypershift.task t
  JOIN pg_stat_activity a ON a.pid = t.session_pid AND a.backend_start = t.session_start
 WHERE t.id = ANY($1::bigint[]) AND t.session_pid <> 0
)sql";

}  // namespace

absl::Status Journal::ForEachTask(const std::string& id, const std::function<absl::Status(TaskRow)>& visit) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  return session->Transaction([&](pqxx::work& work) {
    return ForEachRow(work, absl::StrCat(kTaskColumnsSql, " WHERE migration_id = ", QuoteLiteral(id), " ORDER BY id"),
                      [&](const pqxx::row& row) -> absl::Status {
                        HS_ASSIGN_OR_RETURN(TaskRow task, ToTaskRow(row));
                        return visit(std::move(task));
                      });
  });
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

absl::StatusOr<int64_t> Journal::CountTasks(const std::string& id) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  HS_ASSIGN_OR_RETURN(const pqxx::result rows,
                      session->Query("SELECT count(*) FROM _hypershift.task WHERE migration_id = $1", id));
  return Number<int64_t>(rows[0][0]);
}

absl::StatusOr<bool> Journal::HasTasks(const std::string& id, TaskKind::Kind kind) {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  HS_ASSIGN_OR_RETURN(const pqxx::result rows,
                      session->Query("SELECT 1 FROM _hypershift.task WHERE migration_id = $1 AND kind = $2 LIMIT 1", id,
                                     TaskKindName(kind)));
  return !rows.empty();
}

absl::StatusOr<TaskId> Journal::MaxTaskId() {
  HS_ASSIGN_OR_RETURN(PgSession * session, Session());
  absl::StatusOr<pqxx::result> rows = session->Query("SELECT coalesce(max(id), 0) FROM _hypershift.task");
  if (!rows.ok()) return rows.status();
  return (*rows)[0][0].as<TaskId>();
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

absl::Status Journal::RetryFailed(const std::string& id, std::optional<int> table) {
  return AsLeader("retry_failed", [&](pqxx::work& work) {
    work.exec_params(
        "UPDATE _hypershift.task SET state = 'pending', failures = 0, worker = '' "
        "WHERE migration_id = $1 AND state = 'failed' AND table_id = coalesce($2::int, table_id)",
        id, table.has_value() ? absl::StrCat(*table).c_str() : nullptr);
    return absl::OkStatus();
  });
}

}  // namespace hypershift
