#include "coordinator/migration_state.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/names.h"
#include "common/proto_time.h"
#include "common/status_macros.h"
#include "common/version.h"
#include "coordinator/snapshot.h"

namespace hypershift {
namespace {

constexpr char kAnotherLeads[] = "this coordinator does not lead: another one does";

}  // namespace

void MigrationState::SetMigration(const v1::MigrationInfo& info) {
  MutexLock lock(&mutex_);
  info_ = info;
}

void MigrationState::SetPhase(v1::MigrationPhase::Phase phase, const std::string& status_line) {
  MutexLock lock(&mutex_);
  info_.set_phase(phase);
  info_.set_status_line(status_line);
  if (HasEnded()) *info_.mutable_finished_at() = ToProto(clock_->Now());
  news_.NotifyAll();
}

void MigrationState::SetReport(const std::vector<std::string>& warnings, const std::vector<std::string>& left_out) {
  MutexLock lock(&mutex_);
  info_.mutable_warnings()->Assign(warnings.begin(), warnings.end());
  info_.mutable_left_out()->Assign(left_out.begin(), left_out.end());
}

void MigrationState::SetError(const std::string& error) {
  MutexLock lock(&mutex_);
  info_.set_error(error);
}

void MigrationState::SetStandby(bool standby) {
  MutexLock lock(&mutex_);
  standby_ = standby;
  news_.NotifyAll();
}

void MigrationState::SetTrouble(const std::string& trouble) {
  MutexLock lock(&mutex_);
  trouble_ = trouble;
}

void MigrationState::SetWaits(const std::vector<std::string>& waits) {
  MutexLock lock(&mutex_);
  waits_ = waits;
}

void MigrationState::SetSnapshotXminAge(int64_t transactions) {
  MutexLock lock(&mutex_);
  snapshot_xmin_age_ = transactions;
}

void MigrationState::LoadPlan(std::vector<TablePlan> tables, TaskDetails details, Scheduler scheduler) {
  MutexLock lock(&mutex_);
  tables_.clear();
  for (TablePlan& table : tables) {
    const int id = table.id;
    tables_.emplace(id, std::move(table));
  }
  for (const TaskId id : scheduler.leased()) details.SetProgress(id, details_.ProgressOf(id));
  details_ = std::move(details);
  scheduler_ = std::move(scheduler);
}

Reports MigrationState::TakeReports(absl::Duration wait) {
  const absl::Time deadline = clock_->Now() + wait;
  MutexLock lock(&mutex_);
  while (!woken_ && reports_.completed.empty() && reports_.failed.empty() && reports_.registered.empty() &&
         reports_.retried.empty()) {
    const absl::Duration left = deadline - clock_->Now();
    if (left <= absl::ZeroDuration() || !reported_.WaitFor(&mutex_, left)) break;
  }
  woken_ = false;
  return std::exchange(reports_, Reports());
}

void MigrationState::Wake() {
  MutexLock lock(&mutex_);
  woken_ = true;
  reported_.NotifyAll();
}

void MigrationState::WithScheduler(const std::function<void(Scheduler&)>& body) {
  MutexLock lock(&mutex_);
  if (scheduler_.has_value()) body(*scheduler_);
}

void MigrationState::RecordDone(const TaskRow& row) {
  MutexLock lock(&mutex_);
  if (row.task.kind == TaskKind::KIND_COPY) {
    const int64_t known = details_.ProgressOf(row.task.id).bytes;
    rates_[row.task.worker].Add(std::max<int64_t>(row.task.bytes - known, 0), clock_->Now());
    AddSpeed(row);
  }
  details_.Finish(row);
}

bool MigrationState::Connected(const Worker& worker, absl::Time now) const {
  return now - worker.last_seen < 3 * times_.heartbeat_interval;
}

int MigrationState::LeasedTo(const std::string& worker) const {
  std::set<int64_t> bundles;
  if (!scheduler_.has_value()) return 0;
  for (TaskId id : scheduler_->leased()) {
    if (scheduler_->Find(id)->worker == worker) bundles.insert(scheduler_->Find(id)->bundle);
  }
  return static_cast<int>(bundles.size());
}

std::vector<FreeWorker> MigrationState::FreeWorkers(absl::Time now) {
  MutexLock lock(&mutex_);
  std::vector<FreeWorker> free;
  for (const auto& [name, worker] : workers_) {
    if (worker.draining || worker.drain || !Connected(worker, now)) continue;
    const int slots = worker.slots - LeasedTo(name);
    if (slots > 0) free.push_back({name, slots});
  }
  std::stable_sort(free.begin(), free.end(),
                   [this](const FreeWorker& a, const FreeWorker& b)
                       ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return SlotSpeed(a.name) > SlotSpeed(b.name); });
  return free;
}

