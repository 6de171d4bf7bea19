#include "tests/simulation/database.h"

#include <algorithm>
#include <utility>

#include "common/pg_status.h"

namespace hypershift::simulation {
namespace {

constexpr absl::Duration kLockTimeout = absl::Seconds(30);
constexpr absl::Duration kLockPoll = absl::Milliseconds(100);
constexpr absl::Duration kLateTermination = absl::Seconds(20);
// Until the server's keepalives give a silent client up.
constexpr absl::Duration kSilence = absl::Seconds(30);

absl::Status ConnectionLost() { return PgErrorStatus("", ""); }

bool Conflict(LockMode a, LockMode b) {
  if (a == LockMode::kExclusive || b == LockMode::kExclusive) return true;
  return a != b;
}

}  // namespace

Database::Database(World* world, const Faults* faults, Oracle* oracle, const SimulatedPlan& plan, Weakness weakness)
    : world_(world), faults_(*faults), oracle_(oracle), weakness_(weakness) {
  for (const auto& [id, task] : plan.tasks) tasks_[id].committed.task = task;
}

absl::Duration Database::Delay() {
  return world_->random().Between(absl::Microseconds(200), faults_.longest_statement_delay);
}

bool Database::IsCutOff(const Process* client) const {
  const auto found = cut_off_until_.find(client);
  return found != cut_off_until_.end() && found->second > now();
}

absl::StatusOr<SessionPtr> Database::Connect(Process* client) {
  client->Sleep(Delay());
  if (IsCutOff(client)) {
    client->Sleep(absl::Seconds(5));
    return ConnectionLost();
  }
  if (now() < down_until_ || world_->random().Chance(faults_.connect_fails)) return ConnectionLost();
  auto session = std::make_shared<Session>();
  session->id = ++last_session_;
  session->client = client;
  sessions_.push_back(session);
  return session;
}

absl::StatusOr<int64_t> Database::Execute(Process* client, const SessionPtr& session, Statement statement) {
  if (!session->client_open) return ConnectionLost();
  Random& random = world_->random();
  const auto reply = std::make_shared<Answer<absl::StatusOr<int64_t>>>();
  if (IsCutOff(client) || random.Chance(faults_.statement_lost)) {
    const bool lingering = IsCutOff(client) || random.Chance(faults_.session_lingers);
    session->client_open = false;
    CloseLater(session, lingering);
    Deliver(world_, reply, lingering ? random.Between(absl::Seconds(1), kSilence) : Delay(),
            absl::StatusOr<int64_t>(ConnectionLost()));
  } else {
    const bool lose_answer = random.Chance(faults_.statement_answer_lost);
    world_->At(Delay(), [this, session, statement = std::move(statement), lose_answer, reply] {
      Serve(session, statement, now() + kLockTimeout, lose_answer, reply);
    });
  }
  absl::StatusOr<int64_t> result = *client->Await(reply, absl::InfiniteDuration());
  if (absl::IsUnavailable(result.status())) session->client_open = false;
  return result;
}

void Database::Serve(const SessionPtr& session, const Statement& statement, absl::Time deadline, bool lose_answer,
                     const Reply& reply) {
  if (!session->server_open) {
    Deliver(world_, reply, Delay(), absl::StatusOr<int64_t>(PgErrorStatus("terminating connection", "57P01")));
    return;
  }
  std::optional<absl::StatusOr<int64_t>> result = statement();
  if (!result.has_value()) {
    if (now() < deadline) {
      world_->At(kLockPoll, [this, session, statement, deadline, lose_answer, reply] {
        Serve(session, statement, deadline, lose_answer, reply);
      });
      return;
    }
    result = PgErrorStatus("canceling statement due to lock timeout", "55P03");
  }
  if (!result->ok()) {
    RollBack(session.get());
  } else if (!session->in_transaction) {
    CommitNow(session.get());
  }
  if (lose_answer) {
    const bool lingering = world_->random().Chance(faults_.session_lingers);
    CloseLater(session, lingering);
    result = ConnectionLost();
    Deliver(world_, reply, lingering ? world_->random().Between(absl::Seconds(1), kSilence) : Delay(), *result);
    return;
  }
  Deliver(world_, reply, Delay(), *std::move(result));
}

absl::Status Database::Begin(Process* client, const SessionPtr& session, const Author& author) {
  return Execute(client, session,
                 [this, session, author]() -> absl::StatusOr<int64_t> {
                   session->in_transaction = true;
                   session->transaction_began = now();
                   session->author = author;
                   return 0;
                 })
      .status();
}

absl::Status Database::Commit(Process* client, const SessionPtr& session) {
  return Execute(client, session,
                 [this, session]() -> absl::StatusOr<int64_t> {
                   CommitNow(session.get());
                   return 0;
                 })
      .status();
}

const JournalRow& Database::Visible(const Session& session, TaskId id) const {
  const TaskEntry& entry = tasks_.at(id);
  return entry.owner == &session ? entry.staged : entry.committed;
}

std::vector<JournalRow> Database::VisibleRows(const Session& session) const {
  std::vector<JournalRow> rows;
  rows.reserve(tasks_.size());
  for (const auto& [id, entry] : tasks_) rows.push_back(Visible(session, id));
  return rows;
}

UpdateResult Database::Update(Session* session, TaskId id, const std::function<bool(const JournalRow&)>& where,
                              const std::function<void(JournalRow*)>& set) {
  TaskEntry& entry = tasks_.at(id);
  if (!where(Visible(*session, id))) return UpdateResult::kMissed;
  if (entry.owner != nullptr && entry.owner != session) return UpdateResult::kBlocked;
  if (entry.owner == nullptr) {
    entry.owner = session;
    entry.staged = entry.committed;
    session->locked_rows.push_back(id);
  }
  set(&entry.staged);
  return UpdateResult::kHit;
}

UpdateResult Database::UpdateLeader(Session* session, const std::function<bool(const LeaderRow&)>& where,
                                    const std::function<void(LeaderRow*)>& set) {
  session->at_leader = session->in_transaction;
  if (!where(leader_owner_ == session ? staged_leader_ : leader_)) return UpdateResult::kMissed;
  if (leader_owner_ != nullptr && leader_owner_ != session) return UpdateResult::kBlocked;
  if (leader_owner_ == nullptr) {
    leader_owner_ = session;
    staged_leader_ = leader_;
  }
  set(&staged_leader_);
  return UpdateResult::kHit;
}

bool Database::LockTable(Session* session, int table, LockMode mode) {
  for (const SessionPtr& other : sessions_) {
    if (other.get() == session) continue;
    const auto held = other->locked_tables.find(table);
    if (held != other->locked_tables.end() && Conflict(held->second, mode)) return false;
  }
  session->locked_tables[table] = mode;
  return true;
}

void Database::CommitNow(Session* session) {
  std::vector<RowChange> changes;
  for (const TaskId id : session->locked_rows) {
    TaskEntry& entry = tasks_.at(id);
    changes.push_back({entry.committed, entry.staged});
    world_->Trace("db: task ", id, ": ", TaskStateName(entry.committed.task.state), " ", entry.committed.task.attempt,
                  " -> ", TaskStateName(entry.staged.task.state), " ", entry.staged.task.attempt, " by epoch ",
                  session->author.epoch, session->author.worker, ", session ", entry.staged.session);
    entry.committed = entry.staged;
    entry.owner = nullptr;
  }
  const LeaderRow leader_before = leader_;
  if (leader_owner_ == session) {
    leader_ = staged_leader_;
    leader_owner_ = nullptr;
  }
  if (session->releases_snapshot) oracle_->OnSnapshotReleased();
  if (session->finishes) oracle_->OnFinished();
  snapshot_released_ = snapshot_released_ || session->releases_snapshot;
  finished_ = finished_ || session->finishes;
  const std::vector<TaskId> effects = std::exchange(session->effects, {});
  session->locked_rows.clear();
  oracle_->OnCommit(now(), session->author, changes, effects, leader_before, leader_);
  for (const RowChange& change : changes) {
    if (change.after.session != session->id || change.before.session == session->id) continue;
    for (const SessionPtr& other : sessions_) {
      if (other.get() == session || other->terminated || !other->in_transaction ||
          other->author.task != change.after.task.id)
        continue;
      oracle_->Violated("attempt ", change.after.task.attempt, " of task ", change.after.task.id,
                        " is claimed while a ", "transaction of attempt ", other->author.attempt, " is still open");
    }
  }
  RollBack(session);  // Nothing is left but the locks.
}

void Database::RollBack(Session* session) {
  for (const TaskId id : session->locked_rows) tasks_.at(id).owner = nullptr;
  if (leader_owner_ == session) leader_owner_ = nullptr;
  session->locked_rows.clear();
  session->locked_tables.clear();
  session->effects.clear();
  session->releases_snapshot = session->finishes = false;
  session->in_transaction = false;
  session->at_leader = false;
  session->author = Author();
}

void Database::Close(Session* session) {
  if (!session->server_open) return;
  RollBack(session);
  session->server_open = false;
  sessions_.erase(std::find_if(sessions_.begin(), sessions_.end(),
                               [session](const SessionPtr& other) { return other.get() == session; }));
}

void Database::CloseLater(const SessionPtr& session, bool lingering) {
  const absl::Duration delay = lingering ? world_->random().Between(absl::Seconds(10), absl::Hours(2)) : Delay();
  world_->At(delay, [this, session] { Close(session.get()); });
}

void Database::Terminate(int64_t session_id) {
  if (weakness_ == Weakness::kSessionsKept) return;
  const auto found = std::find_if(sessions_.begin(), sessions_.end(),
                                  [session_id](const SessionPtr& session) { return session->id == session_id; });
  if (found == sessions_.end()) return;
  const SessionPtr session = *found;
  session->terminated = true;
  const bool late = world_->random().Chance(faults_.termination_late);
  world_->Trace("db: session ", session_id, late ? " will be terminated" : " is terminated");
  if (late) {
    world_->At(world_->random().Between(absl::ZeroDuration(), kLateTermination),
               [this, session] { Close(session.get()); });
  } else {
    Close(session.get());
  }
}

void Database::TerminateDeposed(const Session& except, absl::Duration leader_lease) {
  if (weakness_ == Weakness::kSessionsKept || leader_.expires > now()) return;
  for (const SessionPtr& session : std::vector<SessionPtr>(sessions_)) {
    if (session.get() == &except || !session->at_leader) continue;
    if (session->transaction_began < std::max(leader_.expires, now() - leader_lease)) Terminate(session->id);
  }
}

void Database::Restart(absl::Duration downtime) {
  world_->Trace("db: restarts");
  for (const SessionPtr& session : std::vector<SessionPtr>(sessions_)) Close(session.get());
  down_until_ = now() + downtime;
}

void Database::CutOff(Process* client, absl::Duration duration) { cut_off_until_[client] = now() + duration; }

void Database::ClientGone(Process* client, bool lingering) {
  for (const SessionPtr& session : std::vector<SessionPtr>(sessions_)) {
    if (session->client == client) CloseLater(session, lingering);
  }
}

void Database::Disconnect(const SessionPtr& session) {
  session->client_open = false;
  CloseLater(session, /*lingering=*/false);
}

void Database::Heal() {
  down_until_ = absl::InfinitePast();
  cut_off_until_.clear();
}

}  // namespace hypershift::simulation
