#include "worker/slot.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/log.h"
#include "common/pg_status.h"
#include "common/status_macros.h"
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

// Whether the tasks of a bundle that ended so are to be run here, one after the other. Not if a server or the snapshot
// is away: each would only find that again. Nor if one of their tables is locked: the others would wait behind it. They
// are given back, and each is leased by itself.
bool RunsAlone(const absl::Status& status) {
  const bool away = absl::IsUnavailable(status) || (absl::IsFailedPrecondition(status) && TaskIsRetryable(status));
  return !status.ok() && !away && SqlState(status) != "55P03";
}

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
  while (true) {
    const Entries entries = board_->Take(&connections_);
    if (entries.empty()) break;
    for (const auto& entry : entries) {
      LogDebug("task started",
               {HS_TASK_FIELDS(*entry), {"table", entry->lease.table()}, {"description", entry->lease.description()}});
    }
    const bool bundle = entries.size() > 1;
    if (bundle && RunTogether(entries)) continue;
    // Of a bundle each is still in the others' way.
    for (const auto& entry : entries) RunAlone(entry, bundle);
  }
  connections_.Close();
}

bool Slot::RunTogether(const Entries& entries) {
  const absl::Status status = Counted(entries, [&] { return RunBundle(entries); });
  if (!status.ok()) connections_.Close();
  if (!RunsAlone(status)) {
    End(entries, status);
    return true;
  }
  LogInfo("small tasks that shared a transaction run one after the other now",
          {{"worker", worker_name_}, {"tasks", entries.size()}, {"error", status.message()}});
  // What is revoked meanwhile is none of the one that runs.
  for (const auto& entry : entries) TaskBoard::RunsOn(entry, nullptr);
  return false;
}

void Slot::RunAlone(const TaskBoard::EntryPtr& entry, bool others_wait) {
  TaskBoard::RunsOn(entry, &connections_);
  const bool briefly = others_wait && CheckBundle(BundleOf({entry})).ok();
  const absl::Status status = Counted({entry}, [&] { return briefly ? RunBundle({entry}) : Run(entry.get()); });
  if (!status.ok()) connections_.Close();
  End({entry}, status);
}

void Slot::End(const Entries& entries, const absl::Status& status) {
  for (const auto& entry : entries) board_->Ended(entry);
  if (status.ok()) {
    Report(entries, status);
  } else {
    for (const auto& entry : entries) Report({entry}, status);
  }
  for (const auto& entry : entries) board_->Forget(entry);
}

absl::Status Slot::Counted(const Entries& entries, const std::function<absl::Status()>& run) {
  if (metrics_ == nullptr) return run();
  std::vector<WorkerMetrics::Progress> attempts;
  for (const auto& entry : entries) attempts.emplace_back(entry, &entry->progress);
  metrics_->BeginSlot(attempts);
  ring_.Reset();  // Its waits are those of these attempts.
  const absl::Time begin = absl::Now();
  absl::Status status = run();
  const absl::Duration share = (absl::Now() - begin) / static_cast<int64_t>(entries.size());
  metrics_->EndSlot(attempts, ring_.waited_for_room(), ring_.waited_for_bytes());
  if (entries.size() > 1 && RunsAlone(status)) return status;  // These attempts go on.
  for (size_t i = 0; i < entries.size(); ++i) {
    WorkerMetrics::Outcome outcome = status.ok() ? WorkerMetrics::Outcome::kDone : WorkerMetrics::Outcome::kFailed;
    if (entries[i]->revoked) outcome = WorkerMetrics::Outcome::kRevoked;
    metrics_->CountAttempt(attempts[i], entries[i]->lease.kind(), outcome, share);
  }
  return status;
}

TaskContext Slot::ContextOf(TaskBoard::Entry* entry) {
  TaskContext task;
  task.id = entry->lease.id();
  task.attempt = entry->lease.attempt();
  task.kind = entry->lease.kind();
  task.connections = &connections_;
  task.ring = &ring_;
  task.progress = &entry->progress;
  task.rate_limit = rate_limit_;
  task.round_trips = round_trips_;
  return task;
}

