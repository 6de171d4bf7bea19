// The target server as the simulation has it: sessions, transactions, row and table locks, and the journal's rows with
// what the product's SQL demands of them. Read committed, as the product runs.
//
// It answers late, loses connections before and after a statement took effect, and may keep the session of a client
// that is long gone. Every commit passes by the oracle.
#ifndef HYPERSHIFT_TESTS_SIMULATION_DATABASE_H_
#define HYPERSHIFT_TESTS_SIMULATION_DATABASE_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/scheduler.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/oracle.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/rows.h"
#include "tests/simulation/world.h"

namespace hypershift::simulation {

// What a weakened journal leaves out: the oracle must notice each.
enum class Weakness {
  kNone,
  kFinishUnchecked,    // A worker commits without its attempt being the current one.
  kEffectUnfenced,     // The effect commits before the journal's entry, not with it.
  kEpochUnchecked,     // A coordinator writes without asking whether it leads.
  kEpochUnlocked,      // It asks, but does not lock the row.
  kLeadTakenEarly,     // A lead is taken without waiting for its expiry.
  kLeaseUnchecked,     // A lease is written whatever the row says, …
  kChangeUnchecked,    // … and so is a lease's end.
  kGatesForgotten,     // The journal hands out tasks without what they wait for.
  kSessionsKept,       // Sessions are not terminated.
  kFailuresForgotten,  // Failures are not counted.
};

enum class LockMode { kRows, kShare, kExclusive };

// A session of the server; the client holds it by pointer.
struct Session {
  int64_t id = 0;
  bool client_open = true;  // What the client knows.
  bool server_open = true;
  bool terminated = false;  // Or about to be.
  Process* client = nullptr;
  bool in_transaction = false;
  absl::Time transaction_began;
  bool at_leader = false;  // Has touched the leader's row in this transaction: holds or wants its lock.
  std::vector<TaskId> locked_rows;
  std::map<int, LockMode> locked_tables;
  std::vector<TaskId> effects;  // To be committed, as the next two.
  bool releases_snapshot = false;
  bool finishes = false;
  Author author;
};
using SessionPtr = std::shared_ptr<Session>;

// What a statement does at the server, as often as it takes: nothing while it must wait for a lock, else how many rows
// it hit. It outlives the client that sent it, so it holds values only.
using Statement = std::function<std::optional<absl::StatusOr<int64_t>>()>;

enum class UpdateResult { kBlocked, kMissed, kHit };

class Database {
 public:
  // Nothing is owned.
  Database(World* world, const Faults* faults, Oracle* oracle, const SimulatedPlan& plan, Weakness weakness);

  // --- what clients call, in fibers ---
  // kUnavailable: the server is down or out of reach.
  absl::StatusOr<SessionPtr> Connect(Process* client);
  // Runs a statement, waiting for the answer. kUnavailable: the connection is lost, and the statement may have had its
  // effect. kAborted with an SQLSTATE: it waited too long for a lock; the transaction is rolled back.
  absl::StatusOr<int64_t> Execute(Process* client, const SessionPtr& session, Statement statement);
  absl::Status Begin(Process* client, const SessionPtr& session, const Author& author);
  absl::Status Commit(Process* client, const SessionPtr& session);

  // --- what statements do, at the server ---
  absl::Time now() const { return world_->now(); }
  Weakness weakness() const { return weakness_; }
  const JournalRow& Visible(const Session& session, TaskId id) const;
  std::vector<JournalRow> VisibleRows(const Session& session) const;
  UpdateResult Update(Session* session, TaskId id, const std::function<bool(const JournalRow&)>& where,
                      const std::function<void(JournalRow*)>& set);
  const LeaderRow& leader() const { return leader_; }
  UpdateResult UpdateLeader(Session* session, const std::function<bool(const LeaderRow&)>& where,
                            const std::function<void(LeaderRow*)>& set);
  // False: somebody's lock is in the way.
  bool LockTable(Session* session, int table, LockMode mode);
  void Terminate(int64_t session_id);
  // Ends the sessions that hold or want the leader's row in a transaction begun before the lead expired, or a lease
  // ago.
  void TerminateDeposed(const Session& except, absl::Duration leader_lease);
  void RollBack(Session* session);
  // The migration's own row.
  bool finished() const { return finished_; }
  bool snapshot_released() const { return snapshot_released_; }

  // --- faults ---
  void Restart(absl::Duration downtime);
  // The client's requests do not arrive from now on, for so long.
  void CutOff(Process* client, absl::Duration duration);
  // The client is gone. `lingering`: the server does not notice for a while.
  void ClientGone(Process* client, bool lingering);
  // A client closes its session.
  void Disconnect(const SessionPtr& session);
  // Connections are no longer cut; what was cut stays so.
  void Heal();

 private:
  struct TaskEntry {
    JournalRow committed;
    JournalRow staged;
    Session* owner = nullptr;
  };
  using Reply = std::shared_ptr<Answer<absl::StatusOr<int64_t>>>;

  void Serve(const SessionPtr& session, const Statement& statement, absl::Time deadline, bool lose_answer,
             const Reply& reply);
  void CommitNow(Session* session);
  void Close(Session* session);
  // Some time from now, or much later.
  void CloseLater(const SessionPtr& session, bool lingering);
  bool IsCutOff(const Process* client) const;
  absl::Duration Delay();

  World* const world_;
  const Faults& faults_;
  Oracle* const oracle_;
  const Weakness weakness_;
  std::map<TaskId, TaskEntry> tasks_;
  LeaderRow leader_;
  LeaderRow staged_leader_;
  Session* leader_owner_ = nullptr;
  bool finished_ = false;
  bool snapshot_released_ = false;
  int64_t last_session_ = 0;
  std::vector<SessionPtr> sessions_;  // Open at the server.
  absl::Time down_until_ = absl::InfinitePast();
  std::map<const Process*, absl::Time> cut_off_until_;
};

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_DATABASE_H_
