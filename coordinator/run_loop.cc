#include "coordinator/run_loop.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "coordinator/migration_setup.h"

namespace hypershift {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(500);
constexpr absl::Duration kSnapshotHeartbeat = absl::Seconds(10);
// How long the target may be away before the coordinator gives up; everything stays resumable.
constexpr absl::Duration kPatience = absl::Minutes(30);
constexpr int kLeasesPerTurn = 200;

absl::Duration RetryDelay(int failures) {
  return std::min(absl::Seconds(60), absl::Milliseconds(500) * (int64_t{1} << std::min(failures, 10)));
}

}  // namespace

RunLoop::RunLoop(const CoordinatorOptions& options, MigrationRecord record, std::unique_ptr<SnapshotHolder> holder,
                 MigrationState* state, Journal* journal)
    : options_(options), record_(std::move(record)), holder_(std::move(holder)), state_(state), journal_(journal) {
  snapshot_released_ = record_.snapshot_released || options_.verify_only;
}

absl::StatusOr<RunResult> RunLoop::Run() {
  while (true) {
    const absl::Status turn = Turn();
    if (turn.code() == absl::StatusCode::kAborted || turn.code() == absl::StatusCode::kFailedPrecondition) return turn;
    if (!turn.ok()) {
      HS_RETURN_IF_ERROR(RecoverFrom(turn));
      continue;
    }
    trouble_since_ = absl::InfiniteFuture();
    int64_t unfinished = 0;
    int64_t failed = 0;
    bool idle = false;
    int leased = 0;
    state_->WithScheduler([&](Scheduler& scheduler) {
      unfinished = scheduler.unfinished();
      failed = scheduler.failed();
      idle = scheduler.Idle();
      leased = scheduler.leased_count();
    });
    if (unfinished == 0) return EndFinished();
    if (state_->stop_requested() && (leased == 0 || state_->stop_at_once())) return EndStopped();
    if (idle && failed > 0) return EndWithFailures();
    if (idle) return absl::InternalError("no task can run and none has failed: the plan's barriers never open");
  }
}

bool RunLoop::MayRun(const Task& task) const {
  if (options_.verify_only) return task.kind == TaskKind::KIND_VERIFY;
  return task.kind != TaskKind::KIND_COPY || holder_ != nullptr;
}

absl::Status RunLoop::Turn() {
  Reports reports = state_->TakeReports(kTick);
  changes_.clear();
  leasing_ = !state_->stop_requested();
  for (const v1::RegisterRequest& worker : reports.registered) {
    HS_RETURN_IF_ERROR(
        journal_->RecordWorker(record_.id, worker.name(), worker.zone(), worker.slots(), worker.version()));
  }
  HS_RETURN_IF_ERROR(TakeInDone(std::move(reports.completed), reports.failed));
  Journal::Batch batch;
  HS_RETURN_IF_ERROR(TakeBackExpired(&batch));
  HS_RETURN_IF_ERROR(ReleaseSnapshotWhenCopied());
  HS_RETURN_IF_ERROR(KeepSnapshot());
  if (leasing_) PickTasks(&batch);
  return ApplyAndHandOut(std::move(batch));
}

// Reports are hints. What has really happened to these tasks stands in the journal.
absl::Status RunLoop::TakeInDone(std::vector<TaskId> completed, const std::vector<FailureReport>& failed) {
  std::vector<TaskId> ids = std::move(completed);
  for (const FailureReport& report : failed) ids.push_back(report.id);
  if (ids.empty()) return absl::OkStatus();
  HS_ASSIGN_OR_RETURN(const std::vector<TaskRow> rows, journal_->LoadTasks(ids));
  Journal::Batch batch;
  for (const TaskRow& row : rows) {
    if (row.task.state == TaskState::STATE_DONE) {
      bool fresh = false;
      state_->WithScheduler([&](Scheduler& scheduler) {
        fresh = scheduler.Finish(row.task.id, row.task.attempt, row.task.rows, row.task.bytes).ok();
      });
      if (fresh) state_->RecordDone(row);
      continue;
    }
    for (const FailureReport& report : failed) {
      if (report.id == row.task.id && report.attempt == row.task.attempt) DecideFailure(row, report, &batch);
    }
  }
  changes_ = std::move(batch.changes);
  return absl::OkStatus();
}

