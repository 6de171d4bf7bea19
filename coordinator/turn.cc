#include "coordinator/turn.h"

#include <map>
#include <utility>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "coordinator/failure_class.h"
#include "coordinator/migration_state.h"

namespace hypershift {

Turn::Turn(const DispatchSettings& settings, const Clock* clock, MigrationState* state, TurnJournal* journal)
    : settings_(settings), clock_(clock), state_(state), journal_(journal), dispatcher_(settings) {}

absl::Status Turn::Run(Reports reports, const Circumstances& circumstances) {
  completed_.insert(reports.completed.begin(), reports.completed.end());
  for (FailureReport& report : reports.failed) failed_.push_back(std::move(report));
  dispatcher_.Begin(circumstances);
  HS_RETURN_IF_ERROR(TakeInReports());
  HS_RETURN_IF_ERROR(TakeBackExpired());
  HS_RETURN_IF_ERROR(HandOverTail());
  const absl::Time now = clock_->Now();
  std::vector<FreeWorker> workers = state_->FreeWorkers(now);
  state_->WithScheduler([&](Scheduler& scheduler) { dispatcher_.Lease(std::move(workers), now, &scheduler); });
  return WriteAndHandOut();
}

absl::Status Turn::TakeInReports() {
  HS_RETURN_IF_ERROR(EndLostSessions());
  std::set<TaskId> ids = completed_;
  for (const FailureReport& report : failed_) ids.insert(report.id);
  return TakeIn({ids.begin(), ids.end()}, failed_);
}

// A worker whose connection broke has done with that session; the server may not know yet, and keep its locks: those of
// the table, and of the task's row if the COMMIT was lost.
absl::Status Turn::EndLostSessions() {
  std::vector<TaskId> lost;
  state_->WithScheduler([&](Scheduler& scheduler) {
    for (const FailureReport& report : failed_) {
      if (ClassifyFailure(report.retryable, report.sqlstate) != FailureClass::kOutage) continue;
      const Task* task = scheduler.Find(report.id);
      if (task == nullptr || task->state != TaskState::STATE_LEASED || task->attempt != report.attempt) continue;
      lost.push_back(report.id);
    }
  });
  if (lost.empty()) return absl::OkStatus();
  return journal_->TerminateSessions(lost);
}

// Reports are hints. What has really happened to these tasks stands in the journal.
absl::Status Turn::TakeIn(const std::vector<TaskId>& ids, const std::vector<FailureReport>& failures) {
  if (ids.empty()) return absl::OkStatus();
  HS_ASSIGN_OR_RETURN(const std::vector<TaskRow> rows, journal_->LoadTasks(ids));
  const size_t decided = dispatcher_.batch().changes.size();
  absl::StatusOr<std::vector<TaskRow>> done = std::vector<TaskRow>();
  state_->WithScheduler(
      [&](Scheduler& scheduler) { done = dispatcher_.TakeIn(rows, failures, clock_->Now(), &scheduler); });
  HS_RETURN_IF_ERROR(done.status());
  for (const TaskRow& row : *done) state_->RecordDone(row);
  LogChanges(rows, decided);
  return absl::OkStatus();
}

void Turn::LogChanges(const std::vector<TaskRow>& rows, size_t first) const {
  const std::vector<TaskChange>& changes = dispatcher_.batch().changes;
  for (size_t i = first; i < changes.size(); ++i) {
    const TaskChange& change = changes[i];
    std::string description;
    for (const TaskRow& row : rows) {
      if (row.task.id == change.id) description = row.description;
    }
    LogWarning(change.to == TaskState::STATE_FAILED ? "task failed" : "task will be tried again",
               {{"task", change.id},
                {"attempt", change.attempt},
                {"what", description},
                {"sqlstate", change.sqlstate},
                {"error", change.error}});
  }
}

absl::Status Turn::TakeBackExpired() {
  const absl::Time now = clock_->Now();
  dispatcher_.Renew(state_->TakeRenewals(now));
  std::vector<TaskId> expired;
  state_->WithScheduler([&](Scheduler& scheduler) { expired = scheduler.Expired(now); });
  if (expired.empty()) return absl::OkStatus();
  HS_RETURN_IF_ERROR(AtFailpoint(Failpoint::kCoordinatorLeaseExpiry, "", [&]() -> absl::Status {
    // A stopped worker's session would keep its locks: it goes first. Then nobody but a new attempt can commit.
    HS_RETURN_IF_ERROR(journal_->TerminateSessions(expired));
    return TakeIn(expired, {});
  }));
  const size_t decided = dispatcher_.batch().changes.size();
  state_->WithScheduler([&](Scheduler& scheduler) { dispatcher_.TakeBack(expired, now, &scheduler); });
  LogChanges({}, decided);
  return absl::OkStatus();
}

// The old attempt's session goes first, as with one whose lease is over: it would keep the lock on its row. It may have
// committed just now.
absl::Status Turn::HandOverTail() {
  if (!dispatcher_.MayLeaseCopies()) return absl::OkStatus();
  const std::vector<HandOver> chosen = state_->FindHandOvers(clock_->Now());
  if (chosen.empty()) return absl::OkStatus();
  std::vector<TaskId> ids;
  for (const HandOver& one : chosen) {
    LogInfo("handing a range over to who would be done sooner",
            {{"task", one.id}, {"attempt", one.attempt}, {"from", one.from}, {"to", one.to}});
    ids.push_back(one.id);
  }
  HS_RETURN_IF_ERROR(journal_->TerminateSessions(ids));
  HS_RETURN_IF_ERROR(TakeIn(ids, {}));
  state_->WithScheduler([&](Scheduler& scheduler) { dispatcher_.HandOverTo(chosen, clock_->Now(), &scheduler); });
  return absl::OkStatus();
}

absl::Status Turn::WriteAndHandOut() {
  if (!dispatcher_.MustWrite(clock_->Now())) {
    // Nothing was decided, so nothing of the reports is left to be written.
    completed_.clear();
    failed_.clear();
    return absl::OkStatus();
  }
  HS_ASSIGN_OR_RETURN(const AppliedBatch applied, journal_->Apply(dispatcher_.batch(), settings_.lease_duration));
  completed_.clear();
  failed_.clear();
  // What the journal has leased is handed out even if other parts of the batch did not apply.
  HandOut(applied.leased);
  return dispatcher_.Written(applied, clock_->Now());
}

void Turn::HandOut(const std::vector<Leased>& leased) {
  std::map<TaskId, LeaseRequest> requests;
  for (const LeaseRequest& request : dispatcher_.batch().leases) requests[request.id] = request;
  std::map<TaskId, TaskKind::Kind> kinds;
  state_->WithScheduler([&](Scheduler& scheduler) {
    for (const Leased& lease : leased) kinds[lease.id] = scheduler.Find(lease.id)->kind;
  });
  std::map<std::string, std::vector<v1::LeasedTask>> by_worker;
  for (const Leased& lease : leased) {
    v1::LeasedTask task;
    task.set_id(lease.id);
    task.set_attempt(lease.attempt);
    task.set_kind(kinds[lease.id]);
    task.set_description(lease.description);
    *task.mutable_work() = lease.work;
    task.set_bundle(requests[lease.id].bundle);
    by_worker[requests[lease.id].worker].push_back(std::move(task));
  }
  for (const auto& [worker, tasks] : by_worker) state_->HandOut(worker, tasks);
}

}  // namespace hypershift
