#include "worker/keeper.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "worker/source_snapshot.h"

namespace hypershift {
namespace {

// Often enough that a lost snapshot is found before much is planned on it, and that no firewall forgets the session.
constexpr absl::Duration kCheckInterval = absl::Seconds(5);
constexpr absl::Duration kFirstPause = absl::Seconds(1);
constexpr absl::Duration kMaxPause = absl::Seconds(30);

bool IsSame(const v1::Snapshot& a, const v1::Snapshot& b) {
  return a.current_snapshot() == b.current_snapshot() && a.postmaster_start() == b.postmaster_start();
}

}  // namespace

Keeper::Keeper(ConnectionString source, std::string worker_name)
    : source_(std::move(source)),
      worker_name_(std::move(worker_name)),
      pause_(kFirstPause),
      thread_([this] { Loop(); }) {}

Keeper::~Keeper() {
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void Keeper::Offer(const v1::Snapshot& snapshot) {
  MutexLock lock(&mutex_);
  if (offer_.has_value() || release_ || snapshot.id().empty()) return;
  if (snapshot_.has_value() && IsSame(*snapshot_, snapshot)) return;
  snapshot_.reset();
  offer_ = snapshot;
  changed_.NotifyAll();
}

bool Keeper::wants_snapshot() const {
  MutexLock lock(&mutex_);
  return !snapshot_.has_value() && !offer_.has_value() && !release_ && absl::Now() >= not_before_;
}

std::optional<v1::Snapshot> Keeper::snapshot() const {
  MutexLock lock(&mutex_);
  return snapshot_;
}

std::optional<v1::Snapshot> Keeper::WaitForSnapshot(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  MutexLock lock(&mutex_);
  while (offer_.has_value() && !ending_ && absl::Now() < deadline) {
    changed_.WaitFor(&mutex_, deadline - absl::Now());
  }
  return snapshot_;
}

void Keeper::CheckNow() {
  MutexLock lock(&mutex_);
  check_now_ = true;
  changed_.NotifyAll();
}

void Keeper::Release() {
  MutexLock lock(&mutex_);
  release_ = true;
  snapshot_.reset();
  changed_.NotifyAll();
}

void Keeper::Loop() {
  while (true) {
    v1::Snapshot offer;
    switch (NextStep(&offer)) {
      case Step::kImport:
        Import(offer);
        break;
      case Step::kCheck:
        Check();
        break;
      case Step::kRelease:
        CloseSession();
        LogInfo("snapshot released", {{"worker", worker_name_}});
        break;
      case Step::kEnd:
        CloseSession();
        return;
    }
  }
}

Keeper::Step Keeper::NextStep(v1::Snapshot* offer) {
  MutexLock lock(&mutex_);
  const absl::Time check_at = absl::Now() + kCheckInterval;
  while (true) {
    if (ending_) return Step::kEnd;
    if (release_ && !released_) {
      released_ = true;
      offer_.reset();
      return Step::kRelease;
    }
    if (offer_.has_value()) {
      *offer = *offer_;
      return Step::kImport;
    }
    if (snapshot_.has_value() && (check_now_ || absl::Now() >= check_at)) {
      check_now_ = false;
      return Step::kCheck;
    }
    if (snapshot_.has_value()) {
      changed_.WaitFor(&mutex_, std::max(check_at - absl::Now(), absl::Milliseconds(1)));
    } else {
      check_now_ = false;
      changed_.Wait(&mutex_);
    }
  }
}

absl::StatusOr<v1::Snapshot> Keeper::ImportAndExport(const v1::Snapshot& offer) {
  SessionOptions options;
  options.role = ServerRole::kSource;
  options.application_name = "hypershift keeper";
  HS_ASSIGN_OR_RETURN(session_, CopyConnection::Open(source_, options));
  HS_RETURN_IF_ERROR(BeginOnSnapshot(session_.get(), offer));
  return ExportSnapshot(session_.get());
}

void Keeper::Import(const v1::Snapshot& offer) {
  absl::StatusOr<v1::Snapshot> exported = ImportAndExport(offer);
  if (!exported.ok()) CloseSession();
  MutexLock lock(&mutex_);
  offer_.reset();
  changed_.NotifyAll();
  if (!exported.ok()) {
    LogWarning("the keeper can't hold the snapshot",
               {{"worker", worker_name_}, {"error", exported.status().message()}});
    not_before_ = absl::Now() + pause_;
    pause_ = std::min(pause_ * 2, kMaxPause);
    return;
  }
  pause_ = kFirstPause;
  if (release_) return;
  snapshot_ = *std::move(exported);
  LogInfo("snapshot held", {{"worker", worker_name_}, {"snapshot", snapshot_->id()}});
}

void Keeper::Check() {
  const absl::Status status = session_->Execute("SELECT 1").status();
  if (status.ok()) return;
  CloseSession();
  LogError("the snapshot is lost", {{"worker", worker_name_}, {"error", status.message()}});
  MutexLock lock(&mutex_);
  snapshot_.reset();
  changed_.NotifyAll();
}

void Keeper::CloseSession() { session_.reset(); }

}  // namespace hypershift