void RunLoop::DecideFailure(const TaskRow& row, const FailureReport& report, Journal::Batch* batch) {
  TaskChange change{row.task.id,       row.task.attempt, TaskState::STATE_PENDING,
                    row.task.failures, report.error,     report.sqlstate};
  absl::Status applied;
  const bool stopping = state_->stop_requested();
  state_->WithScheduler([&](Scheduler& scheduler) {
    const Task* task = scheduler.Find(row.task.id);
    if (task == nullptr || task->state != TaskState::STATE_LEASED || task->attempt != report.attempt) {
      applied = absl::AbortedError("stale");
      return;
    }
    // A stop, a revoked lease and a lost snapshot are nobody's fault and count against no limit.
    const bool innocent = stopping || holder_ == nullptr;
    change.failures = task->failures + (innocent ? 0 : 1);
    const bool again = report.retryable && (innocent || change.failures < options_.retry_limit);
    if (again) {
      applied =
          scheduler.Release(task->id, task->attempt, absl::Now() + RetryDelay(task->failures), report.error, !innocent);
    } else {
      change.to = TaskState::STATE_FAILED;
      applied = scheduler.Fail(task->id, task->attempt, report.error);
    }
  });
  if (!applied.ok()) return;
  LogWarning(change.to == TaskState::STATE_FAILED ? "task failed" : "task will be tried again",
             {{"migration", record_.id},
              {"task", row.task.id},
              {"attempt", row.task.attempt},
              {"what", row.description},
              {"sqlstate", report.sqlstate},
              {"error", report.error}});
  batch->changes.push_back(std::move(change));
}

absl::Status RunLoop::TakeBackExpired(Journal::Batch* batch) {
  std::vector<TaskId> expired;
  const absl::Time now = absl::Now();
  batch->renewals = state_->TakeRenewals(now);
  state_->WithScheduler([&](Scheduler& scheduler) { expired = scheduler.Expired(now); });
  if (expired.empty()) return absl::OkStatus();
  // A stopped worker's session would keep its locks: it goes first. Then nobody but a new attempt can commit.
  HS_RETURN_IF_ERROR(
      AtFailpoint(Failpoint::kCoordinatorLeaseExpiry, "", [&] { return journal_->TerminateSessions(expired); }));
  HS_RETURN_IF_ERROR(TakeInDone(expired, {}));
  state_->WithScheduler([&](Scheduler& scheduler) {
    for (TaskId id : expired) {
      const Task* task = scheduler.Find(id);
      if (task->state != TaskState::STATE_LEASED || task->lease_expires > now) continue;
      const std::string error = absl::StrCat("the lease of worker ", task->worker, " expired");
      LogWarning("lease expired", {{"task", id}, {"attempt", task->attempt}, {"worker", task->worker}});
      changes_.push_back({id, task->attempt, TaskState::STATE_PENDING, task->failures, error, ""});
      scheduler.Release(id, task->attempt, now, error, false).IgnoreError();
    }
  });
  return absl::OkStatus();
}

void RunLoop::PickTasks(Journal::Batch* batch) {
  const absl::Time now = absl::Now();
  const std::vector<FreeWorker> workers = state_->FreeWorkers(now);
  state_->WithScheduler([&](Scheduler& scheduler) {
    std::vector<FreeWorker> free = workers;
    bool more = true;
    // In turns, so that few tasks spread over the workers.
    while (more && batch->leases.size() < kLeasesPerTurn) {
      more = false;
      for (FreeWorker& worker : free) {
        if (worker.free_slots == 0) continue;
        const Task* task = scheduler.Next(now, [this](const Task& candidate) { return MayRun(candidate); });
        if (task == nullptr) return;
        const TaskId id = task->id;
        const int attempt = task->attempt;
        if (!scheduler.Lease(id, worker.name, now + options_.times.lease_duration).ok()) return;
        kinds_[id] = task->kind;
        batch->leases.push_back({id, attempt, worker.name});
        --worker.free_slots;
        more = true;
      }
    }
  });
}

