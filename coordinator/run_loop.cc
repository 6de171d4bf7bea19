#include "coordinator/run_loop.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "coordinator/migration_setup.h"

namespace hypershift {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(500);
constexpr absl::Duration kSnapshotHeartbeat = absl::Seconds(10);
// How long the target may be away before the coordinator gives up; everything stays resumable.
constexpr absl::Duration kPatience = absl::Minutes(30);

DispatchSettings SettingsOf(const CoordinatorOptions& options) {
  DispatchSettings settings;
  settings.lease_duration = options.times.lease_duration;
  settings.leader_lease = options.leader_lease;
  settings.retry_limit = options.retry_limit;
  settings.verify_only = options.verify_only;
  return settings;
}

}  // namespace

RunLoop::RunLoop(const CoordinatorOptions& options, MigrationRecord record, std::unique_ptr<SnapshotHolder> holder,
                 MigrationState* state, Journal* journal)
    : options_(options),
      record_(std::move(record)),
      holder_(std::move(holder)),
      state_(state),
      journal_(journal),
      turn_(SettingsOf(options), SystemClock::Get(), state, journal),
      watch_(options.source, options.target, state),
      throttle_watch_(options.source, options.target, options.source_standbys, state) {
  snapshot_released_ = record_.snapshot_released || options_.verify_only;
  if (!snapshot_released_) return;
  watch_.LeaveSource();
  throttle_watch_.LeaveSource();
}

absl::StatusOr<RunResult> RunLoop::Run() {
  while (true) {
    absl::Status turn = TakeTurn(kTick);
    // The last write is part of the turn: the target may be away just then.
    const bool cancelled = state_->steering().cancelled();
    if (turn.ok() && AllDone() && !options_.verify_only && !cancelled) turn = journal_->Finish(record_.id);
    if (IsDeposed(turn)) EndDeposed();
    if (IsDeposed(turn) || absl::IsFailedPrecondition(turn)) return turn;
    if (!turn.ok()) {
      HS_RETURN_IF_ERROR(RecoverFrom(turn));
      continue;
    }
    EndTrouble();
    int64_t failed = 0;
    bool idle = false;
    int leased = 0;
    state_->WithScheduler([&](Scheduler& scheduler) {
      failed = scheduler.failed();
      idle = scheduler.Idle();
      leased = scheduler.leased_count();
    });
    if (cancelled) return EndCancelled();
    if (AllDone()) return EndFinished();
    if (state_->stop_requested() && (leased == 0 || state_->stop_at_once())) return EndStopped();
    if (idle && failed > 0) return EndWithFailures();
    if (idle) return absl::InternalError("no task can run and none has failed: the plan's barriers never open");
  }
}

bool RunLoop::AllDone() {
  bool done = false;
  state_->WithScheduler([&](Scheduler& scheduler) { done = scheduler.unfinished() == 0; });
  return done;
}

absl::Status RunLoop::TakeTurn(absl::Duration wait) {
  Reports reports = state_->TakeReports(wait);
  for (v1::RegisterRequest& worker : reports.registered) registered_.push_back(std::move(worker));
  retried_.insert(reports.retried.begin(), reports.retried.end());
  // Before anything is leased. The turn keeps the reports if this could not be written either.
  const absl::Status steered = Steer();
  HS_RETURN_IF_ERROR(turn_.Run(std::move(reports), FindCircumstances()));
  HS_RETURN_IF_ERROR(steered);
  HS_RETURN_IF_ERROR(RecordWorkers());
  HS_RETURN_IF_ERROR(RetryTables());
  HS_RETURN_IF_ERROR(ReleaseSnapshotWhenCopied());
  return KeepSnapshot();
}

Circumstances RunLoop::FindCircumstances() {
  const Steering steering = state_->steering();
  Circumstances circumstances;
  circumstances.stopping = state_->stop_requested() || steering.cancelled();
  circumstances.snapshot_is_held = holder_ != nullptr;
  circumstances.paused = steering.paused();
  circumstances.throttled = state_->throttled();
  circumstances.max_slots = steering.limits.max_slots();
  return circumstances;
}

// What people have asked for holds when it stands in the journal.
absl::Status RunLoop::Steer() {
  const std::optional<WishedSteering> wished = state_->FindWishedSteering();
  if (!wished.has_value()) return absl::OkStatus();
  HS_RETURN_IF_ERROR(journal_->StoreSteering(record_.id, wished->steering));
  state_->SteeringWritten(*wished);
  const Steering& steering = wished->steering;
  LogInfo("steered", {{"migration", record_.id},
                      {"paused", steering.paused() ? "yes" : "no"},
                      {"cancelled", steering.cancelled() ? "yes" : "no"},
                      {"limits", LimitsToJson(steering.limits)}});
  return absl::OkStatus();
}