void MigrationState::HandOut(const std::string& worker, const std::vector<v1::LeasedTask>& tasks) {
  MutexLock lock(&mutex_);
  auto found = workers_.find(worker);
  if (found == workers_.end()) return;  // Its leases run out.
  for (const v1::LeasedTask& task : tasks) {
    v1::LeasedTask& queued = found->second.outbox.emplace_back(task);
    auto table = tables_.find(scheduler_.has_value() ? scheduler_->Find(task.id())->table : 0);
    if (table != tables_.end()) queued.set_table(table->second.name.Display());
    details_.Start(task.id(), clock_->Now());
  }
  news_.NotifyAll();
}

std::vector<std::pair<TaskId, int>> MigrationState::TakeRenewals(absl::Time now) {
  MutexLock lock(&mutex_);
  std::vector<std::pair<TaskId, int>> renewals;
  for (const Holding& holding : renewals_) {
    if (scheduler_.has_value() && MayHold(holding) &&
        scheduler_->Renew(holding.id, holding.attempt, now + times_.lease_duration).ok()) {
      renewals.emplace_back(holding.id, holding.attempt);
    }
  }
  renewals_.clear();
  return renewals;
}

void MigrationState::SetSnapshot(const std::optional<v1::Snapshot>& snapshot) {
  MutexLock lock(&mutex_);
  snapshot_ = snapshot;
  news_.NotifyAll();
}

void MigrationState::SetSnapshotTime(absl::Time taken_at, bool released) {
  MutexLock lock(&mutex_);
  snapshot_taken_at_ = taken_at;
  snapshot_released_ = released;
}

std::optional<v1::Snapshot> MigrationState::FindKeeperSnapshot(const v1::Snapshot& expected, absl::Time now) {
  MutexLock lock(&mutex_);
  for (const auto& [name, worker] : workers_) {
    if (!worker.keeper_snapshot.has_value() || !Connected(worker, now)) continue;
    if (SameSnapshot(*worker.keeper_snapshot, expected)) return worker.keeper_snapshot;
  }
  return std::nullopt;
}

void MigrationState::ReleaseSnapshot() {
  MutexLock lock(&mutex_);
  snapshot_released_ = true;
  snapshot_.reset();
  news_.NotifyAll();
}

void MigrationState::RevokeEverything() {
  MutexLock lock(&mutex_);
  revoke_everything_ = true;
  news_.NotifyAll();
}

void MigrationState::Finish(bool keepers_too) {
  MutexLock lock(&mutex_);
  finish_ = true;
  finish_keepers_ = keepers_too;
  news_.NotifyAll();
}

bool MigrationState::MustFinish(const Worker& worker) const { return finish_ && (worker.slots > 0 || finish_keepers_); }

void MigrationState::WaitUntilTold(absl::Duration timeout) {
  const absl::Time deadline = clock_->Now() + timeout;
  MutexLock lock(&mutex_);
  while (clock_->Now() < deadline) {
    const absl::Time now = clock_->Now();
    bool all = true;
    for (const auto& [name, worker] : workers_) {
      all = all && (worker.told_to_finish || !MustFinish(worker) || !Connected(worker, now));
    }
    if (all) return;
    news_.WaitFor(&mutex_, absl::Milliseconds(50));
  }
}

void MigrationState::RequestStop(bool at_once) {
  MutexLock lock(&mutex_);
  stop_requested_ = true;
  stop_at_once_ = stop_at_once_ || at_once;
  woken_ = true;
  reported_.NotifyAll();
}

bool MigrationState::stop_requested() {
  MutexLock lock(&mutex_);
  return stop_requested_;
}

bool MigrationState::stop_at_once() {
  MutexLock lock(&mutex_);
  return stop_at_once_;
}

