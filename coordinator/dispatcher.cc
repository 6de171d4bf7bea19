#include "coordinator/dispatcher.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace hypershift {
namespace {

constexpr int kLeasesPerTurn = 200;
// Small tasks that share a slot and a transaction: enough that its round trips don't count, few enough for its locks.
constexpr int kTasksOfBundle = 32;

// Done is done, whatever memory thinks of the attempt that did it. Everything else is written by the coordinator alone.
bool Agree(const TaskRow& row, const Task& task) {
  if (row.task.attempt != task.attempt) return false;
  return row.task.state == task.state ||
         (row.task.state == TaskState::STATE_DONE && task.state == TaskState::STATE_LEASED);
}

std::string WithRemedy(const FailureReport& report) {
  const absl::string_view remedy = FailureRemedy(report.sqlstate);
  return remedy.empty() ? report.error : absl::StrCat(report.error, " (", remedy, ", then retry the table)");
}

absl::Status Parted(const std::string& what) {
  return absl::UnavailableError(absl::StrCat("the journal knows of changes that the coordinator does not: ", what));
}

}  // namespace

absl::Duration RetryDelay(int setbacks, FailureClass failure_class) {
  const bool waits = failure_class == FailureClass::kOutage || failure_class == FailureClass::kContended;
  return std::min(absl::Seconds(waits ? 10 : 60),
                  absl::Milliseconds(500) * (int64_t{1} << std::clamp(setbacks, 0, 10)));
}

void Dispatcher::Begin(const Circumstances& circumstances) {
  circumstances_ = circumstances;
  batch_ = JournalBatch();
}

absl::StatusOr<std::vector<TaskRow>> Dispatcher::TakeIn(const std::vector<TaskRow>& rows,
                                                        const std::vector<FailureReport>& failures, absl::Time now,
                                                        Scheduler* scheduler) {
  std::vector<TaskRow> done;
  for (const TaskRow& row : rows) {
    const Task* task = scheduler->Find(row.task.id);
    if (task == nullptr) continue;  // Reported by whom it may be, it is no task of this migration.
    if (!Agree(row, *task)) return Parted(absl::StrCat("task ", row.task.id));
    if (row.task.state == TaskState::STATE_DONE) {
      const absl::Status fresh = scheduler->Finish(row.task.id, row.task.attempt, row.task.rows, row.task.bytes);
      if (fresh.ok()) done.push_back(row);
      continue;
    }
    for (const FailureReport& report : failures) {
      if (report.id == row.task.id) TakeInFailure(report, now, scheduler);
    }
  }
  return done;
}

void Dispatcher::TakeInFailure(const FailureReport& report, absl::Time now, Scheduler* scheduler) {
  const Task* task = scheduler->Find(report.id);
  if (task->state != TaskState::STATE_LEASED || task->attempt != report.attempt) return;  // Stale, or said twice.
  const FailureClass failure_class = ClassifyFailure(report.retryable, report.sqlstate);
  const bool counts = Counts(*task, failure_class, now);
  const bool again = failure_class != FailureClass::kFinal && (!counts || task->failures + 1 < settings_.retry_limit);
  const absl::Time not_before = now + RetryDelay(task->setbacks, failure_class);
  const absl::Status applied =
      again ? scheduler->Release(report.id, report.attempt, now, not_before, report.error, counts)
            : scheduler->Fail(report.id, report.attempt, WithRemedy(report));
  if (!applied.ok()) return;
  batch_.changes.push_back({report.id, report.attempt, task->state, task->failures, task->error, report.sqlstate});
}

// A stop, a lost snapshot, somebody else's lock and an outage are not the task's fault.
bool Dispatcher::Counts(const Task& task, FailureClass failure_class, absl::Time now) const {
  if (circumstances_.stopping) return false;
  if (task.kind == TaskKind::KIND_COPY && !circumstances_.snapshot_is_held) return false;
  if (failure_class == FailureClass::kContended) return false;
  return failure_class != FailureClass::kOutage || now - task.failing_since > settings_.outage_patience;
}

