#include "coordinator/scheduler.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace hypershift {

absl::StatusOr<Scheduler> Scheduler::Create(std::vector<Task> tasks, const std::vector<Barrier>& barriers) {
  Scheduler scheduler;
  for (const Barrier& barrier : barriers) {
    if (!scheduler.barriers_.emplace(barrier.id, BarrierState{barrier.parent, 0, {}}).second) {
      return absl::DataLossError(absl::StrCat("barrier ", barrier.id, " stands twice in the journal"));
    }
  }
  for (const Barrier& barrier : barriers) {
    if (barrier.parent != 0 && scheduler.barriers_.count(barrier.parent) == 0) {
      return absl::DataLossError(absl::StrCat("barrier ", barrier.id, " has no parent ", barrier.parent));
    }
  }
  for (Task& task : tasks) {
    for (BarrierId gate : task.gates) {
      auto found = scheduler.barriers_.find(gate);
      if (found == scheduler.barriers_.end()) {
        return absl::DataLossError(absl::StrCat("task ", task.id, " waits for barrier ", gate, ", which isn't there"));
      }
      found->second.waiting.push_back(task.id);
    }
    if (task.barrier != 0 && scheduler.barriers_.count(task.barrier) == 0) {
      return absl::DataLossError(
          absl::StrCat("task ", task.id, " counts in barrier ", task.barrier, ", which isn't there"));
    }
    const TaskId id = task.id;
    if (!scheduler.tasks_.emplace(id, std::move(task)).second) {
      return absl::DataLossError(absl::StrCat("task ", id, " stands twice in the journal"));
    }
  }
  for (const auto& [id, task] : scheduler.tasks_) {
    if (task.state == TaskState::STATE_DONE) continue;
    scheduler.Count(task.barrier, 1);
    ++scheduler.unfinished_[task.kind];
    ++scheduler.unfinished_total_;
    TableState& table = scheduler.tables_[task.table];
    table.bytes_left += task.estimated_bytes;
    if (task.state == TaskState::STATE_LEASED) {
      scheduler.leased_.insert(id);
      ++table.running;
    }
    if (task.state == TaskState::STATE_FAILED) ++scheduler.failed_total_;
  }
  for (const auto& [id, task] : scheduler.tasks_) {
    if (task.state == TaskState::STATE_PENDING && scheduler.GatesOpen(task)) scheduler.SetReady(task, true);
  }
  return scheduler;
}

const Task* Scheduler::Next(absl::Time now, const std::function<bool(const Task&)>& allowed) const {
  const Task* best = nullptr;
  double best_weight = -1;
  for (const auto& [table_id, table] : tables_) {
    const double weight = static_cast<double>(table.bytes_left + 1) / (table.running + 1);
    if (weight <= best_weight) continue;
    for (const auto& [sequence, id] : table.ready) {
      const Task& task = tasks_.at(id);
      if (task.not_before > now || !allowed(task)) continue;
      best = &task;
      best_weight = weight;
      break;
    }
  }
  return best;
}

absl::Status Scheduler::Lease(TaskId id, const std::string& worker, absl::Time expires) {
  HS_ASSIGN_OR_RETURN(Task * task, FindMutable(id));
  if (!GatesOpen(*task)) return absl::FailedPreconditionError(absl::StrCat("task ", id, " still waits for others"));
  HS_RETURN_IF_ERROR(Transition(task, task->attempt, TaskEvent::kLease));
  SetReady(*task, false);
  ++task->attempt;
  task->worker = worker;
  task->lease_expires = expires;
  leased_.insert(id);
  ++tables_[task->table].running;
  return absl::OkStatus();
}

absl::Status Scheduler::Finish(TaskId id, int attempt, int64_t rows, int64_t bytes) {
  HS_ASSIGN_OR_RETURN(Task * task, FindMutable(id));
  HS_RETURN_IF_ERROR(Transition(task, attempt, TaskEvent::kFinish));
  leased_.erase(id);
  TableState& table = tables_[task->table];
  --table.running;
  table.bytes_left -= task->estimated_bytes;
  task->rows = rows;
  task->bytes = bytes;
  task->error.clear();
  --unfinished_[task->kind];
  --unfinished_total_;
  Count(task->barrier, -1);
  return absl::OkStatus();
}

absl::Status Scheduler::Release(TaskId id, int attempt, absl::Time now, absl::Time not_before, const std::string& error,
                                bool counts_as_failure) {
  HS_ASSIGN_OR_RETURN(Task * task, FindMutable(id));
  HS_RETURN_IF_ERROR(Transition(task, attempt, TaskEvent::kRelease));
  leased_.erase(id);
  --tables_[task->table].running;
  task->worker.clear();
  task->not_before = not_before;
  task->error = error;
  if (counts_as_failure) ++task->failures;
  ++task->setbacks;
  task->failing_since = std::min(task->failing_since, now);
  SetReady(*task, true);
  return absl::OkStatus();
}

