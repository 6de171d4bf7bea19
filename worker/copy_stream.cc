#include "worker/copy_stream.h"

#include <algorithm>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/failpoint.h"
#include "common/pg_status.h"
#include "common/status_macros.h"
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

absl::Status BeginTargetCounted(const v1::CopyWork& work, const TaskContext& task, CopyConnection* target) {
  const absl::Time sent = absl::Now();
  HS_RETURN_IF_ERROR(BeginTarget(target, work.target_settings(), work.target_prologue()));
  if (task.round_trips != nullptr) task.round_trips->target.Add(absl::Now() - sent);
  return absl::OkStatus();
}

// In pieces of a buffer's size, so that libpq's own buffer never grows beyond that, however long the row.
absl::Status WritePiece(absl::string_view piece, const CopyPart& part, const TaskContext& task, CopyWriter* writer) {
  while (!piece.empty()) {
    HS_RETURN_IF_ERROR(part.progress->CheckCancelled());
    const size_t bytes = std::min(piece.size(), task.ring->buffer_bytes());
    HS_RETURN_IF_ERROR(WithContext(writer->Write(piece.substr(0, bytes)), "target"));
    piece.remove_prefix(bytes);
  }
  return absl::OkStatus();
}

// Moves one part of the ring's stream into its COPY. The rows the target took.
absl::StatusOr<int64_t> WritePart(const CopyPart& part, std::optional<absl::string_view> piece, const TaskContext& task,
                                  CopyConnection* target) {
  absl::StatusOr<CopyWriter> writer = CopyWriter::Start(target, part.work->target_sql());
  if (!writer.ok()) return WithContext(writer.status(), "target");
  while (piece.has_value()) {
    HS_RETURN_IF_ERROR(WritePiece(*piece, part, task, &*writer));
    HS_ASSIGN_OR_RETURN(piece, task.ring->Next());
  }
  HS_RETURN_IF_ERROR(part.progress->CheckCancelled());
  absl::StatusOr<int64_t> rows =
      AtFailpoint(Failpoint::kWorkerCopyEnd, task.kind_name(), [&] { return writer->Finish(); });
  if (!rows.ok()) return WithContext(rows.status(), "target");
  return rows;
}

// In a transaction that it begins and leaves open.
absl::Status WriteTarget(const std::vector<CopyPart>& parts, const SourceRead& read, const TaskContext& task,
                         CopyConnection* target) {
  for (size_t i = 0; i < parts.size(); ++i) {
    HS_ASSIGN_OR_RETURN(const std::optional<absl::string_view> piece, task.ring->Next());
    // Not before the first bytes are there: an open transaction that idles is in somebody's way on any server.
    if (i == 0) HS_RETURN_IF_ERROR(BeginTargetCounted(*parts[i].work, task, target));
    HS_ASSIGN_OR_RETURN(const int64_t rows_taken, WritePart(parts[i], piece, task, target));
    const int64_t rows_sent = read.results()[i].digest.rows;
    if (rows_taken == rows_sent) continue;
    return MarkPermanent(absl::DataLossError(
        absl::StrCat("target: took ", rows_taken, " rows of ", rows_sent,
                     " that the source sent; a trigger or a rule on the table may drop or redirect rows")));
  }
  // What the source says of its tables, when all has been read.
  return task.ring->Next().status();
}

}  // namespace

absl::Status StreamCopies(const std::vector<CopyPart>& parts, const v1::Snapshot& snapshot, const TaskContext& task,
                          CopyConnection* target, const FinishCopies& finish) {
  HS_ASSIGN_OR_RETURN(CopyConnection* const source, BeginSource(*parts.front().work, snapshot, task));
  task.ring->Reset();
  SourceRead read(parts, task, source);
  std::thread reader([&read] { read.Run(); });
  absl::Status status = WriteTarget(parts, read, task, target);
  if (status.ok()) status = finish(read.results());
  if (!status.ok()) read.Stop();
  reader.join();
  if (read.largest_message_bytes() >= kKeepConnectionBelowBytes) task.connections->CloseSource();
  return status;
}

}  // namespace hypershift
