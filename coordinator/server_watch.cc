#include "coordinator/server_watch.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "common/pg_connect.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);
constexpr int kLooksPerSearch = 3;  // Locks are looked for less often: that costs the server more.
// It must not keep an ending program waiting for a silent server.
constexpr absl::Duration kPatience = absl::Seconds(3);
constexpr char kUserTimeout[] = "5000";  // Milliseconds.

// Sessions of this program, and of the dump and restore that it runs, which wait for a lock that none of them holds.
// Of a prepared transaction the function says pid 0.
constexpr char kWaitsSql[] = R"sql(
SELECT DISTINCT ON (b.pid)
       b.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(a.state, ''),
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::bigint,
       coalesce((SELECT format('%I.%I', n.nspname, c.relname)
                   FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE l.pid = w.pid AND NOT l.granted AND l.locktype = 'relation' LIMIT 1), '')
  FROM pg_stat_activity w
 CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) b(pid)
  LEFT JOIN pg_stat_activity a ON a.pid = b.pid
 WHERE w.datname = current_database() AND w.wait_event_type = 'Lock'
   AND (w.application_name LIKE 'hypershift%' OR w.application_name IN ('pg_dump', 'pg_restore'))
   AND coalesce(a.application_name, '') NOT LIKE 'hypershift%'
   AND coalesce(a.application_name, '') NOT IN ('pg_dump', 'pg_restore')
 ORDER BY b.pid
)sql";

constexpr char kXminAgeSql[] = R"sql(
SELECT coalesce(max(age(backend_xmin)), 0) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name LIKE 'hypershift%' AND pid <> pg_backend_pid()
)sql";

// Of each worker's COPY sessions: how many there are, and how many wait for their client: the source's to send rows,
// the target's to be sent some. Both names of waits stand in PostgreSQL's monitoring statistics since version 10.
constexpr char kSourceCopiesSql[] = R"sql(
SELECT application_name, count(*), count(*) FILTER (WHERE wait_event = 'ClientWrite')
  FROM pg_stat_activity
 WHERE datname = current_database() AND state = 'active' AND application_name LIKE 'hypershift %' AND query LIKE 'COPY %'
 GROUP BY application_name
)sql";
constexpr char kTargetCopiesSql[] = R"sql(
SELECT application_name, count(*), count(*) FILTER (WHERE wait_event = 'ClientRead')
  FROM pg_stat_activity
 WHERE datname = current_database() AND state = 'active' AND application_name LIKE 'hypershift %'
   AND query LIKE 'COPY %FROM STDIN%'
 GROUP BY application_name
)sql";

std::string Describe(ServerRole role, const pqxx::row& row) {
  const int pid = row[0].as<int>();
  const std::string table = row[5].c_str();
  std::string text = absl::StrCat("a lock on the ", std::string(RoleName(role)), table.empty() ? "" : "'s table ",
                                  Printable(table), " that ");
  if (pid == 0) return absl::StrCat(text, "a prepared transaction holds: see pg_prepared_xacts");
  absl::StrAppend(&text, "session ", pid, " holds");
  std::string who;
  const auto add = [&who](absl::string_view what) {
    if (!what.empty()) absl::StrAppend(&who, who.empty() ? "" : ", ", what);
  };
  if (*row[1].c_str() != '\0') add(absl::StrCat("user ", Printable(row[1].c_str())));
  add(Printable(row[2].c_str()));
  add(Printable(row[3].c_str()));
  const auto seconds = row[4].as<int64_t>();
  if (seconds > 0) add(absl::StrCat("transaction begun ", seconds, " s ago"));
  return who.empty() ? text : absl::StrCat(text, " (", who, ")");
}

}  // namespace

ServerWatch::ServerWatch(ConnectionString source, ConnectionString target, MigrationState* state)
    : source_{std::move(source), ServerRole::kSource, nullptr},
      target_{std::move(target), ServerRole::kTarget, nullptr},
      state_(state),
      thread_(kInterval, [this] { Look(); }) {}

void ServerWatch::LeaveSource() {
  leave_source_ = true;
  thread_.Hurry();
}

void ServerWatch::Look() {
  const bool source_too = !leave_source_;
  LookAtCopies(source_too);
  if (source_too && ++looks_ % kLooksPerSearch != 0) return;
  std::vector<std::string> waits;
  AddWaits(&target_, &waits);
  if (source_too) {
    AddWaits(&source_, &waits);
    ReadXminAge();
  } else {
    source_.session.reset();
    state_->SetSnapshotXminAge(0);
  }
  state_->SetWaits(waits);
}

absl::StatusOr<PgSession*> ServerWatch::SessionOf(Server* server) {
  if (server->session == nullptr || server->session->broken()) {
    SessionOptions options;
    options.role = server->role;
    options.application_name = "hypershift watch";
    options.lock_timeout = absl::Seconds(1);
    options.connect_timeout = kPatience;
    HS_ASSIGN_OR_RETURN(server->session,
                        PgSession::Open(server->where.With("tcp_user_timeout", kUserTimeout), options));
  }
  return server->session.get();
}

void ServerWatch::AddWaits(Server* server, std::vector<std::string>* waits) {
  const absl::StatusOr<PgSession*> session = SessionOf(server);
  if (!session.ok()) return;
  const absl::StatusOr<pqxx::result> rows = (*session)->Query(kWaitsSql);
  if (!rows.ok()) return;
  for (const auto& row : *rows) waits->push_back(Describe(server->role, row));
}

// One side alone says nothing of where the way between them is narrow.
void ServerWatch::LookAtCopies(bool source_too) {
  if (!source_too) return;
  std::map<std::string, CopySessions> by_session;
  const auto read = [&by_session](Server* server, const char* sql, int CopySessions::*count,
                                  int CopySessions::*waiting) -> absl::Status {
    HS_ASSIGN_OR_RETURN(PgSession* const session, SessionOf(server));
    HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(sql));
    for (const auto& row : rows) {
      CopySessions& sessions = by_session[row[0].c_str()];
      sessions.*count = row[1].as<int>();
      sessions.*waiting = row[2].as<int>();
    }
    return absl::OkStatus();
  };
  if (!read(&source_, kSourceCopiesSql, &CopySessions::source, &CopySessions::source_waits).ok()) return;
  if (!read(&target_, kTargetCopiesSql, &CopySessions::target, &CopySessions::target_waits).ok()) return;
  state_->AddCopySessions(by_session);
}

void ServerWatch::ReadXminAge() {
  const absl::StatusOr<PgSession*> session = SessionOf(&source_);
  if (!session.ok()) return;
  const absl::StatusOr<pqxx::result> rows = (*session)->Query(kXminAgeSql);
  if (rows.ok()) state_->SetSnapshotXminAge((*rows)[0][0].as<int64_t>());
}

}  // namespace hypershift
