// A migration as the coordinator holds it in memory: what the run loop decides on, what workers report, what status
// shows.
//
// A monitor: every public method may be called from any thread. The run loop is the only one that changes tasks; RPC
// handlers leave reports for it and wait for what it hands out. Everything here can be rebuilt from the journal.
#ifndef HYPERSHIFT_COORDINATOR_MIGRATION_STATE_H_
#define HYPERSHIFT_COORDINATOR_MIGRATION_STATE_H_

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "coordinator/bottleneck.h"
#include "coordinator/byte_rate.h"
#include "coordinator/dispatcher.h"
#include "coordinator/hand_over.h"
#include "coordinator/journal_rows.h"
#include "coordinator/plan.h"
#include "coordinator/scheduler.h"
#include "coordinator/steering.h"
#include "coordinator/task_details.h"
#include "hypershift/v1/migration.pb.h"
#include "hypershift/v1/worker.pb.h"

namespace hypershift {

struct StateTimes {
  absl::Duration lease_duration = absl::Seconds(20);
  absl::Duration heartbeat_interval = absl::Seconds(2);
  absl::Duration keeper_grace = absl::Minutes(15);
};

// What the RPC handlers have collected since the run loop last looked.
struct Reports {
  std::vector<TaskId> completed;
  std::vector<FailureReport> failed;
  std::vector<v1::RegisterRequest> registered;
  std::set<int> retried;  // Tables whose failed tasks somebody wants to be tried again.
};

// What the migration is to be steered by, when it stands in the journal.
struct WishedSteering {
  Steering steering;
  int64_t number = 0;
};

class MigrationState {
 public:
  explicit MigrationState(StateTimes times, const Clock* clock = SystemClock::Get()) : times_(times), clock_(clock) {}

  // --- the run loop and what comes before it ---
  void SetMigration(const v1::MigrationInfo& info);
  void SetPhase(v1::MigrationPhase::Phase phase, const std::string& status_line);
  void SetReport(const std::vector<std::string>& warnings, const std::vector<std::string>& left_out);
  void SetError(const std::string& error);
  // While it stands by, or when another has taken the lead, workers are sent away with UNAVAILABLE.
  void SetStandby(bool standby);
  // Why nothing moves, as far as the run loop knows; empty: all is well.
  void SetTrouble(const std::string& trouble);
  // Whom sessions wait for, and how far the snapshot holds back vacuum on the source.
  void SetWaits(const std::vector<std::string>& waits);
  void SetSnapshotXminAge(int64_t transactions);
  void LoadPlan(std::vector<TablePlan> tables, TaskDetails details, Scheduler scheduler);
  // Waits for a report, or until the time is over.
  Reports TakeReports(absl::Duration wait);
  void Wake();
  // Runs `body` with the scheduler under the lock. No I/O in it.
  void WithScheduler(const std::function<void(Scheduler&)>& body);
  // What the journal says of a task that has just been done.
  void RecordDone(const TaskRow& row);
  // The fastest first.
  std::vector<FreeWorker> FreeWorkers(absl::Time now);
  // Ranges that somebody with nothing to do would copy sooner than who has them.
  std::vector<HandOver> FindHandOvers(absl::Time now);
  // By the application's name of the sessions.
  void AddCopySessions(const std::map<std::string, CopySessions>& by_session);
  // Workers whose own connection strings lead elsewhere are refused from now on.
  void SetServers(const v1::ServerIdentity& source, const v1::ServerIdentity& target);
  // Gives leased tasks to the worker's next Synchronize.
  void HandOut(const std::string& worker, const std::vector<v1::LeasedTask>& tasks);
  // Tasks that workers reported as running since the last call: their leases are renewed.
  std::vector<std::pair<TaskId, int>> TakeRenewals(absl::Time now);
  void SetSnapshot(const std::optional<v1::Snapshot>& snapshot);
  void SetSnapshotTime(absl::Time taken_at, bool released);
  // A snapshot that some worker's keeper says it holds and that equals `expected` but for the id.
  std::optional<v1::Snapshot> FindKeeperSnapshot(const v1::Snapshot& expected, absl::Time now);
  void ReleaseSnapshot();
  void RevokeEverything();
  // From now on workers are told to finish; keepers only when the snapshot is of no more use.
  void Finish(bool keepers_too);
  // Waits until every connected worker that has to end was told so, or the time is over.
  void WaitUntilTold(absl::Duration timeout);
  // What the journal says of pause, limits and cancellation. Until it is known nothing can be asked for.
  void SetSteering(const Steering& steering);
  // Nothing can be: `why` is for whoever tries.
  void ForbidSteering(const std::string& why);
  // What somebody wishes that is not in the journal yet; it takes effect by SteeringWritten.
  std::optional<WishedSteering> FindWishedSteering();
  void SteeringWritten(const WishedSteering& written);
  Steering steering();
  // Why nothing is leased by what was measured of the servers, empty: nothing holds; and what could not be measured.
  void SetThrottle(const std::string& reason, const std::vector<std::string>& warnings);
  bool throttled();
  void RequestStop(bool at_once);
  bool stop_requested();
  bool stop_at_once();

  // --- RPC handlers ---
  absl::StatusOr<v1::RegisterResponse> Register(const v1::RegisterRequest& request);
  absl::StatusOr<v1::SynchronizeResponse> Synchronize(const v1::SynchronizeRequest& request,
                                                      const std::function<bool()>& cancelled);
  // kAborted: this attempt is not leased to this worker, so that it has nothing to say of it. kNotFound: register
  // first.
  absl::Status Complete(const v1::CompleteRequest& request);
  absl::Status Fail(const v1::FailRequest& request);

