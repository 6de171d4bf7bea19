#include "worker/source_read.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/pg_status.h"
#include "common/source_partitions.h"
#include "common/status_macros.h"
#include "worker/task_status.h"

namespace hypershift {
namespace {

constexpr absl::Duration kCancelInterval = absl::Milliseconds(200);

std::vector<int32_t> ToVector(const google::protobuf::RepeatedField<int32_t>& field) {
  return {field.begin(), field.end()};
}

}  // namespace

SourceRead::SourceRead(const v1::CopyWork& work, const TaskContext& task, CopyConnection* source)
    : work_(work),
      task_(task),
      source_(source),
      digest_(work.format(), work.field_count(), ToVector(work.rewritable_fields())) {}

void SourceRead::Run() {
  absl::Status status = Stream();
  if (status.ok()) status = CheckNotRewritten();
  const bool well = status.ok();
  task_.ring->Finish(std::move(status));
  if (well) (void)source_->Execute("COMMIT");
  MutexLock lock(&mutex_);
  ended_ = true;
  ended_changed_.NotifyAll();
}

absl::Status SourceRead::Stream() {
  HS_RETURN_IF_ERROR(task_.progress->CheckCancelled());
  // Before the source works for it: nothing is due while ranges before it have taken too much.
  HS_RETURN_IF_ERROR(Pay(0));
  absl::StatusOr<CopyReader> reader = CopyReader::Start(source_, work_.source_sql());
  if (!reader.ok()) return WithContext(reader.status(), "source");
  while (true) {
    absl::StatusOr<std::optional<absl::string_view>> message = reader->Next();
    if (!message.ok()) return WithContext(message.status(), "source");
    if (!message->has_value()) {
      // The end is not held back, and so the commit is not; the next range is.
      if (task_.rate_limit != nullptr) task_.rate_limit->Charge(unpaid_bytes_);
      return digest_.End();
    }
    HS_RETURN_IF_ERROR(digest_.Message(**message));
    if (!task_.ring->Append(**message)) return absl::CancelledError("the writing side has ended");
    bytes_ += static_cast<int64_t>((*message)->size());
    largest_message_bytes_ = std::max(largest_message_bytes_, (*message)->size());
    task_.progress->rows.store(rows(), std::memory_order_relaxed);
    task_.progress->bytes.store(bytes_, std::memory_order_relaxed);
    HS_RETURN_IF_ERROR(task_.progress->CheckCancelled());
    HS_RETURN_IF_ERROR(Pay(static_cast<int64_t>((*message)->size())));
  }
}

absl::Status SourceRead::Pay(int64_t bytes) {
  if (task_.rate_limit == nullptr) return absl::OkStatus();
  const int64_t quantum = task_.rate_limit->quantum();
  if (quantum == 0) return absl::OkStatus();
  unpaid_bytes_ += bytes;
  if (bytes > 0 && unpaid_bytes_ < quantum) return absl::OkStatus();
  const int64_t due = std::exchange(unpaid_bytes_, 0);
  const auto gives_up = [this] { return stopping_.load() || task_.progress->cancelled.load(); };
  return task_.rate_limit->Take(due, gives_up) ? absl::OkStatus() : absl::CancelledError("the attempt was cancelled");
}

absl::Status SourceRead::CheckNotRewritten() {
  const bool partitioned = !work_.source_partitions().empty();
  if (work_.source_filenode() == 0 && !partitioned) return absl::OkStatus();
  const std::string planned = partitioned ? work_.source_partitions() : absl::StrCat(work_.source_filenode());
  const auto row = source_->Execute(
      partitioned ? SourcePartitionsSql(work_.source_oid())
                  : absl::StrCat("SELECT pg_catalog.pg_relation_filenode(", work_.source_oid(), "::pg_catalog.oid)"));
  if (!row.ok()) return WithContext(row.status(), "source");
  if (!row->empty() && (*row)[0] == planned) return absl::OkStatus();
  if (partitioned) {
    return MarkPermanent(
        absl::FailedPreconditionError("source: partitions of the table were attached, detached, dropped or rewritten "
                                      "while the migration's snapshot was "
                                      "held, so its rows can't be read any more as they were; nothing of this range "
                                      "was kept: leave the partitions alone "
                                      "and copy the table again from the start under a new snapshot"));
  }
  return MarkPermanent(absl::FailedPreconditionError(
      "source: the table was rewritten or dropped while the migration's snapshot was held (TRUNCATE, ALTER TABLE that "
      "rewrites, VACUUM FULL or CLUSTER), so its rows can't be read any more as they were; nothing of this range was "
      "kept: leave the table alone and copy it again from the start under a new snapshot"));
}

void SourceRead::Stop() {
  stopping_ = true;
  task_.ring->Abandon();
  MutexLock lock(&mutex_);
  while (!ended_) {
    // Again and again: a request that arrives between two statements has no effect.
    mutex_.Unlock();
    source_->Cancel();
    mutex_.Lock();
    if (!ended_) ended_changed_.WaitFor(&mutex_, kCancelInterval);
  }
}

}  // namespace hypershift
