#include "coordinator/throttle_watch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/proto_time.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);
constexpr absl::Duration kPatience = absl::Seconds(3);
// A server that was away is not asked at each look: others must not wait for it.
constexpr absl::Duration kRetryInterval = absl::Seconds(10);
constexpr char kUserTimeout[] = "5000";  // Milliseconds.

// Of all databases: the load is the server's. -1: the role may not see what others do.
constexpr char kSourceLoadSql[] = R"sql(
SELECT CASE WHEN bool_or(query = '<insufficient privilege>') THEN -1
            ELSE count(*) FILTER (WHERE state = 'active' AND backend_type = 'client backend') END
  FROM pg_stat_activity
 WHERE pid <> pg_backend_pid() AND application_name NOT LIKE 'hypershift%'
   AND application_name NOT IN ('pg_dump', 'pg_restore')
)sql";

// In milliseconds. A stand-by that has replayed all it has received lags by nothing, however long its primary has been
// idle. -1: it is no stand-by.
constexpr char kLagSql[] = R"sql(
SELECT CASE WHEN NOT pg_is_in_recovery() THEN -1
            WHEN pg_last_wal_receive_lsn() IS NOT DISTINCT FROM pg_last_wal_replay_lsn() THEN 0
            ELSE greatest(coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0), 0) * 1000
       END::bigint
)sql";

constexpr char kTargetWalSql[] = R"sql(
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), redo_lsn)::bigint FROM pg_control_checkpoint()
)sql";

absl::StatusOr<PgSession*> SessionOf(const ConnectionString& where, ServerRole role,
                                     std::unique_ptr<PgSession>* session) {
  if (*session == nullptr || (*session)->broken()) {
    SessionOptions options;
    options.role = role;
    options.application_name = "hypershift watch";
    options.lock_timeout = absl::Seconds(1);
    options.connect_timeout = kPatience;
    HS_ASSIGN_OR_RETURN(*session, PgSession::Open(where.With("tcp_user_timeout", kUserTimeout), options));
    HS_RETURN_IF_ERROR((*session)->Query("SET statement_timeout = '3s'").status());
  }
  return session->get();
}

}  // namespace

ThrottleWatch::ThrottleWatch(ConnectionString source, ConnectionString target,
                             const std::vector<ConnectionString>& standbys, MigrationState* state)
    : source_(std::move(source), ServerRole::kSource),
      target_(std::move(target), ServerRole::kTarget),
      standbys_(ServersOf(standbys)),
      state_(state),
      thread_(kInterval, [this] { Look(); }) {}

std::vector<ThrottleWatch::Server> ThrottleWatch::ServersOf(const std::vector<ConnectionString>& standbys) {
  std::vector<Server> servers;
  for (const ConnectionString& standby : standbys) {
    const std::string port = standby.Get("port").empty() ? "5432" : standby.Get("port");
    servers.emplace_back(standby, ServerRole::kSource, absl::StrCat(standby.Get("host"), ":", port));
  }
  return servers;
}

void ThrottleWatch::LeaveSource() {
  leave_source_ = true;
  thread_.Hurry();
}

absl::StatusOr<int64_t> ThrottleWatch::Ask(Server* server, const char* sql) {
  const absl::Time now = SystemClock::Get()->Now();
  if (now < server->next_try) return server->error;
  const absl::StatusOr<PgSession*> session = SessionOf(server->where, server->role, &server->session);
  absl::StatusOr<pqxx::result> rows = session.ok() ? (*session)->Query(sql) : session.status();
  server->error = rows.status();
  if (rows.ok()) return (*rows)[0][0].as<int64_t>();
  server->next_try = SystemClock::Get()->Now() + kRetryInterval;
  return server->error;
}

void ThrottleWatch::Look() {
  const bool source_too = !leave_source_;
  const v1::Limits limits = state_->steering().limits;
  const SystemClock* const clock = SystemClock::Get();
  if (source_too && limits.max_source_load() > 0) {
    absl::StatusOr<int64_t> load = Ask(&source_, kSourceLoadSql);
    if (load.ok() && *load < 0) {
      load = absl::PermissionDeniedError(
          "source: the role may not see what other sessions do: grant it pg_read_all_stats");
    }
    throttle_.TakeIn(Gauge::kSourceLoad, load, "", clock->Now());
  } else {
    throttle_.Forget(Gauge::kSourceLoad);
    source_.session.reset();
  }
  if (source_too && FromProto(limits.max_replication_lag()) > absl::ZeroDuration()) {
    LookAtStandbys();
  } else {
    throttle_.Forget(Gauge::kReplicationLag);
    silent_standbys_.clear();
    for (Server& standby : standbys_) standby.session.reset();
  }
  if (limits.max_target_wal() > 0) {
    throttle_.TakeIn(Gauge::kTargetWal, Ask(&target_, kTargetWalSql), "", clock->Now());
  } else {
    throttle_.Forget(Gauge::kTargetWal);
    target_.session.reset();
  }
  const std::string reason = throttle_.Reason(limits, clock->Now());
  std::vector<std::string> warnings = throttle_.Warnings(limits, clock->Now());
  warnings.insert(warnings.end(), silent_standbys_.begin(), silent_standbys_.end());
  state_->SetThrottle(reason, warnings);
}

// The slowest of those that answer; an error only if none does, or if one is no stand-by.
void ThrottleWatch::LookAtStandbys() {
  absl::StatusOr<int64_t> slowest = absl::NotFoundError("no stand-by was given: say --source-standby URI");
  std::string where;
  silent_standbys_.clear();
  for (Server& standby : standbys_) {
    if (thread_.ending()) return;
    absl::StatusOr<int64_t> lag = Ask(&standby, kLagSql);
    if (lag.ok() && *lag < 0) lag = absl::FailedPreconditionError("it is no stand-by");
    if (!lag.ok()) {
      slowest = slowest.ok() ? slowest : lag.status();
      silent_standbys_.push_back(
          absl::StrCat("max-replication-lag leaves out stand-by ", standby.name, ": ", lag.status().message()));
      continue;
    }
    if (slowest.ok() && *slowest >= *lag) continue;
    slowest = lag;
    where = standby.name;
  }
  throttle_.TakeIn(Gauge::kReplicationLag, slowest, where, SystemClock::Get()->Now());
}

}  // namespace hypershift
