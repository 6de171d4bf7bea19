#include "tests/simulation/sim_journal.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace hypershift::simulation {
namespace {

// An UPDATE of several rows: takes them one by one and waits where a lock is in its way, as the server does.
struct ManyRows {
  std::vector<TaskId> ids;
  std::function<bool(const JournalRow&)> where;
  std::function<void(JournalRow*)> set;
  bool skip_locked = false;
};

Statement UpdateRows(Database* database, const SessionPtr& session, ManyRows rows) {
  struct Progress {
    size_t next = 0;
    int64_t hits = 0;
  };
  auto progress = std::make_shared<Progress>();
  return [database, session, rows = std::move(rows), progress]() -> std::optional<absl::StatusOr<int64_t>> {
    while (progress->next < rows.ids.size()) {
      const UpdateResult result = database->Update(session.get(), rows.ids[progress->next], rows.where, rows.set);
      if (result == UpdateResult::kBlocked && !rows.skip_locked) return std::nullopt;
      if (result == UpdateResult::kHit) ++progress->hits;
      ++progress->next;
    }
    return progress->hits;
  };
}

}  // namespace

absl::StatusOr<SessionPtr> SimJournal::Session() {
  if (session_ != nullptr && session_->client_open) return session_;
  HS_ASSIGN_OR_RETURN(session_, database_->Connect(process_));
  Database* const database = database_;
  if (own_session_ != 0) {
    HS_RETURN_IF_ERROR(Execute(session_, [database, lost = own_session_]() -> absl::StatusOr<int64_t> {
                         database->Terminate(lost);
                         return 1;
                       }).status());
  }
  own_session_ = session_->id;
  return session_;
}

absl::StatusOr<bool> SimJournal::IsFinished() {
  HS_ASSIGN_OR_RETURN(const SessionPtr session, Session());
  Database* const database = database_;
  HS_ASSIGN_OR_RETURN(const int64_t finished, Execute(session, [database]() -> absl::StatusOr<int64_t> {
                        return database->finished() ? 1 : 0;
                      }));
  return finished == 1;
}

absl::StatusOr<std::pair<std::string, absl::Duration>> SimJournal::FindLeader() {
  HS_ASSIGN_OR_RETURN(const SessionPtr session, Session());
  Database* const database = database_;
  const auto found = std::make_shared<std::pair<std::string, absl::Duration>>();
  HS_RETURN_IF_ERROR(Execute(session, [database, found]() -> absl::StatusOr<int64_t> {
                       *found = {database->leader().holder, database->leader().expires - database->now()};
                       return 1;
                     }).status());
  return *found;
}

absl::Status SimJournal::TakeLead(const std::string& holder, absl::Duration leader_lease) {
  HS_ASSIGN_OR_RETURN(const SessionPtr session, Session());
  Database* const database = database_;
  HS_RETURN_IF_ERROR(Execute(session, [database, session, leader_lease]() -> absl::StatusOr<int64_t> {
                       database->TerminateDeposed(*session, leader_lease);
                       return 0;
                     }).status());
  const auto epoch = std::make_shared<int64_t>(0);
  const Statement take = [=]() -> std::optional<absl::StatusOr<int64_t>> {
    const bool early = database->weakness() == Weakness::kLeadTakenEarly;
    const UpdateResult result = database->UpdateLeader(
        session.get(), [&](const LeaderRow& row) { return early || row.expires <= database->now(); },
        [&](LeaderRow* row) {
          *epoch = row->epoch + 1;
          *row = {holder, *epoch, database->now() + leader_lease};
        });
    return absl::StatusOr<int64_t>(result == UpdateResult::kHit ? 1 : 0);
  };
  HS_ASSIGN_OR_RETURN(const int64_t taken, Execute(session, take));
  if (taken == 0) return absl::UnavailableError("another coordinator leads this migration");
  epoch_ = *epoch;
  leader_lease_ = leader_lease;
  return absl::OkStatus();
}

Statement SimJournal::LockLeader(const SessionPtr& session) const {
  Database* const database = database_;
  return [=, epoch = epoch_, lease = leader_lease_]() -> std::optional<absl::StatusOr<int64_t>> {
    if (database->weakness() == Weakness::kEpochUnchecked) return absl::StatusOr<int64_t>(1);
    if (database->weakness() == Weakness::kEpochUnlocked) {
      return absl::StatusOr<int64_t>(database->leader().epoch == epoch ? 1 : 0);
    }
    const UpdateResult result = database->UpdateLeader(
        session.get(), [&](const LeaderRow& row) { return row.epoch == epoch; },
        [&](LeaderRow* row) { row->expires = database->now() + lease; });
    if (result == UpdateResult::kBlocked) return std::nullopt;
    return absl::StatusOr<int64_t>(result == UpdateResult::kHit ? 1 : 0);
  };
}

