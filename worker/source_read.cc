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
#include "worker/stream_digest.h"
#include "worker/task_status.h"

namespace hypershift {
namespace {

constexpr absl::Duration kCancelInterval = absl::Milliseconds(200);

std::vector<int32_t> ToVector(const google::protobuf::RepeatedField<int32_t>& field) {
  return {field.begin(), field.end()};
}

}  // namespace

SourceRead::SourceRead(const std::vector<CopyPart>& parts, const TaskContext& task, CopyConnection* source)
    : parts_(parts), task_(task), source_(source), results_(parts.size()) {}

void SourceRead::Run() {
  absl::Status status = StreamAll();
  if (status.ok()) status = CheckNotRewritten();
  const bool well = status.ok();
  task_.ring->Finish(std::move(status));
  if (well) (void)source_->Execute("COMMIT");
  MutexLock lock(&mutex_);
  ended_ = true;
  ended_changed_.NotifyAll();
}

absl::Status SourceRead::StreamAll() {
  for (size_t i = 0; i < parts_.size(); ++i) {
    HS_RETURN_IF_ERROR(Stream(parts_[i], &results_[i]));
    if (!task_.ring->EndPart()) return absl::CancelledError("the writing side has ended");
  }
  // The end is not held back, and so the commit is not; the next range is.
  if (task_.rate_limit != nullptr) task_.rate_limit->Charge(unpaid_bytes_);
  return absl::OkStatus();
}

absl::Status SourceRead::Stream(const CopyPart& part, PartRead* result) {
  HS_RETURN_IF_ERROR(part.progress->CheckCancelled());
  // Before the source works for it: nothing is due while ranges before it have taken too much.
  HS_RETURN_IF_ERROR(Pay(part, 0));
  StreamDigest digest(part.work->format(), part.work->field_count(), ToVector(part.work->rewritable_fields()));
  result->has_rewritable_fields = part.work->rewritable_fields_size() > 0;
  const int64_t rows_before = part.progress->rows.load(std::memory_order_relaxed);
  const int64_t bytes_before = part.progress->bytes.load(std::memory_order_relaxed);
  absl::StatusOr<CopyReader> reader = CopyReader::Start(source_, *part.source_sql);
  if (!reader.ok()) return WithContext(reader.status(), "source");
  while (true) {
    absl::StatusOr<std::optional<absl::string_view>> message = reader->Next();
    if (!message.ok()) return WithContext(message.status(), "source");
    if (!message->has_value()) break;
    HS_RETURN_IF_ERROR(digest.Message(**message));
    if (!task_.ring->Append(**message)) return absl::CancelledError("the writing side has ended");
    result->bytes += static_cast<int64_t>((*message)->size());
    largest_message_bytes_ = std::max(largest_message_bytes_, (*message)->size());
    part.progress->rows.store(rows_before + digest.digest().rows, std::memory_order_relaxed);
    part.progress->bytes.store(bytes_before + result->bytes, std::memory_order_relaxed);
    HS_RETURN_IF_ERROR(part.progress->CheckCancelled());
    HS_RETURN_IF_ERROR(Pay(part, static_cast<int64_t>((*message)->size())));
  }
  result->digest = digest.digest();
  return digest.End();
}

absl::Status SourceRead::Pay(const CopyPart& part, int64_t bytes) {
  if (task_.rate_limit == nullptr) return absl::OkStatus();
  const int64_t quantum = task_.rate_limit->quantum();
  if (quantum == 0) return absl::OkStatus();
  unpaid_bytes_ += bytes;
  if (bytes > 0 && unpaid_bytes_ < quantum) return absl::OkStatus();
  const int64_t due = std::exchange(unpaid_bytes_, 0);
  const auto gives_up = [this, &part] { return stopping_.load() || part.progress->cancelled.load(); };
  return task_.rate_limit->Take(due, gives_up) ? absl::OkStatus() : absl::CancelledError("the attempt was cancelled");
}

// In one round trip, however many tables there are.
absl::Status SourceRead::CheckNotRewritten() {
  std::string tables;
  std::string files;
  const v1::CopyWork* last = nullptr;
  for (const CopyPart& part : parts_) {
    if (part.work == last) continue;  // Another chunk of the same.
    last = part.work;
    if (!last->source_partitions().empty()) {
      HS_RETURN_IF_ERROR(CheckPartitions(*last));
    } else if (last->source_filenode() != 0) {
      absl::StrAppend(&tables, tables.empty() ? "" : ",", last->source_oid());
      absl::StrAppend(&files, files.empty() ? "" : ",", last->source_filenode());
    }
  }
  if (tables.empty()) return absl::OkStatus();
  const auto row =
      source_->Execute(absl::StrCat("SELECT count(*) FROM ROWS FROM (pg_catalog.unnest('{", tables,
                                    "}'::pg_catalog.oid[]), pg_catalog.unnest('{", files,
                                    "}'::pg_catalog.oid[])) AS planned (id, file) "
                                    "WHERE pg_catalog.pg_relation_filenode(planned.id) IS DISTINCT FROM planned.file"));
  if (!row.ok()) return WithContext(row.status(), "source");
  if (!row->empty() && (*row)[0] == "0") return absl::OkStatus();
  return MarkPermanent(absl::FailedPreconditionError(
      "source: the table was rewritten or dropped while the migration's snapshot was held (TRUNCATE, ALTER TABLE that "
      "rewrites, VACUUM FULL or CLUSTER), so its rows can't be read any more as they were; nothing of this range was "
      "kept: leave the table alone and copy it again from the start under a new snapshot"));
}

absl::Status SourceRead::CheckPartitions(const v1::CopyWork& work) {
  const auto row = source_->Execute(SourcePartitionsSql(work.source_oid()));
  if (!row.ok()) return WithContext(row.status(), "source");
  if (!row->empty() && (*row)[0] == work.source_partitions()) return absl::OkStatus();
  return MarkPermanent(
      absl::FailedPreconditionError("source: partitions of the table were attached, detached, dropped or rewritten "
                                    "while the migration's snapshot was held, so its rows can't be read any more as "
                                    "they were; nothing of this range was kept: leave the partitions alone and copy "
                                    "the table again from the start under a new snapshot"));
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
