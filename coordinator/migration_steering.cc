// How MigrationState is steered: pause, limits, the end of a worker or of the whole, and what of it holds just now.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/names.h"
#include "coordinator/migration_state.h"
#include "coordinator/snapshot.h"

namespace hypershift {
namespace {

// Less than a client waits for an answer.
constexpr absl::Duration kJournalWait = absl::Seconds(8);
// So often at most a worker is called back only to hear of another share.
constexpr absl::Duration kShareInterval = absl::Milliseconds(200);
// Of a limit on bytes: from here on it is what holds the migration back.
constexpr double kReached = 0.85;

// "w1, w2, w3 (and 4 more)".
std::string NamesInLine(const std::vector<std::string>& names) {
  constexpr size_t kMost = 20;
  const size_t shown = std::min(names.size(), kMost);
  const std::string text = absl::StrJoin(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", ");
  return names.size() > shown ? absl::StrCat(text, " (and ", names.size() - shown, " more)") : text;
}

}  // namespace

void MigrationState::SetSteering(const Steering& steering) {
  MutexLock lock(&mutex_);
  steering_ = steering;
  news_.NotifyAll();
}

void MigrationState::ForbidSteering(const std::string& why) {
  MutexLock lock(&mutex_);
  unsteerable_ = why;
}

std::optional<WishedSteering> MigrationState::FindWishedSteering() {
  MutexLock lock(&mutex_);
  if (wished_ == wishes_written_ || !steering_.has_value()) return std::nullopt;
  return WishedSteering{Fulfil(wish_, *steering_, clock_->Now()), wished_};
}

void MigrationState::SteeringWritten(const WishedSteering& written) {
  MutexLock lock(&mutex_);
  steering_ = written.steering;
  wishes_written_ = written.number;
  // What was wished meanwhile is laid over what has been fulfilled: fulfilling that again changes nothing.
  if (wished_ == written.number) wish_ = SteeringWish();
  news_.NotifyAll();
}

Steering MigrationState::steering() {
  MutexLock lock(&mutex_);
  return steering_.value_or(Steering());
}

void MigrationState::SetThrottle(const std::string& reason, const std::vector<std::string>& warnings) {
  MutexLock lock(&mutex_);
  throttle_warnings_ = warnings;
  if (throttle_ == reason) return;
  throttle_ = reason;
  woken_ = true;
  reported_.NotifyAll();
}

bool MigrationState::throttled() {
  MutexLock lock(&mutex_);
  return !throttle_.empty();
}

absl::StatusOr<Steering> MigrationState::Steer(const SteeringWish& wish) {
  const absl::Time deadline = clock_->Now() + kJournalWait;
  MutexLock lock(&mutex_);
  if (standby_) return absl::UnavailableError("this coordinator does not lead: another one does");
  if (!unsteerable_.empty()) return absl::FailedPreconditionError(unsteerable_);
  const absl::Status over = absl::FailedPreconditionError("the migration has ended");
  if (HasEnded() || (steering_.has_value() && steering_->cancelled())) return over;
  if (!steering_.has_value()) return absl::UnavailableError("the migration has not begun yet");
  OverlayWish(wish, &wish_);
  const int64_t number = ++wished_;
  woken_ = true;
  reported_.NotifyAll();
  while (wishes_written_ < number) {
    if (standby_) return absl::UnavailableError("another coordinator has taken the lead: ask that one");
    if (HasEnded()) return over;
    const absl::Duration left = deadline - clock_->Now();
    if (left <= absl::ZeroDuration()) {
      return absl::UnknownError(
          "it could not be written into the journal on the target yet; it takes effect as soon as it can");
    }
    news_.WaitFor(&mutex_, std::min(left, absl::Milliseconds(500)));
  }
  return *steering_;
}

bool MigrationState::HoldsSnapshot(const Worker& worker) const {
  return worker.keeper_snapshot.has_value() &&
         (!snapshot_.has_value() || SameSnapshot(*worker.keeper_snapshot, *snapshot_));
}

absl::StatusOr<int> MigrationState::DrainWorker(const std::string& name) {
  const absl::Time now = clock_->Now();
  MutexLock lock(&mutex_);
  if (standby_) return absl::UnavailableError("this coordinator does not lead: another one does");
  if (HasEnded()) return absl::FailedPreconditionError("the migration has ended");
  const auto found = workers_.find(name);
  if (found == workers_.end()) {
    std::vector<std::string> names;
    for (const auto& [other, worker] : workers_) names.push_back(other);
    return absl::NotFoundError(
        absl::StrCat("there is no worker ", Printable(name), ": ",
                     names.empty() ? "none is known" : absl::StrCat("there are ", NamesInLine(names))));
  }
  // The coordinator holds it too, but everything would be lost with its process.
  const int64_t ranges = scheduler_.has_value() ? scheduler_->unfinished(TaskKind::KIND_COPY) : 0;
  if (ranges > 0 && !snapshot_released_ && HoldsSnapshot(found->second)) {
    bool held_elsewhere = false;
    for (const auto& [other, worker] : workers_) {
      const bool stays = other != name && !worker.drain && !worker.draining && Connected(worker, now);
      held_elsewhere = held_elsewhere || (stays && HoldsSnapshot(worker));
    }
    if (!held_elsewhere) {
      return absl::FailedPreconditionError(
          absl::StrCat("worker ", Printable(name), " is the last that holds the source's snapshot, and ", ranges,
                       " ranges are left: start another one first (with --slots 0 it is a keeper and nothing else)"));
    }
  }
  found->second.drain = true;
  news_.NotifyAll();
  return LeasedTo(name);
}

bool MigrationState::TellShare(const std::string& name, Worker* worker, v1::SynchronizeResponse* response) {
  if (!steering_.has_value() || !scheduler_.has_value()) return false;
  std::set<int64_t> own;  // Slots that copy, by what they run.
  std::set<int64_t> all;
  if (steering_->limits.max_bytes_per_second() > 0) {
    for (const TaskId id : scheduler_->leased()) {
      const Task* task = scheduler_->Find(id);
      if (task->kind != TaskKind::KIND_COPY) continue;
      all.insert(task->bundle);
      if (task->worker == name) own.insert(task->bundle);
    }
  }
  const int64_t share = ShareOfRate(steering_->limits.max_bytes_per_second(), static_cast<int64_t>(own.size()),
                                    static_cast<int64_t>(all.size()));
  response->set_bytes_per_second(share);
  const absl::Time now = clock_->Now();
  if (share == worker->told_bytes_per_second || now - worker->told_at < kShareInterval) return false;
  worker->told_bytes_per_second = share;
  worker->told_at = now;
  return true;
}

std::string MigrationState::PausedLine() const {
  const int running = scheduler_->leased_count();
  return absl::StrCat("paused since ",
                      absl::FormatTime("%Y-%m-%d %H:%M:%S", steering_->paused_since, absl::UTCTimeZone()), " UTC: ",
                      running == 0   ? "nothing runs"
                      : running == 1 ? "1 task still runs"
                                     : absl::StrCat(running, " tasks still run"),
                      "; `hypershift resume` goes on");
}

int64_t MigrationState::BytesPerSecond(absl::Time now) const {
  int64_t sum = 0;
  for (const auto& [name, rate] : rates_) sum += rate.PerSecond(now);
  return sum;
}

std::string MigrationState::ThrottledBy(absl::Time now) const {
  if (!throttle_.empty()) return throttle_;
  if (!steering_.has_value() || !scheduler_.has_value()) return "";
  const v1::Limits& limits = steering_->limits;
  int slots = 0;
  for (const auto& [name, worker] : workers_) {
    if (Connected(worker, now) && !worker.drain && !worker.draining) slots += worker.slots;
  }
  const int busy = scheduler_->busy_slots();
  if (limits.max_slots() > 0 && busy >= limits.max_slots() && slots > limits.max_slots()) {
    return absl::StrCat(busy, busy == 1 ? " slot is busy" : " slots are busy", ", no more than max-slots ",
                        limits.max_slots());
  }
  const int64_t rate = BytesPerSecond(now);
  if (limits.max_bytes_per_second() > 0 &&
      static_cast<double>(rate) >= kReached * static_cast<double>(limits.max_bytes_per_second())) {
    return absl::StrCat(FormatMeasuredBytes(rate), "/s, no more than max-bytes-per-second ",
                        FormatLimit(limits, "max-bytes-per-second"));
  }
  return "";
}

}  // namespace hypershift