absl::Status SimJournal::AsLeader(const Body& body) {
  HS_ASSIGN_OR_RETURN(const SessionPtr session, Session());
  Author author;
  author.epoch = epoch_;
  author.forgives_all = forgives_all_;
  author.forgives_copies = forgives_copies_;
  HS_RETURN_IF_ERROR(database_->Begin(process_, session, author));
  const absl::StatusOr<int64_t> locked = Execute(session, LockLeader(session));
  HS_RETURN_IF_ERROR(locked.status());
  absl::Status status = *locked == 1 ? body(session) : absl::AbortedError("another coordinator has taken the lead");
  if (!status.ok()) {
    // As the transaction's destructor does it. After an error of the server nothing is open any more.
    Database* const database = database_;
    Execute(session, [database, session]() -> absl::StatusOr<int64_t> {
      database->RollBack(session.get());
      return 0;
    }).IgnoreError();
    return status;
  }
  status = database_->Commit(process_, session);
  if (absl::IsUnavailable(status)) return absl::UnknownError("whether the transaction was committed is not known");
  return status;
}

absl::Status SimJournal::RenewLead() {
  return AsLeader([](const SessionPtr&) { return absl::OkStatus(); });
}

absl::Status SimJournal::GiveUpLead() {
  Database* const database = database_;
  return AsLeader([&](const SessionPtr& session) {
    return Execute(session,
                   [database, session]() -> absl::StatusOr<int64_t> {
                     database->UpdateLeader(
                         session.get(), [](const LeaderRow&) { return true; },
                         [&](LeaderRow* row) { row->expires = database->now(); });
                     return 1;
                   })
        .status();
  });
}

absl::Status SimJournal::ExtendLeases(absl::Duration lease) {
  Database* const database = database_;
  return AsLeader([&](const SessionPtr& session) {
    std::vector<TaskId> ids;
    for (const JournalRow& row : database->VisibleRows(*session)) ids.push_back(row.task.id);
    return Execute(session,
                   UpdateRows(
                       database, session,
                       {std::move(ids), [](const JournalRow& row) { return row.task.state == TaskState::STATE_LEASED; },
                        [database, lease](JournalRow* row) { row->task.lease_expires = database->now() + lease; },
                        /*skip_locked=*/true}))
        .status();
  });
}

absl::Status SimJournal::RetryFailed(std::optional<int> table) {
  Database* const database = database_;
  return AsLeader([&](const SessionPtr& session) {
    std::vector<TaskId> ids;
    for (const JournalRow& row : database->VisibleRows(*session)) {
      if (!table.has_value() || row.task.table == *table) ids.push_back(row.task.id);
    }
    return Execute(session, UpdateRows(database, session,
                                       {std::move(ids),
                                        [](const JournalRow& row) { return row.task.state == TaskState::STATE_FAILED; },
                                        [](JournalRow* row) {
                                          row->task.state = TaskState::STATE_PENDING;
                                          row->task.failures = 0;
                                          row->task.worker.clear();
                                        }}))
        .status();
  });
}

absl::Status SimJournal::MarkSnapshotReleased() {
  return AsLeader([&](const SessionPtr& session) {
    return Execute(session,
                   [session]() -> absl::StatusOr<int64_t> {
                     session->releases_snapshot = true;
                     return 1;
                   })
        .status();
  });
}

absl::Status SimJournal::Finish() {
  return AsLeader([&](const SessionPtr& session) {
    return Execute(session,
                   [session]() -> absl::StatusOr<int64_t> {
                     session->finishes = true;
                     return 1;
                   })
        .status();
  });
}

TaskRow SimJournal::ToTaskRow(const JournalRow& row) const {
  TaskRow result;
  result.task = row.task;
  result.task.lease_expires = clock_->Now() + (row.task.lease_expires - database_->now());
  result.sqlstate = row.sqlstate;
  if (row.task.state == TaskState::STATE_DONE) {
    // Quick, so that everybody is somebody to hand a range over to.
    result.task.bytes = row.task.estimated_bytes;
    result.finished_at = clock_->Now();
    result.started_at = result.finished_at - absl::Milliseconds(300);
  }
  if (database_->weakness() == Weakness::kGatesForgotten) result.task.gates.clear();
  return result;
}

absl::StatusOr<std::vector<TaskRow>> SimJournal::LoadAllTasks() {
  std::vector<TaskId> ids;
  HS_ASSIGN_OR_RETURN(const SessionPtr session, Session());
  for (const JournalRow& row : database_->VisibleRows(*session)) ids.push_back(row.task.id);
  return LoadTasks(ids);
}

