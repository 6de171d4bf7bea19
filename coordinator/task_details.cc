#include "coordinator/task_details.h"

#include <algorithm>

namespace hypershift {
namespace {

constexpr size_t kBlockBytes = size_t{1} << 18;

int64_t ToMicros(absl::Time time) { return time == absl::InfinitePast() ? INT64_MIN : absl::ToUnixMicros(time); }
absl::Time FromMicros(int64_t micros) {
  return micros == INT64_MIN ? absl::InfinitePast() : absl::FromUnixMicros(micros);
}

}  // namespace

TaskDetails::TaskDetails(const std::vector<TaskRow>& rows) {
  for (const TaskRow& row : rows) Add(row);
}

void TaskDetails::Add(const TaskRow& row) {
  Entry* entry = FindOrAdd(row.task.id);
  entry->description = Keep(row.description);
  entry->started_at = ToMicros(row.started_at);
  entry->finished_at = ToMicros(row.finished_at);
  if (keeps_digests_ && row.task.state == TaskState::STATE_DONE) digests_[row.task.id] = row.digest;
}

void TaskDetails::Start(TaskId id, absl::Time now) {
  FindOrAdd(id)->started_at = ToMicros(now);
  progress_.erase(id);
}

void TaskDetails::Finish(const TaskRow& row) {
  Entry* entry = FindOrAdd(row.task.id);
  entry->started_at = ToMicros(row.started_at);
  entry->finished_at = ToMicros(row.finished_at);
  progress_.erase(row.task.id);
  if (keeps_digests_) digests_[row.task.id] = row.digest;
}

absl::string_view TaskDetails::Description(TaskId id) const {
  const Entry* entry = Find(id);
  return entry == nullptr ? absl::string_view() : entry->description;
}

absl::Time TaskDetails::StartedAt(TaskId id) const {
  const Entry* entry = Find(id);
  return entry == nullptr ? absl::InfinitePast() : FromMicros(entry->started_at);
}

absl::Time TaskDetails::FinishedAt(TaskId id) const {
  const Entry* entry = Find(id);
  return entry == nullptr ? absl::InfinitePast() : FromMicros(entry->finished_at);
}

TaskDetails::Progress TaskDetails::ProgressOf(TaskId id) const {
  const auto found = progress_.find(id);
  return found == progress_.end() ? Progress() : found->second;
}

v1::Digest TaskDetails::DigestOf(TaskId id) const {
  const auto found = digests_.find(id);
  return found == digests_.end() ? v1::Digest() : found->second;
}

absl::string_view TaskDetails::Keep(absl::string_view text) {
  if (text.empty()) return text;
  if (block_size_ - block_used_ < text.size()) {
    block_size_ = std::max(kBlockBytes, text.size());
    block_used_ = 0;
    blocks_.push_back(std::make_unique<char[]>(block_size_));
  }
  char* const begin = blocks_.back().get() + block_used_;
  std::copy(text.begin(), text.end(), begin);
  block_used_ += text.size();
  return {begin, text.size()};
}

const TaskDetails::Entry* TaskDetails::Find(TaskId id) const {
  if (entries_.empty() || id < entries_.front().id) return nullptr;
  // Where it is unless ids are missing before it.
  const auto guess = static_cast<size_t>(id - entries_.front().id);
  if (guess < entries_.size() && entries_[guess].id == id) return &entries_[guess];
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), id,
                                      [](const Entry& entry, TaskId wanted) { return entry.id < wanted; });
  return found != entries_.end() && found->id == id ? &*found : nullptr;
}

TaskDetails::Entry* TaskDetails::FindOrAdd(TaskId id) {
  auto place = entries_.end();
  if (!entries_.empty() && entries_.back().id >= id) {
    place = std::lower_bound(entries_.begin(), entries_.end(), id,
                             [](const Entry& entry, TaskId wanted) { return entry.id < wanted; });
    if (place->id == id) return &*place;
  }
  place = entries_.insert(place, Entry());
  place->id = id;
  return &*place;
}

}  // namespace hypershift
