// The journal on the target: everything the coordinator writes down and reads back.
//
// Owns one session to the target and opens it again after a loss, when it also sees to it that the lost one ends. One
// thread at a time. Every write locks the leader's row and checks the epoch in the same transaction: after a take-over
// each write fails with kAborted, and the caller must stop. Nothing here holds a transaction open while it waits for
// anything else.
#ifndef HYPERSHIFT_COORDINATOR_JOURNAL_H_
#define HYPERSHIFT_COORDINATOR_JOURNAL_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/connection_string.h"
#include "common/pg_session.h"
#include "coordinator/journal_rows.h"
#include "coordinator/plan.h"
#include "coordinator/scheduler.h"
#include "coordinator/steering.h"
#include "coordinator/turn.h"

namespace hypershift {

enum class JournalPhase { kSchema, kHypertables, kPlan, kRun, kDone };

struct MigrationRecord {
  std::string id;
  int journal_version = 0;
  JournalPhase phase = JournalPhase::kSchema;
  std::string program_version;
  std::string source;
  std::string target;
  std::string system_identifier;
  int64_t timeline = 0;
  Oid database_oid = 0;
  std::string config;
  v1::Snapshot snapshot;
  absl::Time snapshot_taken_at = absl::InfiniteFuture();
  bool snapshot_released = false;
  int64_t source_now_microseconds = 0;
  std::vector<std::string> warnings;
  std::vector<std::string> left_out;
  absl::Time created_at;
  absl::Time finished_at;
  Steering steering;
};

struct LeaderInfo {
  std::string holder;
  absl::Duration expires_in;  // By the target's clock; negative: nobody leads.
};

// Whether a write failed because another coordinator leads now. A server's own kAborted (a deadlock, a lock that was
// not to be had) says nothing about the lead.
bool IsDeposed(const absl::Status& status);

// Renews the lead of this epoch from any session; does nothing to another one's.
absl::Status RenewLead(PgSession* session, int64_t epoch, absl::Duration leader_lease);

class Journal final : public TurnJournal {
 public:
  explicit Journal(ConnectionString target);

  // Reading what is there; nothing is created. kNotFound: no journal, or no such migration.
  absl::StatusOr<std::optional<MigrationRecord>> FindUnfinished();
  absl::StatusOr<std::optional<MigrationRecord>> FindLatest();

  // Creates the tables and the migration's row and takes the lead, in one transaction.
  absl::Status Begin(const MigrationRecord& record, const std::string& holder, const std::string& address,
                     absl::Duration leader_lease);
  // Takes the lead of what is there. kUnavailable: somebody else leads; the message says who and for how long.
  absl::Status TakeLead(const std::string& holder, const std::string& address, absl::Duration leader_lease);
  // Who leads, without waiting for a lock. Nullopt: nobody ever has.
  absl::StatusOr<std::optional<LeaderInfo>> FindLeader();
  // Whether this journal has taken the lead; it may have lost it since.
  bool leads() const { return epoch_ > 0; }
  absl::Status RenewLead();
  // Of the lead that was taken last.
  int64_t epoch() const { return epoch_; }
  // Lets others take the lead at once.
  absl::Status GiveUpLead();

