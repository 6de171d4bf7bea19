// How MigrationState looks from outside: the messages that status, the progress display and verify's verdict are made
// of.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/proto_time.h"
#include "coordinator/finishing_planner.h"
#include "coordinator/migration_state.h"
#include "coordinator/snapshot.h"
#include "coordinator/time_range.h"
#include "coordinator/verify_verdict.h"

namespace hypershift {
namespace {

// Half of what there is before the server refuses transactions.
constexpr int64_t kWorryingXminAge = 1000000000;

std::string MoreOf(size_t count) { return count < 2 ? "" : absl::StrCat(" (and ", count - 1, " more)"); }

// Where along the time column a task's rows or chunk are.
void SetRange(const TablePlan& table, v1::TaskInfo* info) {
  const bool along_time = info->kind() == TaskKind::KIND_COPY || info->kind() == TaskKind::KIND_PREPARE_CHUNK ||
                          info->kind() == TaskKind::KIND_COMPRESS;
  if (table.method != SplitMethod::kTime || !along_time) return;
  const std::optional<TimeRange> range = ParseTimeRange(info->description());
  if (!range.has_value()) return;
  info->set_range_start(range->start);
  if (range->end.has_value()) info->set_range_end(*range->end);
  info->set_range_is_integer(range->integer);
}

// In which phase of its life a table is, by what is unfinished.
std::string PhaseOf(const v1::TableInfo& info, const std::map<TaskKind::Kind, int>& unfinished) {
  if (info.tasks_failed() > 0) return "failed";
  if (info.tasks_done() == info.tasks_total()) return "done";
  if (info.tasks_done() == 0 && info.tasks_running() == 0) return "waiting";
  const auto open = [&](TaskKind::Kind kind) { return unfinished.count(kind) > 0; };
  if (open(TaskKind::KIND_COPY) || open(TaskKind::KIND_PREPARE_CHUNK)) return "copying";
  if (open(TaskKind::KIND_COMPRESS)) return "compressing";
  if (open(TaskKind::KIND_INDEX)) return "indexes";
  if (open(TaskKind::KIND_CONSTRAINT)) return "constraints";
  if (open(TaskKind::KIND_VERIFY)) return "verifying";
  return "finishing";
}

}  // namespace

std::string MigrationState::WaitsFor(const Task& task) const {
  if (task.state != TaskState::STATE_PENDING) return "";
  for (BarrierId gate : task.gates) {
    if (!scheduler_->IsOpen(gate)) return task.table == 0 ? "the tables' keys" : "earlier steps of its table";
  }
  if (stop_requested_) return "the same command again: the coordinator stops";
  if (steering_.has_value() && steering_->paused()) return "the end of the pause: hypershift resume";
  if (task.not_before > clock_->Now()) return absl::StrCat("a retry after: ", task.error);
  if (task.kind == TaskKind::KIND_COPY && !snapshot_.has_value()) return "the source's snapshot";
  if (!throttle_.empty()) return absl::StrCat("less load: ", throttle_);
  if (steering_.has_value() && steering_->limits.max_slots() > 0 &&
      scheduler_->busy_slots() >= steering_->limits.max_slots()) {
    return absl::StrCat("a free slot, of max-slots ", steering_->limits.max_slots());
  }
  return "a free slot";
}

v1::TaskInfo MigrationState::ToTaskInfo(const Task& task) const {
  v1::TaskInfo info;
  info.set_id(task.id);
  auto table = tables_.find(task.table);
  if (table != tables_.end()) info.set_table(table->second.name.Display());
  info.set_kind(task.kind);
  info.set_state(task.state);
  info.set_attempt(task.attempt);
  info.set_worker(task.worker);
  info.set_estimated_bytes(task.estimated_bytes);
  info.set_rows(task.rows);
  info.set_bytes(task.bytes);
  info.set_error(task.error);
  info.set_waits_for(WaitsFor(task));
  info.set_description(std::string(details_.Description(task.id)));
  if (table != tables_.end()) SetRange(table->second, &info);
  const absl::Time started_at = details_.StartedAt(task.id);
  const absl::Time finished_at = details_.FinishedAt(task.id);
  if (started_at != absl::InfinitePast()) *info.mutable_started_at() = ToProto(started_at);
  if (finished_at != absl::InfinitePast()) *info.mutable_finished_at() = ToProto(finished_at);
  if (task.state == TaskState::STATE_LEASED) {
    const TaskDetails::Progress progress = details_.ProgressOf(task.id);
    info.set_rows(progress.rows);
    info.set_bytes(progress.bytes);
  }
  return info;
}

std::map<int, v1::TableInfo> MigrationState::BuildTables() const {
  std::map<int, v1::TableInfo> infos;
  std::map<int, std::map<TaskKind::Kind, int>> unfinished;
  for (const auto& [id, plan] : tables_) {
    v1::TableInfo& info = infos[id];
    info.set_schema(plan.name.schema);
    info.set_name(plan.name.name);
    info.set_hypertable(plan.hypertable);
    info.set_compressed(plan.compressed);
    info.set_method(SplitMethodName(plan.method));
    info.set_format(plan.format);
    info.set_estimated_rows(plan.estimated_rows);
    info.set_estimated_bytes(plan.estimated_bytes);
    for (const std::string& column : plan.rewritable_columns) info.add_rewritable_columns(column);
  }
  if (!scheduler_.has_value()) return infos;
  for (const Task& task : scheduler_->tasks()) {
    auto found = infos.find(task.table);
    if (found == infos.end()) continue;
    v1::TableInfo& info = found->second;
    const bool done = task.state == TaskState::STATE_DONE;
    info.set_tasks_total(info.tasks_total() + 1);
    if (done) info.set_tasks_done(info.tasks_done() + 1);
    if (!done) ++unfinished[task.table][task.kind];
    if (task.state == TaskState::STATE_LEASED) info.set_tasks_running(info.tasks_running() + 1);
    if (task.state == TaskState::STATE_FAILED) {
      info.set_tasks_failed(info.tasks_failed() + 1);
      info.set_error(task.error);
    }
    const absl::Time started_at = details_.StartedAt(task.id);
    const absl::Time finished_at = details_.FinishedAt(task.id);
    if (started_at != absl::InfinitePast() && (!info.has_started_at() || started_at < FromProto(info.started_at()))) {
      *info.mutable_started_at() = ToProto(started_at);
    }
    if (finished_at != absl::InfinitePast() &&
        (!info.has_finished_at() || finished_at > FromProto(info.finished_at()))) {
      *info.mutable_finished_at() = ToProto(finished_at);
    }
    if (task.kind != TaskKind::KIND_COPY) continue;
    info.set_ranges_total(info.ranges_total() + 1);
    if (done) {
      info.set_ranges_done(info.ranges_done() + 1);
      info.set_rows_done(info.rows_done() + task.rows);
      info.set_bytes_done(info.bytes_done() + task.bytes);
    } else if (task.state == TaskState::STATE_LEASED) {
      const TaskDetails::Progress progress = details_.ProgressOf(task.id);
      info.set_rows_running(info.rows_running() + progress.rows);
      info.set_bytes_running(info.bytes_running() + progress.bytes);
    }
  }
  for (auto& [id, info] : infos) {
    info.set_phase(PhaseOf(info, unfinished[id]));
    if (info.tasks_done() < info.tasks_total()) info.clear_finished_at();
    // What has arrived is better than an estimate that was too low.
    if (info.ranges_done() == info.ranges_total()) info.set_estimated_rows(info.rows_done());
  }
  return infos;
}

void MigrationState::JudgeTables(std::map<int, v1::TableInfo>* tables) const {
  if (!scheduler_.has_value()) return;
  std::map<int, std::map<std::string, VerifiedRange>> ranges;
  for (const Task& task : scheduler_->tasks()) {
    if (task.kind != TaskKind::KIND_VERIFY) continue;
    VerifiedRange& range = ranges[task.table][task.range_key];
    range.checked = task.state == TaskState::STATE_DONE;
    range.description = std::string(details_.Description(task.id));
    range.found = details_.DigestOf(task.id);
  }
  for (const Task& task : scheduler_->tasks()) {
    if (task.kind != TaskKind::KIND_COPY) continue;
    auto table = ranges.find(task.table);
    if (table == ranges.end()) continue;
    auto range = table->second.find(VerifyRangeKey(tables_.at(task.table), task.range_key));
    if (range != table->second.end())
      range->second.copied = AddDigests(range->second.copied, details_.DigestOf(task.id));
  }
  for (auto& [id, by_key] : ranges) {
    auto info = tables->find(id);
    if (info == tables->end()) continue;
    std::vector<VerifiedRange> list;
    for (auto& [key, range] : by_key) list.push_back(std::move(range));
    const Verdict verdict = JudgeTable(list, tables_.at(id).rewritable_columns);
    info->second.set_verify_result(verdict.result);
    info->second.set_verify_detail(verdict.detail);
  }
}

// Of the task whose retry comes first.
std::string MigrationState::LatestError() const {
  const Task* first = nullptr;
  for (const Task& task : scheduler_->tasks()) {
    if (task.state != TaskState::STATE_PENDING || task.error.empty()) continue;
    if (first == nullptr || task.not_before < first->not_before) first = &task;
  }
  return first == nullptr ? "" : first->error;
}

std::string MigrationState::StatusLine(absl::Time now) const {
  if (info_.phase() != v1::MigrationPhase::PHASE_RUN) return info_.status_line();
  if (!scheduler_.has_value()) return info_.status_line();
  if (!trouble_.empty()) return absl::StrCat("waits: ", trouble_);
  if (stop_requested_) return absl::StrCat("stopping: ", scheduler_->leased_count(), " tasks still run");
  if (steering_.has_value() && steering_->cancelled()) {
    return absl::StrCat("cancelling: ", scheduler_->leased_count(), " tasks are rolled back");
  }
  if (steering_.has_value() && steering_->paused()) return PausedLine();
  int connected = 0;
  int slots = 0;
  int draining = 0;
  for (const auto& [name, worker] : workers_) {
    if (!Connected(worker, now) || worker.slots == 0) continue;
    if (worker.drain || worker.draining) {
      ++draining;
      continue;
    }
    ++connected;
    slots += worker.slots;
  }
  if (connected == 0) {
    return draining > 0 ? "waits for a worker: all that are connected drain" : "waits for a worker: none is connected";
  }
  if (scheduler_->unfinished(TaskKind::KIND_COPY) > 0 && !snapshot_.has_value() && !snapshot_released_) {
    return "waits for the source's snapshot";
  }
  if (scheduler_->leased_count() == 0 && scheduler_->NextRetryTime(now) < absl::InfiniteFuture()) {
    return absl::StrCat("waits to try again what failed: ", LatestError());
  }
  if (!throttle_.empty()) {
    return absl::StrCat("throttled: ", throttle_, "; ", scheduler_->leased_count(), " tasks still run");
  }
  if (!waits_.empty()) return absl::StrCat("waits for ", waits_.front(), MoreOf(waits_.size()));
  const std::string runs = absl::StrCat("runs ", scheduler_->leased_count(), " tasks in ", slots, " slots of ",
                                        connected, connected == 1 ? " worker" : " workers");
  const std::string throttled = ThrottledBy(now);
  return throttled.empty() ? runs : absl::StrCat("throttled: ", throttled, "; ", runs);
}

v1::MigrationInfo MigrationState::GetMigration() {
  const absl::Time now = clock_->Now();
  MutexLock lock(&mutex_);
  v1::MigrationInfo info = info_;
  info.set_status_line(StatusLine(now));
  info.set_snapshot_released(snapshot_released_);
  for (const std::string& wait : waits_) info.add_waits(wait);
  if (steering_.has_value()) {
    info.set_paused(steering_->paused());
    *info.mutable_limits() = steering_->limits;
  }
  if (info.phase() == v1::MigrationPhase::PHASE_RUN) {
    info.set_throttled(ThrottledBy(now));
    info.set_bytes_per_second(BytesPerSecond(now));
    info.set_bottleneck(BottleneckOfAll(now));
    for (const std::string& warning : throttle_warnings_) info.add_warnings(warning);
  }
  if (!snapshot_released_ && snapshot_xmin_age_ > 0) {
    info.set_snapshot_xmin_age(snapshot_xmin_age_);
    if (snapshot_xmin_age_ > kWorryingXminAge) {
      info.add_warnings(absl::StrCat("source: the snapshot keeps rows of the last ", snapshot_xmin_age_ / 1000000,
                                     " million transactions from being vacuumed, and the server stops at about 2,100 "
                                     "million: let the migration end soon, or stop it and begin anew"));
    }
  }
  if (!snapshot_released_ && snapshot_taken_at_ < now) *info.mutable_snapshot_age() = ToProto(now - snapshot_taken_at_);
  int holders = 0;
  for (const auto& [name, worker] : workers_) {
    if (worker.keeper_snapshot.has_value() && Connected(worker, now)) ++holders;
  }
  info.set_snapshot_holders(holders);
  for (const auto& [id, table] : BuildTables()) {
    info.set_tables_total(info.tables_total() + 1);
    if (table.tasks_failed() > 0) info.set_tables_failed(info.tables_failed() + 1);
    if (table.tasks_done() == table.tasks_total()) info.set_tables_done(info.tables_done() + 1);
    info.set_ranges_total(info.ranges_total() + table.ranges_total());
    info.set_ranges_done(info.ranges_done() + table.ranges_done());
    info.set_estimated_rows(info.estimated_rows() + table.estimated_rows());
    info.set_estimated_bytes(info.estimated_bytes() + table.estimated_bytes());
    info.set_rows_done(info.rows_done() + table.rows_done());
    info.set_bytes_done(info.bytes_done() + table.bytes_done());
    info.set_rows_running(info.rows_running() + table.rows_running());
    info.set_bytes_running(info.bytes_running() + table.bytes_running());
  }
  if (scheduler_.has_value()) {
    info.set_tasks_total(static_cast<int64_t>(scheduler_->tasks().size()));
    info.set_tasks_done(info.tasks_total() - scheduler_->unfinished());
    info.set_tasks_running(scheduler_->leased_count());
  }
  return info;
}

std::vector<v1::TableInfo> MigrationState::ListTables() {
  MutexLock lock(&mutex_);
  std::map<int, v1::TableInfo> tables = BuildTables();
  JudgeTables(&tables);
  std::vector<v1::TableInfo> list;
  for (auto& [id, info] : tables) list.push_back(std::move(info));
  return list;
}

std::vector<v1::TaskInfo> MigrationState::ListTasks(const std::string& table, TaskState::State state, TaskId after,
                                                    int limit) {
  MutexLock lock(&mutex_);
  std::vector<v1::TaskInfo> list;
  if (!scheduler_.has_value()) return list;
  const auto& tasks = scheduler_->tasks();
  const auto first =
      std::upper_bound(tasks.begin(), tasks.end(), after, [](TaskId id, const Task& task) { return id < task.id; });
  for (auto it = first; it != tasks.end() && static_cast<int>(list.size()) < limit; ++it) {
    const Task& task = *it;
    if (state != TaskState::STATE_UNSPECIFIED && task.state != state) continue;
    if (!table.empty()) {
      auto plan = tables_.find(task.table);
      if (plan == tables_.end() || plan->second.name.Display() != table) continue;
    }
    list.push_back(ToTaskInfo(task));
  }
  return list;
}

std::vector<v1::WorkerInfo> MigrationState::ListWorkers() {
  const absl::Time now = clock_->Now();
  MutexLock lock(&mutex_);
  std::vector<v1::WorkerInfo> list;
  for (const auto& [name, worker] : workers_) {
    v1::WorkerInfo info;
    info.set_name(name);
    info.set_zone(worker.zone);
    info.set_slots(worker.slots);
    info.set_slots_busy(LeasedTo(name));
    info.set_version(worker.version);
    *info.mutable_last_seen() = ToProto(worker.last_seen);
    info.set_connected(Connected(worker, now));
    info.set_holds_snapshot(worker.keeper_snapshot.has_value() &&
                            (!snapshot_.has_value() || SameSnapshot(*worker.keeper_snapshot, *snapshot_)));
    info.set_process_id(worker.process_id);
    info.set_draining(worker.drain || worker.draining);
    const auto rate = rates_.find(name);
    if (rate != rates_.end()) info.set_bytes_per_second(rate->second.PerSecond(now));
    const v1::Measurements& measured = worker.measurements;
    if (measured.has_source_latency()) *info.mutable_source_latency() = measured.source_latency();
    if (measured.has_target_latency()) *info.mutable_target_latency() = measured.target_latency();
    info.set_bottleneck(BottleneckOf(name, now));
    list.push_back(std::move(info));
  }
  return list;
}

}  // namespace hypershift
