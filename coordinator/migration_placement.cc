// How MigrationState knows who is fast, what holds the others up, and whether a worker is where it should be.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "common/server_identity.h"
#include "coordinator/migration_state.h"

namespace hypershift {
namespace {

// What pg_stat_activity keeps of an application's name (NAMEDATALEN - 1).
constexpr size_t kMaxApplicationName = 63;
// How much the latest copy says of a worker's speed.
constexpr double kNews = 0.3;
// A range that was given away so often stays where it is.
constexpr int kMaxSetbacks = 3;
// Of a limit on bytes: from here on it is what holds a worker back.
constexpr double kReached = 0.85;

std::string SessionName(const std::string& worker) {
  return absl::StrCat("hypershift ", worker).substr(0, kMaxApplicationName);
}

}  // namespace

void MigrationState::AddSpeed(const TaskRow& row) {
  const absl::Duration took = row.finished_at - row.started_at;
  if (row.task.bytes <= 0 || took <= absl::ZeroDuration() || took == absl::InfiniteDuration()) return;
  const double speed = static_cast<double>(row.task.bytes) / absl::ToDoubleSeconds(took);
  const auto [known, fresh] = slot_speeds_.emplace(row.task.worker, speed);
  if (!fresh) known->second += kNews * (speed - known->second);
}

double MigrationState::SlotSpeed(const std::string& worker) const {
  const auto known = slot_speeds_.find(worker);
  return known == slot_speeds_.end() ? 0 : known->second;
}

std::vector<HandOver> MigrationState::FindHandOvers(absl::Time now) {
  const std::vector<FreeWorker> free = FreeWorkers(now);
  MutexLock lock(&mutex_);
  if (free.empty() || !scheduler_.has_value()) return {};
  // Who is free has something better to do.
  if (scheduler_->Next(now, [](const Task&) { return true; }) != nullptr) return {};
  std::vector<RunningCopy> copies;
  for (const TaskId id : scheduler_->leased()) {
    const Task* task = scheduler_->Find(id);
    if (task->kind != TaskKind::KIND_COPY || task->setbacks >= kMaxSetbacks) continue;
    const absl::Time started_at = details_.StartedAt(id);
    if (started_at == absl::InfinitePast()) continue;
    copies.push_back(
        {id, task->attempt, task->worker, now - started_at, details_.ProgressOf(id).bytes, task->estimated_bytes});
  }
  std::vector<Helper> helpers;
  for (const FreeWorker& worker : free) helpers.push_back({worker.name, worker.free_slots, SlotSpeed(worker.name)});
  return ChooseHandOvers(copies, std::move(helpers));
}

void MigrationState::AddCopySessions(const std::map<std::string, CopySessions>& by_session) {
  MutexLock lock(&mutex_);
  for (const auto& [name, worker] : workers_) {
    const auto found = by_session.find(SessionName(name));
    if (found != by_session.end()) copy_looks_[name].Add(found->second);
  }
}

bool MigrationState::IsLimited(int64_t rate, int64_t limit) const {
  return limit > 0 && static_cast<double>(rate) >= kReached * static_cast<double>(limit);
}

v1::Bottleneck::Part MigrationState::BottleneckOf(const std::string& worker, absl::Time now) const {
  const auto looks = copy_looks_.find(worker);
  if (looks == copy_looks_.end() || LeasedTo(worker) == 0) return v1::Bottleneck::PART_UNSPECIFIED;
  const auto rate = rates_.find(worker);
  return looks->second.Judge(rate != rates_.end() &&
                             IsLimited(rate->second.PerSecond(now), workers_.at(worker).told_bytes_per_second));
}

v1::Bottleneck::Part MigrationState::BottleneckOfAll(absl::Time now) const {
  CopyLooks all;
  for (const auto& [name, worker] : workers_) {
    const auto looks = copy_looks_.find(name);
    if (looks != copy_looks_.end() && LeasedTo(name) > 0) all += looks->second;
  }
  return all.Judge(steering_.has_value() && IsLimited(BytesPerSecond(now), steering_->limits.max_bytes_per_second()));
}

void MigrationState::SetServers(const v1::ServerIdentity& source, const v1::ServerIdentity& target) {
  MutexLock lock(&mutex_);
  source_ = source;
  target_ = target;
  news_.NotifyAll();
}

absl::Status MigrationState::CheckServers(const std::string& name, const Worker& worker) const {
  const auto check = [&name](const char* what, const std::optional<v1::ServerIdentity>& ours,
                             const std::optional<v1::ServerIdentity>& theirs) -> absl::Status {
    if (!ours.has_value() || !theirs.has_value()) return absl::OkStatus();
    const std::string difference = DifferenceOfServers(*ours, *theirs);
    if (difference.empty()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("--", what, " of worker ", Printable(name), " ", difference, " (the coordinator's ", what,
                     "): give it another address of the same server, or none to use the coordinator's"));
  };
  const absl::Status source = check("source", source_, worker.source);
  return source.ok() ? check("target", target_, worker.target) : source;
}

}  // namespace hypershift