  absl::Status StoreArchive(const std::string& id, const std::string& archive);
  absl::StatusOr<std::string> LoadArchive(const std::string& id);
  // Runs statements and sets the phase in one transaction.
  absl::Status Advance(const std::string& id, JournalPhase phase, const std::vector<std::string>& statements);
  // Makes a plan, its tasks into the sink, which writes them at once: inside the transaction, so with no wait for
  // anything else. What the plan holds on return is written too.
  using PlanMaker = std::function<absl::StatusOr<Plan>(const TaskSink&)>;
  absl::Status WritePlan(const std::string& id, const PlanMaker& make, JournalPhase phase);
  // Runs `statements`, removes what loads and verifies these tables (chunks, copies, compression, verification), and
  // adds the plan's tasks and barriers, in one transaction.
  absl::Status ReplaceLoad(const std::string& id, const std::vector<int>& tables,
                           const std::vector<std::string>& statements, const PlanMaker& make);
  // Removes all verifications and adds the tasks that `plan` hands to the sink while it reads the copies, as often as
  // it likes.
  using CopyReader = std::function<absl::Status(const std::function<void(const PlannedTask& copy)>&)>;
  absl::Status ReplaceVerifications(const std::string& id,
                                    const std::function<absl::Status(const CopyReader&, const TaskSink&)>& plan);
  absl::Status StoreSnapshot(const std::string& id, const v1::Snapshot& snapshot);
  absl::Status StoreReport(const std::string& id, const std::vector<std::string>& warnings,
                           const std::vector<std::string>& left_out);
  absl::Status RecordWorker(const std::string& id, const std::string& name, const std::string& zone, int slots,
                            const std::string& version);
  absl::Status MarkSnapshotReleased(const std::string& id);
  absl::Status Finish(const std::string& id);
  // A cancelled migration needs its snapshot no more: that stands there with it.
  absl::Status StoreSteering(const std::string& id, const Steering& steering);
  // Takes every lease back, so that no attempt can commit any more.
  absl::Status RevokeLeases(const std::string& id);

  absl::StatusOr<std::vector<TablePlan>> LoadTables(const std::string& id);
  absl::StatusOr<std::vector<Barrier>> LoadBarriers(const std::string& id);
  // All tasks, one after the other in the order of their ids, as of one moment: however many there are, few are in
  // memory. No I/O in `visit`. An error of its ends the reading and is returned.
  absl::Status ForEachTask(const std::string& id, const std::function<absl::Status(TaskRow)>& visit);
  absl::StatusOr<std::vector<TaskRow>> LoadTasks(const std::vector<TaskId>& ids) override;
  absl::StatusOr<int64_t> CountTasks(const std::string& id);
  absl::StatusOr<bool> HasTasks(const std::string& id, TaskKind::Kind kind);
  absl::StatusOr<TaskId> MaxTaskId();
  absl::StatusOr<BarrierId> MaxBarrierId(const std::string& id);

  // In one transaction, which also renews the lead.
  absl::StatusOr<AppliedBatch> Apply(const JournalBatch& batch, absl::Duration lease) override;
  // Extends every lease by one duration, but for those of rows that somebody has locked: what a successor does first.
  absl::Status ExtendLeases(const std::string& id, absl::Duration lease);
  // Terminates the target sessions of these tasks' last attempts, as far as the journal knows them and they live.
  // Only a leader may: a deposed one would hit its successor's attempts.
  absl::Status TerminateSessions(const std::vector<TaskId>& ids) override;
  // All failed tasks, or those of one table, become pending.
  absl::Status RetryFailed(const std::string& id, std::optional<int> table = std::nullopt);

  // Drops the schema. kFailedPrecondition: a coordinator leads, unless `force`.
  absl::Status Drop(bool force);

  // The session, for statements on the target that are the coordinator's own.
  absl::StatusOr<PgSession*> Session();

 private:
  using Body = std::function<absl::Status(pqxx::work&)>;
  // As the server knows it.
  struct OwnSession {
    int pid = 0;  // 0 = unknown.
    std::string start;
  };

  // A transaction; `what` is its name for failpoints (common/failpoint.h).
  absl::Status Write(absl::string_view what, const Body& body);
  // Renews the lead and locks its row until the transaction's end. kAborted: another coordinator has taken it.
  absl::Status LockLead(pqxx::work& work) const;
  // A transaction that does so first.
  absl::Status AsLeader(absl::string_view what, const Body& body);
  // For a body that may take longer than a lease. The row is locked and the epoch checked at its end, so that a
  // LeadKeeper can renew the lead meanwhile; from the beginning the transaction can be recognised as a leader's.
  absl::Status AsLeaderAtLength(absl::string_view what, const Body& body);
  absl::StatusOr<std::optional<MigrationRecord>> FindWhere(const std::string& condition);

  ConnectionString target_;
  std::unique_ptr<PgSession> session_;
  OwnSession own_session_;
  int64_t epoch_ = 0;
  std::string holder_;
  absl::Duration leader_lease_ = absl::Seconds(10);
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_JOURNAL_H_