absl::Status RunLoop::ApplyAndHandOut(Journal::Batch batch) {
  const absl::Time now = absl::Now();
  for (TaskChange& change : changes_) batch.changes.push_back(std::move(change));
  changes_.clear();
  const bool due = now - last_write_ > options_.leader_lease / 3;
  if (batch.changes.empty() && batch.leases.empty() && batch.renewals.empty() && !due) return absl::OkStatus();
  // Renewals alone need not be written at every heartbeat.
  if (batch.changes.empty() && batch.leases.empty() && !due &&
      now - last_renewal_ < options_.times.lease_duration / 4) {
    return absl::OkStatus();
  }
  if (!batch.renewals.empty()) last_renewal_ = now;
  HS_ASSIGN_OR_RETURN(const std::vector<Leased> leased, journal_->Apply(batch, options_.times.lease_duration));
  last_write_ = absl::Now();
  if (leased.size() != batch.leases.size()) {
    return absl::UnavailableError("the journal knows of changes that the coordinator does not");
  }
  std::map<TaskId, std::string> worker_of;
  for (const Journal::LeaseRequest& request : batch.leases) worker_of[request.id] = request.worker;
  std::map<std::string, std::vector<v1::LeasedTask>> by_worker;
  for (const Leased& lease : leased) {
    v1::LeasedTask task;
    task.set_id(lease.id);
    task.set_attempt(lease.attempt);
    task.set_kind(kinds_[lease.id]);
    task.set_description(lease.description);
    *task.mutable_work() = lease.work;
    by_worker[worker_of[lease.id]].push_back(std::move(task));
  }
  kinds_.clear();
  for (const auto& [worker, tasks] : by_worker) state_->HandOut(worker, tasks);
  return absl::OkStatus();
}

// The moment the last range has committed, nothing is held on the source any more.
absl::Status RunLoop::ReleaseSnapshotWhenCopied() {
  if (snapshot_released_) return absl::OkStatus();
  int64_t copies = 0;
  state_->WithScheduler([&](Scheduler& scheduler) { copies = scheduler.unfinished(TaskKind::KIND_COPY); });
  if (copies > 0) return absl::OkStatus();
  HS_RETURN_IF_ERROR(journal_->MarkSnapshotReleased(record_.id));
  holder_.reset();
  snapshot_released_ = true;
  state_->ReleaseSnapshot();
  LogInfo("every range has been copied: the snapshot is released", {{"migration", record_.id}});
  return absl::OkStatus();
}

absl::Status RunLoop::KeepSnapshot() {
  if (snapshot_released_) return absl::OkStatus();
  const absl::Time now = absl::Now();
  if (holder_ != nullptr) {
    if (now - last_heartbeat_ < kSnapshotHeartbeat) return absl::OkStatus();
    last_heartbeat_ = now;
    const absl::Status alive = holder_->Heartbeat();
    if (alive.ok()) return absl::OkStatus();
    LogWarning("the coordinator's source session is lost", {{"migration", record_.id}, {"error", alive.message()}});
    holder_.reset();
    state_->SetSnapshot(std::nullopt);
    snapshot_lost_since_ = now;
  }
  // Any worker's keeper will do.
  std::optional<v1::Snapshot> held = state_->FindKeeperSnapshot(record_.snapshot, now);
  if (held.has_value()) {
    absl::StatusOr<std::unique_ptr<SnapshotHolder>> imported = SnapshotHolder::Import(options_.source, *held);
    if (imported.ok()) {
      holder_ = *std::move(imported);
      state_->SetSnapshot(holder_->snapshot());
      LogInfo("took the snapshot over from a worker's keeper", {{"migration", record_.id}});
      return absl::OkStatus();
    }
    LogWarning("the snapshot can't be taken over yet", {{"error", imported.status().message()}});
  }
  if (now - snapshot_lost_since_ > options_.keeper_wait) {
    state_->RevokeEverything();
    journal_->GiveUpLead().IgnoreError();
    return absl::FailedPreconditionError(
        "the source's snapshot is lost: no worker holds it any more. Ranges that were copied stay; run the same "
        "command again "
        "and it will offer the ways on");
  }
  return absl::OkStatus();
}