absl::Status Scheduler::Fail(TaskId id, int attempt, const std::string& error) {
  HS_ASSIGN_OR_RETURN(Task * task, FindMutable(id));
  HS_RETURN_IF_ERROR(Transition(task, attempt, TaskEvent::kFail));
  leased_.erase(id);
  --tables_[task->table].running;
  task->worker.clear();
  task->error = error;
  ++task->failures;
  ++failed_total_;
  return absl::OkStatus();
}

absl::Status Scheduler::Retry(TaskId id) {
  HS_ASSIGN_OR_RETURN(Task * task, FindMutable(id));
  HS_RETURN_IF_ERROR(Transition(task, task->attempt, TaskEvent::kRetry));
  task->failures = task->setbacks = 0;
  task->failing_since = absl::InfiniteFuture();
  task->not_before = absl::InfinitePast();
  --failed_total_;
  if (GatesOpen(*task)) SetReady(*task, true);
  return absl::OkStatus();
}

absl::Status Scheduler::Renew(TaskId id, int attempt, absl::Time expires) {
  HS_ASSIGN_OR_RETURN(Task * task, FindMutable(id));
  if (task->state != TaskState::STATE_LEASED || task->attempt != attempt) {
    return absl::AbortedError(absl::StrCat("attempt ", attempt, " of task ", id, " is not leased"));
  }
  task->lease_expires = expires;
  return absl::OkStatus();
}

std::vector<TaskId> Scheduler::Expired(absl::Time now) const {
  std::vector<TaskId> expired;
  for (TaskId id : leased_) {
    if (tasks_.at(id).lease_expires <= now) expired.push_back(id);
  }
  return expired;
}

const Task* Scheduler::Find(TaskId id) const {
  auto found = tasks_.find(id);
  return found == tasks_.end() ? nullptr : &found->second;
}

bool Scheduler::IsOpen(BarrierId id) const {
  auto found = barriers_.find(id);
  return found != barriers_.end() && found->second.open_count == 0;
}

int64_t Scheduler::unfinished(TaskKind::Kind kind) const {
  auto found = unfinished_.find(kind);
  return found == unfinished_.end() ? 0 : found->second;
}

bool Scheduler::Idle() const {
  if (!leased_.empty()) return false;
  return std::all_of(tables_.begin(), tables_.end(), [](const auto& entry) { return entry.second.ready.empty(); });
}

absl::Time Scheduler::NextRetryTime(absl::Time now) const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [table_id, table] : tables_) {
    for (const auto& [sequence, id] : table.ready) {
      const absl::Time not_before = tasks_.at(id).not_before;
      if (not_before > now) next = std::min(next, not_before);
    }
  }
  return next;
}

absl::StatusOr<Task*> Scheduler::FindMutable(TaskId id) {
  auto found = tasks_.find(id);
  if (found == tasks_.end()) return absl::NotFoundError(absl::StrCat("there is no task ", id));
  return &found->second;
}

absl::Status Scheduler::Transition(Task* task, int attempt, TaskEvent event) {
  if (attempt != task->attempt) {
    return absl::AbortedError(
        absl::StrCat("attempt ", attempt, " of task ", task->id, " is stale: the current one is ", task->attempt));
  }
  const std::optional<TaskState::State> next = NextTaskState(task->state, event);
  if (!next.has_value()) {
    return absl::FailedPreconditionError(absl::StrCat("task ", task->id, " is ", TaskStateName(task->state)));
  }
  task->state = *next;
  return absl::OkStatus();
}

bool Scheduler::GatesOpen(const Task& task) const {
  return std::all_of(task.gates.begin(), task.gates.end(), [this](BarrierId gate) { return IsOpen(gate); });
}

void Scheduler::SetReady(const Task& task, bool ready) {
  TableState& table = tables_[task.table];
  if (ready) {
    table.ready.emplace(task.sequence, task.id);
  } else {
    table.ready.erase({task.sequence, task.id});
  }
}

void Scheduler::Count(BarrierId id, int64_t change) {
  if (id == 0) return;
  BarrierState& barrier = barriers_.at(id);
  const bool was_open = barrier.open_count == 0;
  barrier.open_count += change;
  const bool is_open = barrier.open_count == 0;
  if (was_open == is_open) return;
  Count(barrier.parent, is_open ? -1 : 1);
  if (!is_open) return;
  for (TaskId waiting : barrier.waiting) {
    const Task& task = tasks_.at(waiting);
    if (task.state == TaskState::STATE_PENDING && GatesOpen(task)) SetReady(task, true);
  }
}

}  // namespace hypershift