absl::Status Slot::Run(TaskBoard::Entry* entry) {
  const TaskContext task = ContextOf(entry);
  const v1::TaskWork& work = entry->lease.work();
  switch (work.work_case()) {
    case v1::TaskWork::kCopy: {
      HS_ASSIGN_OR_RETURN(const v1::Snapshot snapshot, Snapshot());
      absl::Status status = RunCopyTask(work.copy(), snapshot, task);
      // Perhaps the source has restarted, and the keeper's session is gone as well.
      if (!status.ok()) keeper_->CheckNow();
      return status;
    }
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

Bundle Slot::BundleOf(const Entries& entries) {
  Bundle bundle;
  for (const auto& entry : entries) {
    bundle.tasks.push_back(ContextOf(entry.get()));
    bundle.works.push_back(&entry->lease.work());
  }
  return bundle;
}

absl::Status Slot::RunBundle(const Entries& entries) {
  const Bundle bundle = BundleOf(entries);
  HS_RETURN_IF_ERROR(CheckBundle(bundle));
  if (!bundle.works.front()->has_copy()) return RunStatementBundle(bundle);
  HS_ASSIGN_OR_RETURN(const v1::Snapshot snapshot, Snapshot());
  absl::Status status = RunCopyBundle(bundle, snapshot);
  if (!status.ok()) keeper_->CheckNow();
  return status;
}

absl::StatusOr<v1::Snapshot> Slot::Snapshot() {
  const std::optional<v1::Snapshot> snapshot = keeper_->WaitForSnapshot(kSnapshotWait);
  if (snapshot.has_value()) return *snapshot;
  return MarkRetryable(absl::FailedPreconditionError("this worker's keeper holds no snapshot of the source"));
}

void Slot::Report(const Entries& entries, const absl::Status& status) {
  for (const auto& entry : entries) {
    if (status.ok()) {
      LogDebug("task done", {HS_TASK_FIELDS(*entry),
                             {"table", entry->lease.table()},
                             {"rows", entry->progress.rows.load()},
                             {"bytes", entry->progress.bytes.load()}});
    } else {
      LogWarning("task failed", {HS_TASK_FIELDS(*entry),
                                 {"table", entry->lease.table()},
                                 {"error", status.message()},
                                 {"sqlstate", SqlState(status)},
                                 {"revoked", entry->revoked ? "yes" : "no"}});
    }
  }
  // Those whose end interests nobody are left out.
  Entries told;
  for (const auto& entry : entries) {
    if (!entry->revoked) told.push_back(entry);
  }
  while (!told.empty() && !told.front()->revoked) {
    const absl::Status reported = ReportOnce(told, status);
    // UNAVAILABLE: nobody there; NOT_FOUND: not registered yet with a new coordinator; RESOURCE_EXHAUSTED: too many
    // calls at once. Anything else is an answer.
    if (!absl::IsUnavailable(reported) && !absl::IsNotFound(reported) && !absl::IsResourceExhausted(reported)) return;
    if (board_->closed()) return;  // The worker ends; the coordinator learns it from the journal or by the lease.
    absl::SleepFor(kReportInterval);
  }
}

absl::Status Slot::ReportOnce(const Entries& entries, const absl::Status& status) {
  const TaskBoard::Entry& entry = *entries.front();
  if (status.ok()) {
    v1::CompleteRequest request;
    request.set_name(worker_name_);
    request.set_id(entry.lease.id());
    request.set_attempt(entry.lease.attempt());
    for (size_t i = 1; i < entries.size(); ++i) {
      v1::RunningTask* const together = request.add_together();
      together->set_id(entries[i]->lease.id());
      together->set_attempt(entries[i]->lease.attempt());
    }
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
