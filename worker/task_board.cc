#include "worker/task_board.h"

#include <algorithm>
#include <set>

#include "absl/time/time.h"

namespace hypershift {
namespace {

constexpr absl::Duration kCancelInterval = absl::Milliseconds(500);

}  // namespace

TaskBoard::TaskBoard() : canceller_([this] { CancelLoop(); }) {}

TaskBoard::~TaskBoard() {
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    destroyed_ = true;
    changed_.NotifyAll();
  }
  canceller_.join();
}

void TaskBoard::Add(std::vector<v1::LeasedTask> leases) {
  MutexLock lock(&mutex_);
  for (v1::LeasedTask& lease : leases) {
    const Key key(lease.id(), lease.attempt());
    if (entries_.contains(key)) continue;
    auto entry = std::make_shared<Entry>(std::move(lease));
    entries_[key] = entry;
    waiting_.push_back(std::move(entry));
  }
  changed_.NotifyAll();
}

std::vector<TaskBoard::EntryPtr> TaskBoard::Take(SlotConnections* connections) {
  std::vector<EntryPtr> taken;
  {
    MutexLock lock(&mutex_);
    while (waiting_.empty() && !closed_) changed_.Wait(&mutex_);
    if (closed_) return taken;
    const int64_t bundle = waiting_.front()->lease.bundle();
    do {
      taken.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    } while (bundle != 0 && !waiting_.empty() && waiting_.front()->lease.bundle() == bundle);
    for (const EntryPtr& entry : taken) running_[{entry->lease.id(), entry->lease.attempt()}] = entry;
  }
  for (const EntryPtr& entry : taken) RunsOn(entry, connections);
  return taken;
}

void TaskBoard::RunsOn(const EntryPtr& entry, SlotConnections* connections) {
  MutexLock lock(&entry->connections_mutex_);
  entry->connections_ = connections;
}

void TaskBoard::Ended(const EntryPtr& entry) {
  {
    MutexLock lock(&mutex_);
    running_.erase({entry->lease.id(), entry->lease.attempt()});
  }
  // Waits for a cancel under way: it must not hit the slot's next task.
  RunsOn(entry, nullptr);
}

void TaskBoard::Forget(const EntryPtr& entry) {
  MutexLock lock(&mutex_);
  entries_.erase({entry->lease.id(), entry->lease.attempt()});
}

void TaskBoard::Revoke(int64_t id, int32_t attempt) {
  MutexLock lock(&mutex_);
  const auto found = entries_.find({id, attempt});
  if (found == entries_.end()) return;
  const EntryPtr entry = found->second;
  entry->revoked = true;
  entry->progress.cancelled = true;
  const auto waiting = std::find(waiting_.begin(), waiting_.end(), entry);
  if (waiting != waiting_.end()) {
    waiting_.erase(waiting);
    entries_.erase(found);
  }
  changed_.NotifyAll();
}

void TaskBoard::CancelAll() {
  MutexLock lock(&mutex_);
  for (const auto& [key, entry] : entries_) entry->progress.cancelled = true;
  for (const EntryPtr& entry : waiting_) entries_.erase({entry->lease.id(), entry->lease.attempt()});
  waiting_.clear();
  changed_.NotifyAll();
}

void TaskBoard::Close() {
  MutexLock lock(&mutex_);
  closed_ = true;
  changed_.NotifyAll();
}

bool TaskBoard::closed() const {
  MutexLock lock(&mutex_);
  return closed_;
}

std::vector<v1::RunningTask> TaskBoard::Running() const {
  MutexLock lock(&mutex_);
  std::vector<v1::RunningTask> tasks;
  for (const auto& [key, entry] : entries_) {
    v1::RunningTask& task = tasks.emplace_back();
    task.set_id(key.first);
    task.set_attempt(key.second);
    task.set_rows(entry->progress.rows);
    task.set_bytes(entry->progress.bytes);
  }
  return tasks;
}

int TaskBoard::size() const {
  MutexLock lock(&mutex_);
  return static_cast<int>(entries_.size());
}

int TaskBoard::slots() const {
  MutexLock lock(&mutex_);
  std::set<int64_t> bundles;
  int alone = 0;
  for (const auto& [key, entry] : entries_) {
    if (entry->lease.bundle() == 0) {
      ++alone;
    } else {
      bundles.insert(entry->lease.bundle());
    }
  }
  return alone + static_cast<int>(bundles.size());
}

int TaskBoard::unended() const {
  MutexLock lock(&mutex_);
  return static_cast<int>(waiting_.size() + running_.size());
}

std::vector<TaskBoard::EntryPtr> TaskBoard::ToCancel() {
  std::vector<EntryPtr> result;
  for (const auto& [key, entry] : running_) {
    if (entry->progress.cancelled) result.push_back(entry);
  }
  return result;
}

void TaskBoard::CancelLoop() {
  while (true) {
    std::vector<EntryPtr> entries;
    {
      MutexLock lock(&mutex_);
      while (!destroyed_ && (entries = ToCancel()).empty()) changed_.Wait(&mutex_);
      if (destroyed_) return;
    }
    std::set<SlotConnections*> asked;  // Those of a bundle are the same.
    for (const EntryPtr& entry : entries) {
      MutexLock lock(&entry->connections_mutex_);
      if (entry->connections_ != nullptr && asked.insert(entry->connections_).second) entry->connections_->Cancel();
    }
    MutexLock lock(&mutex_);
    if (!destroyed_) changed_.WaitFor(&mutex_, kCancelInterval);
  }
}

}  // namespace hypershift
