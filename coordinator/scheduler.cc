#include "coordinator/scheduler.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace hypershift {

absl::StatusOr<Scheduler> Scheduler::Create(std::vector<Task> tasks, const std::vector<Barrier>& barriers,
                                            const std::map<int, int>& priorities) {
  Scheduler scheduler;
  for (const auto& [table, priority] : priorities) scheduler.tables_[table].priority = priority;
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
  const auto by_id = [](const Task& a, const Task& b) { return a.id < b.id; };
  if (!std::is_sorted(tasks.begin(), tasks.end(), by_id)) std::sort(tasks.begin(), tasks.end(), by_id);
  for (const Task& task : tasks) {
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
  }
  for (size_t i = 1; i < tasks.size(); ++i) {
    if (tasks[i].id != tasks[i - 1].id) continue;
    return absl::DataLossError(absl::StrCat("task ", tasks[i].id, " stands twice in the journal"));
  }
  scheduler.tasks_ = std::move(tasks);
  for (Task& task : scheduler.tasks_) {
    if (task.state == TaskState::STATE_DONE) continue;
    scheduler.Count(task.barrier, 1);
    ++scheduler.unfinished_[task.kind];
    ++scheduler.unfinished_total_;
    TableState& table = scheduler.tables_[task.table];
    table.bytes_left += task.estimated_bytes;
    if (task.state == TaskState::STATE_LEASED) {
      scheduler.SetLeased(&task, 0);
      ++table.running;
    }
    if (task.state == TaskState::STATE_FAILED) ++scheduler.failed_total_;
  }
  for (const Task& task : scheduler.tasks_) {
    if (task.state == TaskState::STATE_PENDING && scheduler.GatesOpen(task)) scheduler.SetReady(task, true);
  }
  return scheduler;
}

const Task* Scheduler::Next(absl::Time now, const std::function<bool(const Task&)>& allowed) const {
  for (const auto& [priority, weight, table] : by_weight_) {
    for (const auto& [sequence, id] : tables_.at(table).ready) {
      const Task& task = *Find(id);
      if (task.not_before <= now && allowed(task)) return &task;
    }
  }
  return nullptr;
}

std::vector<TaskId> Scheduler::Companions(const Task& first, absl::Time now,
                                          const std::function<bool(const Task&)>& allowed, int limit) const {
  constexpr int kMostTables = 1000;
  std::vector<TaskId> companions;
  const TableState& table = tables_.at(first.table);
  if (!first.small || first.setbacks > 0 || !table.weight.has_value()) return companions;
  auto place = by_weight_.find({-table.priority, -*table.weight, first.table});
  for (int looked_at = 0; place != by_weight_.end() && looked_at < kMostTables; ++place, ++looked_at) {
    // What is to go first is not to wait for the end of what is not.
    if (std::get<0>(*place) != -table.priority) break;
    for (const auto& [sequence, id] : tables_.at(std::get<2>(*place)).ready) {
      const Task& task = *Find(id);
      // A large table may have a million ready tasks, and all of them are large.
      if (!task.small) break;
      if (static_cast<int>(companions.size()) >= limit) return companions;
      if (id == first.id || task.kind != first.kind || task.setbacks > 0) continue;
      if (task.not_before <= now && allowed(task)) companions.push_back(id);
    }
  }
  return companions;
}

absl::Status Scheduler::Lease(TaskId id, const std::string& worker, absl::Time expires, int64_t bundle) {
  HS_ASSIGN_OR_RETURN(Task * task, FindMutable(id));
  if (!GatesOpen(*task)) return absl::FailedPreconditionError(absl::StrCat("task ", id, " still waits for others"));
  HS_RETURN_IF_ERROR(Transition(task, task->attempt, TaskEvent::kLease));
  ++task->attempt;
  task->worker = worker;
  task->lease_expires = expires;
  SetLeased(task, bundle);
  ++tables_[task->table].running;
  SetReady(*task, false);
  return absl::OkStatus();
}

absl::Status Scheduler::Finish(TaskId id, int attempt, int64_t rows, int64_t bytes) {
  HS_ASSIGN_OR_RETURN(Task * task, FindMutable(id));
  HS_RETURN_IF_ERROR(Transition(task, attempt, TaskEvent::kFinish));
  SetUnleased(*task);
  TableState& table = tables_[task->table];
  --table.running;
  table.bytes_left -= task->estimated_bytes;
  Place(task->table, &table);
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
  SetUnleased(*task);
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
  SetUnleased(*task);
  TableState& table = tables_[task->table];
  --table.running;
  Place(task->table, &table);
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
    if (Find(id)->lease_expires <= now) expired.push_back(id);
  }
  return expired;
}

const Task* Scheduler::Find(TaskId id) const {
  if (tasks_.empty() || id < tasks_.front().id || id > tasks_.back().id) return nullptr;
  // Where it is unless ids are missing, which they are only where a load was planned again.
  const auto guess = static_cast<size_t>(id - tasks_.front().id);
  if (guess < tasks_.size() && tasks_[guess].id == id) return &tasks_[guess];
  const auto found = std::lower_bound(tasks_.begin(), tasks_.end(), id,
                                      [](const Task& task, TaskId wanted) { return task.id < wanted; });
  return found->id == id ? &*found : nullptr;
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
  return by_weight_.empty();
}

absl::Time Scheduler::NextRetryTime(absl::Time now) const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [table_id, table] : tables_) {
    for (const auto& [sequence, id] : table.ready) {
      const absl::Time not_before = Find(id)->not_before;
      if (not_before > now) next = std::min(next, not_before);
    }
  }
  return next;
}

absl::StatusOr<Task*> Scheduler::FindMutable(TaskId id) {
  const Task* found = Find(id);
  if (found == nullptr) return absl::NotFoundError(absl::StrCat("there is no task ", id));
  return const_cast<Task*>(found);  // NOLINT(cppcoreguidelines-pro-type-const-cast): this is not const.
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

void Scheduler::SetLeased(Task* task, int64_t bundle) {
  leased_.insert(task->id);
  task->bundle = bundle == 0 ? ++last_bundle_ : bundle;
  ++bundles_[task->bundle];
}

void Scheduler::SetUnleased(const Task& task) {
  leased_.erase(task.id);
  if (--bundles_[task.bundle] == 0) bundles_.erase(task.bundle);
}

void Scheduler::SetReady(const Task& task, bool ready) {
  TableState& table = tables_[task.table];
  if (ready) {
    table.ready.emplace(task.sequence, task.id);
  } else {
    table.ready.erase({task.sequence, task.id});
  }
  Place(task.table, &table);
}

void Scheduler::Place(int id, TableState* table) {
  std::optional<double> weight;
  if (!table->ready.empty()) weight = static_cast<double>(table->bytes_left + 1) / (table->running + 1);
  if (weight == table->weight) return;
  if (table->weight.has_value()) by_weight_.erase({-table->priority, -*table->weight, id});
  if (weight.has_value()) by_weight_.emplace(-table->priority, -*weight, id);
  table->weight = weight;
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
    const Task& task = *Find(waiting);
    if (task.state == TaskState::STATE_PENDING && GatesOpen(task)) SetReady(task, true);
  }
}

}  // namespace hypershift
