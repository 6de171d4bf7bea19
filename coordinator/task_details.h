// What status shows of tasks beyond what the scheduler knows: what each does in words, when it ran, how far it is, and
// what its rows' digest is.
//
// Made for millions of tasks, most of which wait or are done: words stand one behind the other in a few large blocks,
// and progress is kept of running tasks only. Not thread-safe.
#ifndef HYPERSHIFT_COORDINATOR_TASK_DETAILS_H_
#define HYPERSHIFT_COORDINATOR_TASK_DETAILS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/journal_rows.h"

namespace hypershift {

class TaskDetails {
 public:
  struct Progress {
    int64_t rows = 0;
    int64_t bytes = 0;
  };

  TaskDetails() = default;
  // Of few tasks.
  TaskDetails(const std::vector<TaskRow>& rows);  // NOLINT(google-explicit-constructor)

  // For so many tasks. Without digests it forgets them: nothing is to be compared.
  void Reserve(size_t tasks) { entries_.reserve(tasks); }
  void KeepDigests(bool keep) { keeps_digests_ = keep; }
  // The cheapest in the order of ids.
  void Add(const TaskRow& row);
  void Start(TaskId id, absl::Time now);
  void Finish(const TaskRow& row);
  void SetProgress(TaskId id, const Progress& progress) { progress_[id] = progress; }

  // Of a task that it does not know: empty, the infinite past, nothing.
  absl::string_view Description(TaskId id) const;
  absl::Time StartedAt(TaskId id) const;
  absl::Time FinishedAt(TaskId id) const;
  Progress ProgressOf(TaskId id) const;
  v1::Digest DigestOf(TaskId id) const;

 private:
  struct Entry {
    TaskId id = 0;
    absl::string_view description;
    // In microseconds since 1970; the least = never, the infinite past.
    int64_t started_at = INT64_MIN;
    int64_t finished_at = INT64_MIN;
  };

  absl::string_view Keep(absl::string_view text);
  const Entry* Find(TaskId id) const;
  Entry* FindOrAdd(TaskId id);

  std::vector<Entry> entries_;  // Ascending by id.
  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t block_used_ = 0;
  size_t block_size_ = 0;
  std::map<TaskId, Progress> progress_;
  std::map<TaskId, v1::Digest> digests_;
  bool keeps_digests_ = true;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_TASK_DETAILS_H_