absl::StatusOr<v1::RegisterResponse> MigrationState::Register(const v1::RegisterRequest& request) {
  if (request.name().empty()) return absl::InvalidArgumentError("the worker gives no name");
  if (request.slots() < 0) return absl::InvalidArgumentError("the worker has fewer than 0 slots");
  if (request.version() != kVersion) {
    return absl::FailedPreconditionError(absl::StrCat("the worker is version ", request.version(), ", the coordinator ",
                                                      kVersion, ": run the same version everywhere"));
  }
  MutexLock lock(&mutex_);
  if (standby_) return absl::UnavailableError(kAnotherLeads);
  Worker& worker = workers_[request.name()];
  worker = Worker();
  worker.zone = request.zone();
  worker.slots = request.slots();
  worker.version = request.version();
  worker.process_id = request.process_id();
  worker.last_seen = clock_->Now();
  if (request.has_keeper_snapshot()) worker.keeper_snapshot = request.keeper_snapshot();
  if (request.has_source()) worker.source = request.source();
  if (request.has_target()) worker.target = request.target();
  const absl::Status checked = CheckServers(request.name(), worker);
  if (!checked.ok()) {
    workers_.erase(request.name());
    return checked;
  }
  for (const v1::RunningTask& running : request.running()) {
    const Holding holding{running.id(), running.attempt(), request.name()};
    if (MayHold(holding)) renewals_.insert(holding);
  }
  reports_.registered.push_back(request);
  reported_.NotifyAll();
  LogInfo("worker registered", {{"worker", request.name()}, {"slots", request.slots()}, {"zone", request.zone()}});
  v1::RegisterResponse response;
  response.set_migration_id(info_.id());
  *response.mutable_heartbeat_interval() = ToProto(times_.heartbeat_interval);
  *response.mutable_lease_duration() = ToProto(times_.lease_duration);
  *response.mutable_keeper_grace() = ToProto(times_.keeper_grace);
  return response;
}

void MigrationState::RecordRunning(const std::string& worker,
                                   const google::protobuf::RepeatedPtrField<v1::RunningTask>& running,
                                   v1::SynchronizeResponse* response) {
  for (const v1::RunningTask& report : running) {
    if (!scheduler_.has_value()) continue;
    const Holding holding{report.id(), report.attempt(), worker};
    const Task* task = scheduler_->Find(report.id());
    // Parked calls say what ran when they were made.
    const bool has_ended = task != nullptr && task->state == TaskState::STATE_DONE &&
                           task->attempt == report.attempt() && task->worker == worker;
    if (has_ended) continue;
    if (MayHold(holding) && !revoke_everything_) {
      if (task != nullptr && task->kind == TaskKind::KIND_COPY) {
        rates_[worker].Add(std::max<int64_t>(report.bytes() - details_.ProgressOf(report.id()).bytes, 0),
                           clock_->Now());
      }
      details_.SetProgress(report.id(), {report.rows(), report.bytes()});
      renewals_.insert(holding);
    } else {
      *response->add_revoked() = report;
    }
  }
}

// Whether there is anything to say.
bool MigrationState::FillResponse(const v1::SynchronizeRequest& request, Worker* worker,
                                  v1::SynchronizeResponse* response) {
  response->set_migration_id(info_.id());
  bool news = response->revoked_size() > 0;
  while (!worker->outbox.empty()) {
    *response->add_start() = std::move(worker->outbox.front());
    worker->outbox.pop_front();
    news = true;
  }
  // A worker that comes back late may still hold the snapshot of a run before; its copies would be of another moment.
  const bool holds_another =
      request.has_keeper_snapshot() && snapshot_.has_value() && !SameSnapshot(request.keeper_snapshot(), *snapshot_);
  if ((request.needs_snapshot() || holds_another) && snapshot_.has_value()) {
    *response->mutable_snapshot() = *snapshot_;
    news = true;
  }
  if (snapshot_released_) {
    response->set_release_snapshot(true);
    news = news || request.has_keeper_snapshot();
  }
  if (worker->drain) {
    response->set_drain(true);
    news = news || !request.draining();
  }
  news = TellShare(request.name(), worker, response) || news;
  if (MustFinish(*worker)) {
    response->set_finish(true);
    worker->told_to_finish = true;
    news_.NotifyAll();
    news = true;
  }
  return news;
}