absl::Status RunLoop::RecordWorkers() {
  for (; !registered_.empty(); registered_.pop_front()) {
    const v1::RegisterRequest& worker = registered_.front();
    HS_RETURN_IF_ERROR(
        journal_->RecordWorker(record_.id, worker.name(), worker.zone(), worker.slots(), worker.version()));
  }
  return absl::OkStatus();
}

// What the journal says of them is loaded as after trouble: the steps are ready again, whatever they had waited for.
absl::Status RunLoop::RetryTables() {
  if (retried_.empty()) return absl::OkStatus();
  for (const int table : retried_) HS_RETURN_IF_ERROR(journal_->RetryFailed(record_.id, table));
  retried_.clear();
  return LoadFromJournal(record_.id, journal_, state_);
}

// The moment the last range has committed, nothing is held on the source any more.
absl::Status RunLoop::ReleaseSnapshotWhenCopied() {
  if (snapshot_released_) return absl::OkStatus();
  int64_t copies = 0;
  state_->WithScheduler([&](Scheduler& scheduler) { copies = scheduler.unfinished(TaskKind::KIND_COPY); });
  if (copies > 0) return absl::OkStatus();
  HS_RETURN_IF_ERROR(journal_->MarkSnapshotReleased(record_.id));
  holder_.reset();
  snapshot_released_ = true;
  state_->ReleaseSnapshot();
  watch_.LeaveSource();
  throttle_watch_.LeaveSource();
  LogInfo("every range has been copied: the snapshot is released", {{"migration", record_.id}});
  return absl::OkStatus();
}

absl::Status RunLoop::KeepSnapshot() {
  if (snapshot_released_) return absl::OkStatus();
  const absl::Time now = SystemClock::Get()->Now();
  if (holder_ != nullptr) {
    if (now - last_heartbeat_ < kSnapshotHeartbeat) return absl::OkStatus();
    last_heartbeat_ = now;
    const absl::Status alive = holder_->Heartbeat();
    if (alive.ok()) return absl::OkStatus();
    LogWarning("the coordinator's source session is lost", {{"migration", record_.id}, {"error", alive.message()}});
    holder_.reset();
    state_->SetSnapshot(std::nullopt);
    snapshot_lost_since_ = now;
  }
  // Any worker's keeper will do.
  std::optional<v1::Snapshot> held = state_->FindKeeperSnapshot(record_.snapshot, now);
  if (held.has_value()) {
    absl::StatusOr<std::unique_ptr<SnapshotHolder>> imported = SnapshotHolder::Import(options_.source, *held);
    if (imported.ok()) {
      holder_ = *std::move(imported);
      state_->SetSnapshot(holder_->snapshot());
      LogInfo("took the snapshot over from a worker's keeper", {{"migration", record_.id}});
      return absl::OkStatus();
    }
    LogWarning("the snapshot can't be taken over yet", {{"error", imported.status().message()}});
  }
  if (now - snapshot_lost_since_ > options_.keeper_wait) {
    state_->RevokeEverything();
    journal_->GiveUpLead().IgnoreError();
    return absl::FailedPreconditionError(
        "the source's snapshot is lost: no worker holds it any more. Ranges that were copied stay; run the same "
        "command again "
        "and it will offer the ways on");
  }
  return absl::OkStatus();
}

// The target was away, or the journal has moved on: wait, read it again, go on.
absl::Status RunLoop::RecoverFrom(const absl::Status& error) {
  if (trouble_since_ == absl::InfiniteFuture()) {
    trouble_since_ = SystemClock::Get()->Now();
    LogWarning("the target can't be reached or has changed; trying again", {{"error", error.message()}});
  }
  state_->SetTrouble(absl::StrCat("the journal on the target can't be written: ", error.message()));
  while (SystemClock::Get()->Now() - trouble_since_ <= kPatience && !state_->stop_at_once()) {
    absl::SleepFor(absl::Milliseconds(500));
    absl::Status loaded = LoadFromJournal(record_.id, journal_, state_);
    if (loaded.ok() || loaded.code() == absl::StatusCode::kDataLoss) return loaded;
  }
  return error;
}

void RunLoop::EndTrouble() {
  if (trouble_since_ == absl::InfiniteFuture()) return;
  LogInfo("the target is there again", {{"migration", record_.id}});
  trouble_since_ = absl::InfiniteFuture();
  state_->SetTrouble("");
}