absl::StatusOr<std::vector<TaskRow>> SimJournal::LoadTasks(const std::vector<TaskId>& ids) {
  HS_ASSIGN_OR_RETURN(const SessionPtr session, Session());
  Database* const database = database_;
  const auto rows = std::make_shared<std::vector<JournalRow>>();
  HS_RETURN_IF_ERROR(Execute(session, [database, session, ids, rows]() -> absl::StatusOr<int64_t> {
                       for (const TaskId id : ids) rows->push_back(database->Visible(*session, id));
                       return static_cast<int64_t>(rows->size());
                     }).status());
  std::vector<TaskRow> result;
  for (const JournalRow& row : *rows) result.push_back(ToTaskRow(row));
  return result;
}

absl::Status SimJournal::TerminateSessions(const std::vector<TaskId>& ids) {
  return AsLeader([&](const SessionPtr& session) { return Execute(session, Terminate(session, ids)).status(); });
}

Statement SimJournal::Terminate(const SessionPtr& session, const std::vector<TaskId>& ids) const {
  Database* const database = database_;
  return [database, session, ids]() -> absl::StatusOr<int64_t> {
    for (const TaskId id : ids) database->Terminate(database->Visible(*session, id).session);
    return 1;
  };
}

Statement SimJournal::Change(const SessionPtr& session, const TaskChange& change) const {
  const bool unchecked = database_->weakness() == Weakness::kChangeUnchecked;
  const bool forgotten = database_->weakness() == Weakness::kFailuresForgotten;
  return UpdateRows(database_, session,
                    {{change.id},
                     [=](const JournalRow& row) {
                       return unchecked ||
                              (row.task.attempt == change.attempt && row.task.state == TaskState::STATE_LEASED);
                     },
                     [=](JournalRow* row) {
                       row->task.state = change.to;
                       row->task.failures = forgotten ? 0 : change.failures;
                       row->task.error = change.error;
                       row->sqlstate = change.sqlstate;
                       row->task.worker.clear();
                     }});
}

absl::StatusOr<AppliedBatch> SimJournal::Apply(const JournalBatch& batch, absl::Duration lease) {
  AppliedBatch applied;
  Database* const database = database_;
  HS_RETURN_IF_ERROR(AsLeader([&](const SessionPtr& session) -> absl::Status {
    std::vector<TaskId> ended;
    for (const TaskChange& change : batch.changes) {
      HS_ASSIGN_OR_RETURN(const int64_t changed, Execute(session, Change(session, change)));
      applied.changed += static_cast<size_t>(changed);
      ended.push_back(change.id);
    }
    if (!ended.empty()) HS_RETURN_IF_ERROR(Execute(session, Terminate(session, ended)).status());
    if (!batch.renewals.empty()) {
      std::map<TaskId, int> attempts(batch.renewals.begin(), batch.renewals.end());
      std::vector<TaskId> ids;
      for (const auto& [id, attempt] : attempts) ids.push_back(id);
      HS_RETURN_IF_ERROR(Execute(session, UpdateRows(database, session,
                                                     {ids,
                                                      [attempts](const JournalRow& row) {
                                                        return row.task.attempt == attempts.at(row.task.id) &&
                                                               row.task.state == TaskState::STATE_LEASED;
                                                      },
                                                      [database, lease](JournalRow* row) {
                                                        row->task.lease_expires = database->now() + lease;
                                                      },
                                                      /*skip_locked=*/true}))
                             .status());
    }
    if (batch.leases.empty()) return absl::OkStatus();
    const auto leased = std::make_shared<std::vector<Leased>>();
    std::map<TaskId, LeaseRequest> requests;
    std::vector<TaskId> ids;
    for (const LeaseRequest& request : batch.leases) {
      requests[request.id] = request;
      ids.push_back(request.id);
    }
    const bool unchecked = database->weakness() == Weakness::kLeaseUnchecked;
    HS_RETURN_IF_ERROR(Execute(session, UpdateRows(database, session,
                                                   {ids,
                                                    [requests, unchecked](const JournalRow& row) {
                                                      return unchecked ||
                                                             (row.task.attempt == requests.at(row.task.id).attempt &&
                                                              row.task.state == TaskState::STATE_PENDING);
                                                    },
                                                    [requests, leased, database, lease](JournalRow* row) {
                                                      row->task.state = TaskState::STATE_LEASED;
                                                      ++row->task.attempt;
                                                      row->task.worker = requests.at(row->task.id).worker;
                                                      row->task.lease_expires = database->now() + lease;
                                                      row->session = 0;
                                                      leased->push_back({row->task.id, row->task.attempt, "", {}});
                                                    }}))
                           .status());
    applied.leased = *leased;
    return absl::OkStatus();
  }));
  for (const TaskChange& change : batch.changes) {
    hand_overs_ += std::count_if(applied.leased.begin(), applied.leased.end(),
                                 [&change](const Leased& leased) { return leased.id == change.id; });
  }
  return applied;
}

}  // namespace hypershift::simulation