void Dispatcher::TakeBack(const std::vector<TaskId>& expired, absl::Time now, Scheduler* scheduler) {
  for (TaskId id : expired) {
    const Task* task = scheduler->Find(id);
    if (task == nullptr || task->state != TaskState::STATE_LEASED || task->lease_expires > now) continue;
    const std::string error = absl::StrCat("the lease of worker ", task->worker, " expired");
    const int attempt = task->attempt;
    if (!scheduler->Release(id, attempt, now, now, error, /*counts_as_failure=*/false).ok()) continue;
    batch_.changes.push_back({id, attempt, TaskState::STATE_PENDING, task->failures, error, ""});
  }
}

bool Dispatcher::MayLeaseCopies() const {
  return !circumstances_.stopping && !circumstances_.paused && !circumstances_.throttled &&
         circumstances_.snapshot_is_held && !settings_.verify_only;
}

void Dispatcher::HandOverTo(const std::vector<HandOver>& chosen, absl::Time now, Scheduler* scheduler) {
  for (const HandOver& one : chosen) {
    const Task* task = scheduler->Find(one.id);
    if (task == nullptr || task->state != TaskState::STATE_LEASED || task->attempt != one.attempt) continue;
    const std::string why = absl::StrCat("handed over from worker ", one.from, " to ", one.to);
    if (!scheduler->Release(one.id, one.attempt, now, now, why, /*counts_as_failure=*/false).ok()) continue;
    batch_.changes.push_back({one.id, one.attempt, TaskState::STATE_PENDING, task->failures, why, ""});
    if (!scheduler->Lease(one.id, one.to, now + settings_.lease_duration).ok()) continue;
    batch_.leases.push_back({one.id, one.attempt, one.to});
  }
}

bool Dispatcher::MayRun(const Task& task) const {
  if (settings_.verify_only) return task.kind == TaskKind::KIND_VERIFY;
  return task.kind != TaskKind::KIND_COPY || circumstances_.snapshot_is_held;
}

void Dispatcher::Lease(std::vector<FreeWorker> workers, absl::Time now, Scheduler* scheduler) {
  if (circumstances_.stopping || circumstances_.paused || circumstances_.throttled) return;
  bool more = true;
  while (more && batch_.leases.size() < kLeasesPerTurn) {
    more = false;
    for (FreeWorker& worker : workers) {
      if (worker.free_slots == 0) continue;
      if (circumstances_.max_slots > 0 && scheduler->busy_slots() >= circumstances_.max_slots) return;
      const auto may_run = [this](const Task& candidate) { return MayRun(candidate); };
      const Task* task = scheduler->Next(now, may_run);
      if (task == nullptr) return;
      std::vector<TaskId> ids = scheduler->Companions(*task, now, may_run, kTasksOfBundle - 1);
      ids.insert(ids.begin(), task->id);
      int64_t bundle = 0;
      for (const TaskId id : ids) {
        const int attempt = scheduler->Find(id)->attempt;
        if (!scheduler->Lease(id, worker.name, now + settings_.lease_duration, bundle).ok()) return;
        if (ids.size() > 1) bundle = scheduler->Find(id)->bundle;
        batch_.leases.push_back({id, attempt, worker.name, bundle});
      }
      --worker.free_slots;
      more = true;
    }
  }
}

bool Dispatcher::MustWrite(absl::Time now) const {
  if (!batch_.changes.empty() || !batch_.leases.empty()) return true;
  if (now - last_write_ > settings_.leader_lease / 3) return true;
  // Renewals alone need not be written at every heartbeat.
  return !batch_.renewals.empty() && now - last_renewal_ >= settings_.lease_duration / 4;
}

absl::Status Dispatcher::Written(const AppliedBatch& applied, absl::Time now) {
  last_write_ = now;
  if (!batch_.renewals.empty()) last_renewal_ = now;
  if (applied.changed != batch_.changes.size()) return Parted("a task has ended otherwise");
  if (applied.leased.size() != batch_.leases.size()) return Parted("a task can't be leased");
  return absl::OkStatus();
}

}  // namespace hypershift
