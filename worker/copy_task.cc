#include "worker/copy_task.h"

#include <vector>

#include "common/copy_connection.h"
#include "common/status_macros.h"
#include "worker/copy_stream.h"
#include "worker/task_journal.h"

namespace hypershift {

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

absl::Status RunCopyTask(const v1::CopyWork& work, const v1::Snapshot& snapshot, const TaskContext& task) {
  HS_RETURN_IF_ERROR(CheckCopyWork(work));
  task.progress->rows = task.progress->bytes = 0;
  HS_ASSIGN_OR_RETURN(CopyConnection* const target, ClaimTask(task));
  std::vector<CopyPart> parts;
  for (const std::string& sql : work.source_sql()) parts.push_back({&work, &sql, task.progress});
  return StreamCopies(parts, snapshot, task, target, [&](const std::vector<PartRead>& read) {
    PartRead all = read.front();
    for (size_t i = 1; i < read.size(); ++i) {
      all.digest += read[i].digest;
      all.bytes += read[i].bytes;
    }
    return FinishTask(task, target, OutcomeOf(all));
  });
}

}  // namespace hypershift
