#include "worker/copy_task.h"

#include <algorithm>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/copy_connection.h"
#include "common/failpoint.h"
#include "common/pg_status.h"
#include "common/status_macros.h"
#include "worker/source_read.h"
#include "worker/source_snapshot.h"
#include "worker/task_journal.h"
#include "worker/task_status.h"

namespace hypershift {
namespace {

// libpq never gives back what a large row made it allocate; above this the source connection is not kept.
constexpr size_t kKeepConnectionBelowBytes = 8 << 20;

// Opens the source transaction; once more if the connection kept from the task before had died unnoticed.
absl::StatusOr<CopyConnection*> BeginSource(const v1::CopyWork& work, const v1::Snapshot& snapshot,
                                            const TaskContext& task) {
  for (bool last : {false, true}) {
    HS_ASSIGN_OR_RETURN(CopyConnection* const source, task.connections->Source());
    const absl::Time sent = absl::Now();
    const absl::Status begun = BeginOnSnapshot(source, snapshot);
    if (begun.ok() && task.round_trips != nullptr) task.round_trips->source.Add(absl::Now() - sent);
    if (begun.ok() && !work.source_settings().empty()) {
      HS_RETURN_IF_ERROR(WithContext(source->Execute(SetLocalSql(work.source_settings())).status(), "source"));
    }
    if (begun.ok()) return source;
    if (last || !source->broken()) return begun;
  }
  return absl::InternalError("unreachable");
}

// In pieces of a buffer's size, so that libpq's own buffer never grows beyond that, however long the row.
absl::Status WritePiece(absl::string_view piece, const TaskContext& task, CopyWriter* writer) {
  while (!piece.empty()) {
    HS_RETURN_IF_ERROR(task.progress->CheckCancelled());
    const size_t bytes = std::min(piece.size(), task.ring->buffer_bytes());
    HS_RETURN_IF_ERROR(WithContext(writer->Write(piece.substr(0, bytes)), "target"));
    piece.remove_prefix(bytes);
  }
  return absl::OkStatus();
}

// Moves the ring's stream into the target's COPY, in a transaction that it begins and leaves open. The rows the target
// took.
absl::StatusOr<int64_t> WriteTarget(const v1::CopyWork& work, const TaskContext& task, CopyConnection* target) {
  // Waits for the first bytes before it begins: an open transaction that idles is in somebody's way on any server.
  HS_ASSIGN_OR_RETURN(std::optional<absl::string_view> piece, task.ring->Next());
  const absl::Time sent = absl::Now();
  HS_RETURN_IF_ERROR(BeginTarget(target, work.target_settings(), work.target_prologue()));
  if (task.round_trips != nullptr) task.round_trips->target.Add(absl::Now() - sent);
  absl::StatusOr<CopyWriter> writer = CopyWriter::Start(target, work.target_sql());
  if (!writer.ok()) return WithContext(writer.status(), "target");
  while (piece.has_value()) {
    HS_RETURN_IF_ERROR(WritePiece(*piece, task, &*writer));
    HS_ASSIGN_OR_RETURN(piece, task.ring->Next());
  }
  HS_RETURN_IF_ERROR(task.progress->CheckCancelled());
  absl::StatusOr<int64_t> rows =
      AtFailpoint(Failpoint::kWorkerCopyEnd, task.kind_name(), [&] { return writer->Finish(); });
  if (!rows.ok()) return WithContext(rows.status(), "target");
  return rows;
}

absl::Status WriteAndCommit(const v1::CopyWork& work, const TaskContext& task, CopyConnection* target,
                            const SourceRead& read) {
  HS_ASSIGN_OR_RETURN(const int64_t rows_taken, WriteTarget(work, task, target));
  if (rows_taken != read.rows()) {
    return MarkPermanent(absl::DataLossError(
        absl::StrCat("target: took ", rows_taken, " rows of ", read.rows(),
                     " that the source sent; a trigger or a rule on the table may drop or redirect rows")));
  }
  TaskOutcome outcome;
  outcome.rows = read.rows();
  outcome.bytes = read.bytes();
  outcome.digest = DigestHex(read.digest().digest().sum);
  outcome.rewritable_digest = read.digest().RewritableHex();
  return FinishTask(task, target, outcome);
}

}  // namespace

absl::Status RunCopyTask(const v1::CopyWork& work, const v1::Snapshot& snapshot, const TaskContext& task) {
  if (work.format() != v1::COPY_FORMAT_BINARY && work.format() != v1::COPY_FORMAT_TEXT) {
    return absl::InvalidArgumentError("the task names no COPY format that this worker knows");
  }
  HS_ASSIGN_OR_RETURN(CopyConnection* const target, ClaimTask(task));
  HS_ASSIGN_OR_RETURN(CopyConnection* const source, BeginSource(work, snapshot, task));
  task.ring->Reset();
  SourceRead read(work, task, source);
  std::thread reader([&read] { read.Run(); });
  absl::Status status = WriteAndCommit(work, task, target, read);
  if (!status.ok()) read.Stop();
  reader.join();
  if (read.largest_message_bytes() >= kKeepConnectionBelowBytes) task.connections->CloseSource();
  return status;
}

}  // namespace hypershift
