// How a journal takes, keeps and loses the lead, and the transactions that only a leader may make.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/failpoint.h"
#include "common/pg_status.h"
#include "common/status_macros.h"
#include "coordinator/journal.h"
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

}  // namespace

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

}  // namespace hypershift
