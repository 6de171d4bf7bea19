#include "tests/simulation/oracle.h"

#include <algorithm>

namespace hypershift::simulation {

absl::string_view SqlStateOf(InjectedFailure failure) {
  switch (failure) {
    case InjectedFailure::kOutage:
      return "08006";
    case InjectedFailure::kContended:
      return "55P03";
    case InjectedFailure::kTransient:
      return "40P01";
    case InjectedFailure::kFinal:
      return "23505";
  }
  return "";
}

Oracle::Oracle(SimulatedPlan plan, int retry_limit) : plan_(std::move(plan)), retry_limit_(retry_limit) {
  std::map<BarrierId, BarrierId> parents;
  for (const Barrier& barrier : plan_.barriers) parents[barrier.id] = barrier.parent;
  for (const Barrier& barrier : plan_.barriers) {
    for (BarrierId above = barrier.id; above != 0; above = parents.at(above)) below_[above].insert(barrier.id);
  }
  for (const auto& [id, task] : plan_.tasks) counted_[task.barrier].push_back(id);
}

bool Oracle::GatesOpen(TaskId id) const {
  for (const BarrierId gate : plan_.tasks.at(id).gates) {
    for (const BarrierId barrier : below_.at(gate)) {
      const auto counted = counted_.find(barrier);
      if (counted == counted_.end()) continue;
      for (const TaskId task : counted->second) {
        if (done_.count(task) == 0) return false;
      }
    }
  }
  return true;
}

void Oracle::OnCommit(absl::Time now, const Author& author, const std::vector<RowChange>& changes,
                      const std::vector<TaskId>& effects, const LeaderRow& leader_before,
                      const LeaderRow& leader_after) {
  CheckLeader(now, author, leader_before, leader_after);
  if (author.epoch != 0 && !changes.empty() && author.epoch != leader_after.epoch) {
    Violated("the coordinator of epoch ", author.epoch, " changed task ", changes.front().after.task.id,
             " although that of epoch ", leader_after.epoch, " leads");
  }
  for (const RowChange& change : changes) CheckChange(author, change.before, change.after);
  CheckEffects(effects);
  for (const RowChange& change : changes) {
    const Task& task = change.after.task;
    if (task.state == TaskState::STATE_DONE && effects_[task.id] == 0) {
      Violated("task ", task.id, " is done without its effect");
    }
  }
}

void Oracle::CheckChange(const Author& author, const JournalRow& before, const JournalRow& after) {
  const Task& task = after.task;
  if (before.task.state == TaskState::STATE_DONE) {
    Violated("task ", task.id, " was done, and was changed by attempt or epoch ", author.attempt + author.epoch);
  }
  if (author.epoch != 0) {
    CheckCoordinatorsChange(author, before, after);
  } else {
    CheckWorkersChange(author, before, after);
  }
}

void Oracle::CheckCoordinatorsChange(const Author& author, const JournalRow& before, const JournalRow& after) {
  const Task& was = before.task;
  const Task& is = after.task;
  const auto changes = [&](TaskState::State from, TaskState::State to) { return was.state == from && is.state == to; };
  // Released, or failed, and leased again, in one transaction: the release stands between.
  const bool leased_anew = is.state == TaskState::STATE_LEASED && is.attempt != was.attempt;
  if (leased_anew) {
    if (is.attempt != was.attempt + 1)
      Violated("task ", is.id, " jumps from attempt ", was.attempt, " to ", is.attempt);
    if (!GatesOpen(is.id)) Violated("task ", is.id, " is leased before what it waits for is done");
    if (is.worker.empty()) Violated("task ", is.id, " is leased to nobody");
    if (was.state == TaskState::STATE_FAILED) Violated("task ", is.id, " had failed, and is leased");
    leased_to_[{is.id, is.attempt}] = is.worker;
  } else if (is.attempt != was.attempt) {
    Violated("task ", is.id, " goes from attempt ", was.attempt, " to ", is.attempt, " without a lease");
  } else if (!changes(TaskState::STATE_LEASED, TaskState::STATE_LEASED) &&
             !changes(TaskState::STATE_LEASED, TaskState::STATE_PENDING) &&
             !changes(TaskState::STATE_LEASED, TaskState::STATE_FAILED) &&
             !changes(TaskState::STATE_FAILED, TaskState::STATE_PENDING)) {
    Violated("task ", is.id, " goes from ", TaskStateName(was.state), " to ", TaskStateName(is.state),
             " by a coordinator's hand");
  }
  CheckFailures(author, before, after);
}

void Oracle::CheckFailures(const Author& author, const JournalRow& before, const JournalRow& after) {
  const Task& was = before.task;
  const Task& is = after.task;
  if (was.state == TaskState::STATE_FAILED) return;  // Tried again by the operator: from nothing.
  const auto found = failures_.find({is.id, was.attempt});
  const bool transient = found != failures_.end() && found->second == InjectedFailure::kTransient;
  const bool final = found != failures_.end() && found->second == InjectedFailure::kFinal;
  if (is.failures > was.failures + (transient || final ? 1 : 0)) {
    Violated("task ", is.id, " is charged for attempt ", was.attempt, ", which did not fail by its own fault");
  }
  const bool forgiven = author.forgives_all || (author.forgives_copies && is.kind == TaskKind::KIND_COPY);
  const bool reported = transient && was.state == TaskState::STATE_LEASED && is.state != was.state &&
                        after.sqlstate == SqlStateOf(InjectedFailure::kTransient);
  if (reported && !forgiven && is.failures != was.failures + 1) {
    Violated("task ", is.id, " is not charged for attempt ", was.attempt);
  }
  if (is.state == TaskState::STATE_FAILED) {
    if (!final && is.failures < retry_limit_) Violated("task ", is.id, " is given up after ", is.failures, " failures");
    return;
  }
  if (final && was.state == TaskState::STATE_LEASED && is.failures > was.failures) {
    Violated("task ", is.id, " is tried again after an error that no retry cures");
  }
  if (is.failures >= retry_limit_) Violated("task ", is.id, " is tried again after ", is.failures, " failures");
}

void Oracle::CheckWorkersChange(const Author& author, const JournalRow& before, const JournalRow& after) {
  const Task& was = before.task;
  const Task& is = after.task;
  if (was.state != TaskState::STATE_LEASED || was.attempt != author.attempt || is.attempt != was.attempt) {
    Violated("attempt ", author.attempt, " of task ", is.id, " changes the row, which is ", TaskStateName(was.state),
             " by attempt ", was.attempt);
  }
  if (is.state == TaskState::STATE_DONE) {
    if (!GatesOpen(is.id)) Violated("task ", is.id, " is done before what it waits for is");
    done_.insert(is.id);
    return;
  }
  if (is.state != was.state) Violated("a worker makes task ", is.id, " ", TaskStateName(is.state));
  const std::string& claimed_by = claimed_by_.emplace(Key(is.id, is.attempt), author.worker).first->second;
  if (claimed_by != author.worker) {
    Violated("attempt ", is.attempt, " of task ", is.id, " runs at ", claimed_by, " and at ", author.worker);
  }
}

void Oracle::CheckLeader(absl::Time now, const Author& author, const LeaderRow& before, const LeaderRow& after) {
  if (after.epoch == before.epoch) {
    if (after.expires != before.expires && author.epoch != before.epoch) {
      Violated("the coordinator of epoch ", author.epoch, " renews the lead of epoch ", before.epoch);
    }
    return;
  }
  if (after.epoch != before.epoch + 1) Violated("epoch ", after.epoch, " follows epoch ", before.epoch);
  if (before.expires > now) Violated("the lead is taken ", absl::FormatDuration(before.expires - now), " too early");
}

void Oracle::CheckEffects(const std::vector<TaskId>& effects) {
  for (const TaskId id : effects) {
    if (++effects_[id] > 1) Violated("the effect of task ", id, " is applied twice");
    if (done_.count(id) == 0) Violated("the effect of task ", id, " is committed without its entry in the journal");
  }
}

void Oracle::OnSnapshotReleased() {
  for (const auto& [id, task] : plan_.tasks) {
    if (task.kind == TaskKind::KIND_COPY && done_.count(id) == 0) Violated("the snapshot goes before range ", id);
  }
}

void Oracle::OnFinished() {
  if (!AllDone()) Violated("the migration is finished with ", plan_.tasks.size() - done_.size(), " tasks undone");
}

void Oracle::OnHandedOut(TaskId id, int attempt, const std::string& worker) {
  const auto lease = leased_to_.find({id, attempt});
  if (lease == leased_to_.end()) {
    Violated("attempt ", attempt, " of task ", id, " is handed out, but the journal has no such lease");
  } else if (lease->second != worker) {
    Violated("attempt ", attempt, " of task ", id, " is handed to ", worker, ", but leased to ", lease->second);
  }
}

}  // namespace hypershift::simulation