// Workers find the new leader when this one sends them away. The snapshot must not depend on this process any more.
void RunLoop::EndDeposed() {
  state_->SetStandby(true);
  holder_.reset();
}

absl::StatusOr<RunResult> RunLoop::EndStopped() {
  if (state_->stop_at_once()) {
    state_->RevokeEverything();
    const absl::Time deadline = SystemClock::Get()->Now() + absl::Seconds(5);
    int leased = 1;
    while (leased > 0 && SystemClock::Get()->Now() < deadline) {
      HS_RETURN_IF_ERROR(TakeTurn(absl::Milliseconds(100)));
      state_->WithScheduler([&](Scheduler& scheduler) { leased = scheduler.leased_count(); });
    }
  }
  LogInfo("stopped; the same command resumes", {{"migration", record_.id}});
  state_->SetPhase(v1::MigrationPhase::PHASE_STOPPED, "stopped; the same command resumes");
  state_->Finish(snapshot_released_);
  state_->WaitUntilTold(absl::Seconds(3));
  journal_->GiveUpLead().IgnoreError();
  return RunResult::kStopped;
}

int RunLoop::Leased() {
  int leased = 0;
  state_->WithScheduler([&](Scheduler& scheduler) { leased = scheduler.leased_count(); });
  return leased;
}

// Workers hear of it at once, if they hear at all; then whoever still runs something loses its session and its lease.
void RunLoop::RollBackRunning() {
  state_->RevokeEverything();
  const absl::Time deadline = SystemClock::Get()->Now() + absl::Seconds(1);
  absl::Status turn;
  while (turn.ok() && Leased() > 0 && SystemClock::Get()->Now() < deadline) turn = TakeTurn(absl::Milliseconds(100));
  const absl::Status revoked = journal_->RevokeLeases(record_.id);
  if (!revoked.ok()) LogWarning("leases could not be taken back", {{"error", revoked.message()}});
}

// That it is cancelled stands in the journal already; whatever fails from here on, nobody resumes it.
absl::StatusOr<RunResult> RunLoop::EndCancelled() {
  RollBackRunning();
  holder_.reset();
  snapshot_released_ = true;
  watch_.LeaveSource();
  throttle_watch_.LeaveSource();
  state_->ReleaseSnapshot();
  const v1::MigrationInfo info = state_->GetMigration();
  const std::string what = absl::StrCat(
      "cancelled: the schema and ", info.rows_done(), " rows in ", info.ranges_done(), " of ", info.ranges_total(),
      " ranges stay on the target; it can't be resumed, and `hypershift cleanup` removes its journal");
  LogInfo("cancelled", {{"migration", record_.id}, {"ranges_done", info.ranges_done()}, {"rows", info.rows_done()}});
  state_->SetError(what);
  state_->SetPhase(v1::MigrationPhase::PHASE_CANCELLED, what);
  state_->Finish(true);
  state_->WaitUntilTold(absl::Seconds(5));
  journal_->GiveUpLead().IgnoreError();
  return RunResult::kCancelled;
}

absl::StatusOr<RunResult> RunLoop::EndFinished() {
  RunResult result = RunResult::kDone;
  for (const v1::TableInfo& table : state_->ListTables()) {
    if (table.verify_result() == v1::VerifyResult::RESULT_DIFFERENT) {
      result = RunResult::kDifferences;
    } else if (table.verify_result() == v1::VerifyResult::RESULT_NOT_CHECKED && result == RunResult::kDone) {
      result = RunResult::kNotChecked;
    }
  }
  state_->SetPhase(v1::MigrationPhase::PHASE_DONE, "done");
  state_->Finish(true);
  state_->WaitUntilTold(absl::Seconds(5));
  journal_->GiveUpLead().IgnoreError();
  return result;
}

absl::StatusOr<RunResult> RunLoop::EndWithFailures() {
  // Failed tables speak for themselves; a step of no table has only this line.
  for (const v1::TaskInfo& task : state_->ListTasks("", TaskState::STATE_FAILED, 0, 100)) {
    if (task.table().empty()) state_->SetError(absl::StrCat(task.description(), ": ", task.error()));
  }
  state_->SetPhase(v1::MigrationPhase::PHASE_FAILED, "ended with failed tables; the same command tries them again");
  state_->Finish(snapshot_released_);
  state_->WaitUntilTold(absl::Seconds(5));
  journal_->GiveUpLead().IgnoreError();
  return options_.verify_only ? RunResult::kNotChecked : RunResult::kTablesFailed;
}

}  // namespace hypershift