  v1::MigrationInfo GetMigration();
  std::vector<v1::TableInfo> ListTables();
  // Of one table (empty = all) in one state (unspecified = all), ids greater than `after`, at most `limit`.
  std::vector<v1::TaskInfo> ListTasks(const std::string& table, TaskState::State state, TaskId after, int limit);
  std::vector<v1::WorkerInfo> ListWorkers();
  // How many steps will be tried again.
  absl::StatusOr<int64_t> RetryTable(const std::string& table);
  // Waits until the wish stands in the journal, for some seconds at most. kUnknown: it does not yet.
  absl::StatusOr<Steering> Steer(const SteeringWish& wish);
  // The tasks that it still runs.
  absl::StatusOr<int> DrainWorker(const std::string& name);
  bool ended();

 private:
  struct Worker {
    std::string zone;
    int slots = 0;
    std::string version;
    int process_id = 0;
    absl::Time last_seen;
    std::optional<v1::Snapshot> keeper_snapshot;
    std::deque<v1::LeasedTask> outbox;
    bool draining = false;
    bool told_to_finish = false;
    bool drain = false;  // Somebody asked for its end.
    int64_t told_bytes_per_second = 0;
    absl::Time told_at = absl::InfinitePast();
    v1::Measurements measurements;
    std::optional<v1::ServerIdentity> source;
    std::optional<v1::ServerIdentity> target;
  };
  // Who says that they run which attempt.
  struct Holding {
    TaskId id = 0;
    int attempt = 0;
    std::string worker;
    auto operator<=>(const Holding&) const = default;  // NOLINT(modernize-use-nullptr)
  };

  bool Connected(const Worker& worker, absl::Time now) const;
  absl::Status CheckServers(const std::string& name, const Worker& worker) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddSpeed(const TaskRow& row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double SlotSpeed(const std::string& worker) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsLimited(int64_t rate, int64_t limit) const;
  v1::Bottleneck::Part BottleneckOf(const std::string& worker, absl::Time now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::Bottleneck::Part BottleneckOfAll(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the plan has leased this attempt to this worker; as long as there is no plan, whether it may be so.
  bool MayHold(const Holding& holding) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckReport(const Holding& holding) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MustFinish(const Worker& worker) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int LeasedTo(const std::string& worker) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RecordRunning(const std::string& worker, const google::protobuf::RepeatedPtrField<v1::RunningTask>& running,
                     v1::SynchronizeResponse* response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool FillResponse(const v1::SynchronizeRequest& request, Worker* worker, v1::SynchronizeResponse* response)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::TaskInfo ToTaskInfo(const Task& task) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string WaitsFor(const Task& task) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::map<int, v1::TableInfo> BuildTables() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void JudgeTables(std::map<int, v1::TableInfo>* tables) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string LatestError() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string StatusLine(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  bool TellShare(const std::string& name, Worker* worker, v1::SynchronizeResponse* response)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HoldsSnapshot(const Worker& worker) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string PausedLine() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string ThrottledBy(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t BytesPerSecond(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  bool HasEnded() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const StateTimes times_;
  const Clock* const clock_;
  Mutex mutex_;
  CondVar reported_;  // The run loop waits for it.
  CondVar news_;      // Parked Synchronize calls wait for it.

  v1::MigrationInfo info_ ABSL_GUARDED_BY(mutex_);
  bool standby_ ABSL_GUARDED_BY(mutex_) = false;
  std::string trouble_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> waits_ ABSL_GUARDED_BY(mutex_);
  int64_t snapshot_xmin_age_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<Scheduler> scheduler_ ABSL_GUARDED_BY(mutex_);
  TaskDetails details_ ABSL_GUARDED_BY(mutex_);
  std::map<int, TablePlan> tables_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Worker> workers_ ABSL_GUARDED_BY(mutex_);
  Reports reports_ ABSL_GUARDED_BY(mutex_);
  std::set<Holding> renewals_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::Snapshot> snapshot_ ABSL_GUARDED_BY(mutex_);
  absl::Time snapshot_taken_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  bool snapshot_released_ ABSL_GUARDED_BY(mutex_) = false;
  bool revoke_everything_ ABSL_GUARDED_BY(mutex_) = false;
  bool finish_ ABSL_GUARDED_BY(mutex_) = false;
  bool finish_keepers_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<Steering> steering_ ABSL_GUARDED_BY(mutex_);
  std::string unsteerable_ ABSL_GUARDED_BY(mutex_);
  SteeringWish wish_ ABSL_GUARDED_BY(mutex_);
  int64_t wished_ ABSL_GUARDED_BY(mutex_) = 0;          // Wishes so far.
  int64_t wishes_written_ ABSL_GUARDED_BY(mutex_) = 0;  // That stand in the journal.
  std::string throttle_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> throttle_warnings_ ABSL_GUARDED_BY(mutex_);
  // By worker, whether it registers again or not.
  std::map<std::string, ByteRate> rates_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, double> slot_speeds_ ABSL_GUARDED_BY(mutex_);  // Bytes per second of its copies, one by one.
  std::map<std::string, CopyLooks> copy_looks_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::ServerIdentity> source_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::ServerIdentity> target_ ABSL_GUARDED_BY(mutex_);
  bool stop_requested_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_at_once_ ABSL_GUARDED_BY(mutex_) = false;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_MIGRATION_STATE_H_