// The target was away, or the journal has moved on: wait, read it again, go on.
absl::Status RunLoop::RecoverFrom(const absl::Status& error) {
  if (trouble_since_ == absl::InfiniteFuture()) {
    trouble_since_ = absl::Now();
    LogWarning("the target can't be reached or has changed; trying again", {{"error", error.message()}});
  }
  if (absl::Now() - trouble_since_ > kPatience || state_->stop_at_once()) return error;
  absl::SleepFor(absl::Milliseconds(500));
  absl::Status loaded = LoadFromJournal(record_.id, journal_, state_);
  if (loaded.code() == absl::StatusCode::kDataLoss) return loaded;
  return absl::OkStatus();
}

absl::StatusOr<RunResult> RunLoop::EndStopped() {
  std::vector<TaskId> left;
  if (state_->stop_at_once()) {
    state_->RevokeEverything();
    const absl::Time deadline = absl::Now() + absl::Seconds(5);
    int leased = 1;
    while (leased > 0 && absl::Now() < deadline) {
      Reports reports = state_->TakeReports(absl::Milliseconds(100));
      HS_RETURN_IF_ERROR(TakeInDone(std::move(reports.completed), reports.failed));
      HS_RETURN_IF_ERROR(ApplyAndHandOut({}));
      state_->WithScheduler([&](Scheduler& scheduler) { leased = scheduler.leased_count(); });
    }
  }
  LogInfo("stopped; the same command resumes", {{"migration", record_.id}});
  state_->SetPhase(v1::MigrationPhase::PHASE_STOPPED, "stopped; the same command resumes");
  state_->Finish(snapshot_released_);
  state_->WaitUntilTold(absl::Seconds(3));
  journal_->GiveUpLead().IgnoreError();
  return RunResult::kStopped;
}

absl::StatusOr<RunResult> RunLoop::EndFinished() {
  RunResult result = RunResult::kDone;
  for (const v1::TableInfo& table : state_->ListTables()) {
    if (table.verify_result() == v1::VerifyResult::RESULT_DIFFERENT) {
      result = RunResult::kDifferences;
    } else if (table.verify_result() == v1::VerifyResult::RESULT_NOT_CHECKED && result == RunResult::kDone) {
      result = RunResult::kNotChecked;
    }
  }
  if (!options_.verify_only) HS_RETURN_IF_ERROR(journal_->Finish(record_.id));
  state_->SetPhase(v1::MigrationPhase::PHASE_DONE, "done");
  state_->Finish(true);
  state_->WaitUntilTold(absl::Seconds(5));
  journal_->GiveUpLead().IgnoreError();
  return result;
}

absl::StatusOr<RunResult> RunLoop::EndWithFailures() {
  // Failed tables speak for themselves; a step of no table has only this line.
  for (const v1::TaskInfo& task : state_->ListTasks("", TaskState::STATE_FAILED, 0, 100)) {
    if (task.table().empty()) state_->SetError(absl::StrCat(task.description(), ": ", task.error()));
  }
  state_->SetPhase(v1::MigrationPhase::PHASE_FAILED, "ended with failed tables; the same command tries them again");
  state_->Finish(snapshot_released_);
  state_->WaitUntilTold(absl::Seconds(5));
  journal_->GiveUpLead().IgnoreError();
  return options_.verify_only ? RunResult::kNotChecked : RunResult::kTablesFailed;
}

}  // namespace hypershift
