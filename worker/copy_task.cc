#include "worker/copy_task.h"

#include <vector>

#include "common/copy_connection.h"
#include "common/status_macros.h"
#include "worker/copy_stream.h"
#include "worker/task_journal.h"

namespace hypershift {
namespace {

absl::Status CheckCopyWork(const v1::CopyWork& work) {
  if (work.format() != v1::COPY_FORMAT_BINARY && work.format() != v1::COPY_FORMAT_TEXT) {
    return absl::InvalidArgumentError("the task names no COPY format that this worker knows");
  }
  if (work.source_sql().empty()) return absl::InvalidArgumentError("the task names nothing to read");
  return absl::OkStatus();
}

TaskOutcome OutcomeOf(const PartRead& read) {
  TaskOutcome outcome;
  outcome.rows = read.digest.rows;
  outcome.bytes = read.bytes;
  outcome.digest = DigestHex(read.digest.sum);
  if (read.has_rewritable_fields) outcome.rewritable_digest = DigestHex(read.digest.rewritable_sum);
  return outcome;
}

}  // namespace

absl::Status RunCopyTask(const v1::CopyWork& work, const v1::Snapshot& snapshot, const TaskContext& task) {
  return RunCopyTasks({&work}, snapshot, {task});
}

absl::Status RunCopyTasks(const std::vector<const v1::CopyWork*>& works, const v1::Snapshot& snapshot,
                          const std::vector<TaskContext>& tasks) {
  std::vector<CopyPart> parts;
  std::vector<size_t> task_of;  // Each part's.
  for (size_t i = 0; i < tasks.size(); ++i) {
    HS_RETURN_IF_ERROR(CheckCopyWork(*works[i]));
    tasks[i].progress->rows = tasks[i].progress->bytes = 0;
    for (const std::string& sql : works[i]->source_sql()) {
      parts.push_back({works[i], &sql, tasks[i].progress});
      task_of.push_back(i);
    }
  }
  HS_ASSIGN_OR_RETURN(CopyConnection* const target, ClaimTasks(tasks));
  return StreamCopies(parts, snapshot, tasks.front(), target, [&](const std::vector<PartRead>& read) {
    std::vector<PartRead> by_task(tasks.size());
    for (size_t i = 0; i < read.size(); ++i) {
      PartRead& all = by_task[task_of[i]];
      all.digest += read[i].digest;
      all.bytes += read[i].bytes;
      all.has_rewritable_fields = read[i].has_rewritable_fields;
    }
    std::vector<TaskOutcome> outcomes;
    for (const PartRead& all : by_task) outcomes.push_back(OutcomeOf(all));
    return FinishTasks(tasks, target, outcomes);
  });
}

}  // namespace hypershift
