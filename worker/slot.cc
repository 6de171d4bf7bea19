#include "worker/slot.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/log.h"
#include "common/pg_status.h"
#include "worker/compress_task.h"
#include "worker/copy_task.h"
#include "worker/statement_task.h"
#include "worker/task_status.h"
#include "worker/verify_task.h"

namespace hypershift {
namespace {

// How long a copy waits for a keeper that is just importing the snapshot.
constexpr absl::Duration kSnapshotWait = absl::Seconds(15);
constexpr absl::Duration kReportInterval = absl::Milliseconds(500);
// A server's words may be as long as a value; the coordinator takes no message of some megabytes.
constexpr size_t kMaxReportedError = 64 << 10;

// What a log line about an attempt must name, besides what it says.
#define HS_TASK_FIELDS(entry) \
  {"worker", worker_name_}, {"task", (entry).lease.id()}, { "attempt", (entry).lease.attempt() }

}  // namespace

Slot::Slot(const WorkerOptions& options, TaskBoard* board, Keeper* keeper, RateLimit* rate_limit,
           RoundTrips* round_trips, CoordinatorClient* coordinator)
    : worker_name_(options.name),
      metrics_(options.metrics),
      board_(board),
      keeper_(keeper),
      rate_limit_(rate_limit),
      round_trips_(round_trips),
      coordinator_(coordinator),
      connections_(options.source, options.target, absl::StrCat("hypershift ", options.name)),
      ring_(options.buffers_per_slot, static_cast<size_t>(std::max<int64_t>(options.buffer_bytes, 1))),
      thread_([this] { Loop(); }) {}

Slot::~Slot() { thread_.join(); }

void Slot::Loop() {
  while (const TaskBoard::EntryPtr entry = board_->Take(&connections_)) {
    LogDebug("task started",
             {HS_TASK_FIELDS(*entry), {"table", entry->lease.table()}, {"description", entry->lease.description()}});
    const absl::Status status = RunCounted(entry);
    if (!status.ok()) connections_.Close();
    board_->Ended(entry);
    Report(*entry, status);
    board_->Forget(entry);
  }
  connections_.Close();
}

absl::Status Slot::RunCounted(const TaskBoard::EntryPtr& entry) {
  if (metrics_ == nullptr) return Run(entry.get());
  const WorkerMetrics::Progress progress(entry, &entry->progress);
  metrics_->Begin(progress);
  ring_.Reset();  // Its waits are those of this attempt.
  const absl::Time begin = absl::Now();
  absl::Status status = Run(entry.get());
  WorkerMetrics::Outcome outcome = status.ok() ? WorkerMetrics::Outcome::kDone : WorkerMetrics::Outcome::kFailed;
  if (entry->revoked) outcome = WorkerMetrics::Outcome::kRevoked;
  metrics_->End(progress, entry->lease.kind(), outcome, absl::Now() - begin, ring_.waited_for_room(),
                ring_.waited_for_bytes());
  return status;
}

absl::Status Slot::Run(TaskBoard::Entry* entry) {
  TaskContext task;
  task.id = entry->lease.id();
  task.attempt = entry->lease.attempt();
  task.kind = entry->lease.kind();
  task.connections = &connections_;
  task.ring = &ring_;
  task.progress = &entry->progress;
  task.rate_limit = rate_limit_;
  task.round_trips = round_trips_;
  const v1::TaskWork& work = entry->lease.work();
  switch (work.work_case()) {
    case v1::TaskWork::kCopy:
      return RunCopy(work.copy(), task);
    case v1::TaskWork::kStatements:
      return RunStatementTask(work.statements(), task);
    case v1::TaskWork::kCompress:
      return RunCompressTask(work.compress(), task);
    case v1::TaskWork::kVerify:
      return RunVerifyTask(work.verify(), task);
    case v1::TaskWork::WORK_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("the task holds no work that this worker knows");
}

absl::Status Slot::RunCopy(const v1::CopyWork& work, const TaskContext& task) {
  const std::optional<v1::Snapshot> snapshot = keeper_->WaitForSnapshot(kSnapshotWait);
  if (!snapshot.has_value()) {
    return MarkRetryable(absl::FailedPreconditionError("this worker's keeper holds no snapshot of the source"));
  }
  absl::Status status = RunCopyTask(work, *snapshot, task);
  // Perhaps the source has restarted, and the keeper's session is gone as well.
  if (!status.ok()) keeper_->CheckNow();
  return status;
}

void Slot::Report(const TaskBoard::Entry& entry, const absl::Status& status) {
  if (status.ok()) {
    LogDebug("task done", {HS_TASK_FIELDS(entry),
                           {"table", entry.lease.table()},
                           {"rows", entry.progress.rows.load()},
                           {"bytes", entry.progress.bytes.load()}});
  } else {
    LogWarning("task failed", {HS_TASK_FIELDS(entry),
                               {"table", entry.lease.table()},
                               {"error", status.message()},
                               {"sqlstate", SqlState(status)},
                               {"revoked", entry.revoked ? "yes" : "no"}});
  }
  while (!entry.revoked) {
    const absl::Status reported = ReportOnce(entry, status);
    // UNAVAILABLE: nobody there; NOT_FOUND: not registered yet with a new coordinator; RESOURCE_EXHAUSTED: too many
    // calls at once. Anything else is an answer.
    if (!absl::IsUnavailable(reported) && !absl::IsNotFound(reported) && !absl::IsResourceExhausted(reported)) return;
    if (board_->closed()) return;  // The worker ends; the coordinator learns it from the journal or by the lease.
    absl::SleepFor(kReportInterval);
  }
}

absl::Status Slot::ReportOnce(const TaskBoard::Entry& entry, const absl::Status& status) {
  if (status.ok()) {
    v1::CompleteRequest request;
    request.set_name(worker_name_);
    request.set_id(entry.lease.id());
    request.set_attempt(entry.lease.attempt());
    return coordinator_->Complete(request);
  }
  v1::FailRequest request;
  request.set_name(worker_name_);
  request.set_id(entry.lease.id());
  request.set_attempt(entry.lease.attempt());
  request.set_error(std::string(status.message().substr(0, kMaxReportedError)));
  request.set_sqlstate(SqlState(status));
  // An attempt that this worker broke off by itself says nothing about the task.
  request.set_retryable(TaskIsRetryable(status) || entry.progress.cancelled);
  return coordinator_->Fail(request);
}

}  // namespace hypershift
