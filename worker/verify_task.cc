#include "worker/verify_task.h"

#include <optional>
#include <vector>

#include "common/copy_connection.h"
#include "common/pg_status.h"
#include "common/status_macros.h"
#include "worker/stream_digest.h"
#include "worker/task_journal.h"

namespace hypershift {
namespace {

absl::Status ReadRows(const v1::VerifyWork& work, const TaskContext& task, CopyConnection* target,
                      StreamDigest* digest) {
  absl::StatusOr<CopyReader> reader = CopyReader::Start(target, work.target_sql());
  if (!reader.ok()) return WithContext(reader.status(), "target");
  int64_t bytes = 0;
  while (true) {
    absl::StatusOr<std::optional<absl::string_view>> message = reader->Next();
    if (!message.ok()) return WithContext(message.status(), "target");
    if (!message->has_value()) return digest->End();
    HS_RETURN_IF_ERROR(digest->Message(**message));
    bytes += static_cast<int64_t>((*message)->size());
    task.progress->rows.store(digest->digest().rows, std::memory_order_relaxed);
    task.progress->bytes.store(bytes, std::memory_order_relaxed);
    HS_RETURN_IF_ERROR(task.progress->CheckCancelled());
  }
}

}  // namespace

absl::Status RunVerifyTask(const v1::VerifyWork& work, const TaskContext& task) {
  if (work.format() != v1::COPY_FORMAT_BINARY && work.format() != v1::COPY_FORMAT_TEXT) {
    return absl::InvalidArgumentError("the task names no COPY format that this worker knows");
  }
  HS_ASSIGN_OR_RETURN(CopyConnection* const target, ClaimTask(task));
  HS_RETURN_IF_ERROR(BeginTarget(target, work.target_settings(), {}));
  const std::vector<int32_t> rewritable(work.rewritable_fields().begin(), work.rewritable_fields().end());
  StreamDigest digest(work.format(), work.field_count(), rewritable);
  HS_RETURN_IF_ERROR(ReadRows(work, task, target, &digest));
  HS_RETURN_IF_ERROR(WithContext(target->Execute("COMMIT").status(), "target"));

  TaskOutcome outcome;
  outcome.rows = digest.digest().rows;
  outcome.bytes = task.progress->bytes;
  outcome.digest = DigestHex(digest.digest().sum);
  outcome.rewritable_digest = digest.RewritableHex();
  HS_RETURN_IF_ERROR(BeginTarget(target, {}, {}));
  return FinishTask(task, target, outcome);
}

}  // namespace hypershift