absl::StatusOr<v1::SynchronizeResponse> MigrationState::Synchronize(const v1::SynchronizeRequest& request,
                                                                    const std::function<bool()>& cancelled) {
  const absl::Duration wait = std::clamp(FromProto(request.wait()), absl::ZeroDuration(), absl::Seconds(10));
  const absl::Time deadline = clock_->Now() + wait;
  MutexLock lock(&mutex_);
  bool first = true;
  while (true) {
    if (standby_) return absl::UnavailableError(kAnotherLeads);
    auto found = workers_.find(request.name());
    if (found == workers_.end()) return absl::NotFoundError("the worker is not registered");
    Worker& worker = found->second;
    HS_RETURN_IF_ERROR(CheckServers(request.name(), worker));
    worker.last_seen = clock_->Now();
    v1::SynchronizeResponse response;
    if (first) {
      if (request.has_measurements()) worker.measurements = request.measurements();
      const bool was_draining = worker.draining;
      worker.draining = request.draining();
      if (request.has_keeper_snapshot()) {
        worker.keeper_snapshot = request.keeper_snapshot();
      } else {
        worker.keeper_snapshot.reset();
      }
      // A free slot may have appeared; and a first report may hold the snapshot that the run loop looks for.
      if (!was_draining || !request.draining()) {
        woken_ = true;
        reported_.NotifyAll();
      }
      first = false;
    }
    RecordRunning(request.name(), request.running(), &response);
    if (FillResponse(request, &worker, &response)) return response;
    const absl::Duration left = deadline - clock_->Now();
    if (left <= absl::ZeroDuration() || cancelled()) return response;
    news_.WaitFor(&mutex_, std::min(left, absl::Milliseconds(500)));
  }
}

bool MigrationState::MayHold(const Holding& holding) const {
  if (!scheduler_.has_value()) return true;
  const Task* task = scheduler_->Find(holding.id);
  return task != nullptr && task->state == TaskState::STATE_LEASED && task->attempt == holding.attempt &&
         task->worker == holding.worker;
}

// A worker speaks for itself alone: what others run, and what it has reported already, it can't change.
absl::Status MigrationState::CheckReport(const Holding& holding) const {
  if (standby_) return absl::UnavailableError(kAnotherLeads);
  if (!workers_.contains(holding.worker)) return absl::NotFoundError("the worker is not registered");
  // Not before there is a plan to hold it against; the worker says it again.
  if (!scheduler_.has_value()) return absl::UnavailableError("the coordinator has not read its plan yet");
  if (MayHold(holding)) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("attempt ", holding.attempt, " of task ", holding.id,
                                         " is not leased to worker ", Printable(holding.worker)));
}

absl::Status MigrationState::Complete(const v1::CompleteRequest& request) {
  MutexLock lock(&mutex_);
  absl::Status first = CheckReport({request.id(), request.attempt(), request.name()});
  if (!first.ok() && !absl::IsAborted(first)) return first;
  if (first.ok()) reports_.completed.push_back(request.id());
  for (const v1::RunningTask& other : request.together()) {
    if (MayHold({other.id(), other.attempt(), request.name()})) reports_.completed.push_back(other.id());
  }
  reported_.NotifyAll();
  return first;
}

absl::Status MigrationState::Fail(const v1::FailRequest& request) {
  MutexLock lock(&mutex_);
  HS_RETURN_IF_ERROR(CheckReport({request.id(), request.attempt(), request.name()}));
  reports_.failed.push_back(
      {request.id(), request.attempt(), request.error(), request.sqlstate(), request.retryable()});
  reported_.NotifyAll();
  return absl::OkStatus();
}

absl::StatusOr<int64_t> MigrationState::RetryTable(const std::string& table) {
  MutexLock lock(&mutex_);
  std::vector<std::string> names;
  int id = 0;
  for (const auto& [table_id, plan] : tables_) {
    names.push_back(plan.name.Display());
    if (names.back() == table) id = table_id;
  }
  if (id == 0) {
    const std::string nearest = NearestName(table, names);
    return absl::NotFoundError(absl::StrCat("the migration has no table ", Printable(table),
                                            nearest.empty() ? "" : absl::StrCat(": did you mean ", nearest, "?")));
  }
  if (HasEnded()) {
    return absl::FailedPreconditionError("the migration has ended: run its command again, which retries failed tables");
  }
  int64_t failed = 0;
  for (const Task& task : scheduler_->tasks()) {
    if (task.table == id && task.state == TaskState::STATE_FAILED) ++failed;
  }
  if (failed == 0) return absl::FailedPreconditionError(absl::StrCat("no step of ", table, " has failed"));
  reports_.retried.insert(id);
  reported_.NotifyAll();
  return failed;
}

bool MigrationState::ended() {
  MutexLock lock(&mutex_);
  return HasEnded();
}

bool MigrationState::HasEnded() const {
  return info_.phase() == v1::MigrationPhase::PHASE_DONE || info_.phase() == v1::MigrationPhase::PHASE_FAILED ||
         info_.phase() == v1::MigrationPhase::PHASE_STOPPED || info_.phase() == v1::MigrationPhase::PHASE_CANCELLED;
}

}  // namespace hypershift
