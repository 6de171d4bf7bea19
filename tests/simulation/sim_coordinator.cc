#include "tests/simulation/sim_coordinator.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/pg_status.h"
#include "common/status_macros.h"

namespace hypershift::simulation {
namespace {

constexpr absl::Duration kSnapshotHeartbeat = absl::Seconds(10);

bool IsDeposed(const absl::Status& status) { return absl::IsAborted(status) && SqlState(status).empty(); }

}  // namespace

SimCoordinator::SimCoordinator(const Context& context, std::string name, bool standby,
                               std::optional<v1::Snapshot> holder)
    : context_(context),
      name_(std::move(name)),
      standby_(standby),
      clock_(context.world, context.world->random().Between(absl::Hours(-30), absl::Hours(30))),
      process_(context.world),
      state_(context.settings->times, &clock_),
      journal_(context.database, &process_, &clock_),
      turn_(context.settings->dispatch, &clock_, &state_, &journal_),
      holder_(std::move(holder)),
      began_(holder_.has_value()) {
  if (standby_) state_.SetStandby(true);
  process_.Spawn([this] {
    Main();
    ended_ = true;
    DropHolder();
  });
}

void SimCoordinator::Main() {
  const absl::Status status = Lead();
  if (!status.ok()) context_.world->Trace(name_, ": ended by: ", status.message());
}

// coordinator.cc: Run.
absl::Status SimCoordinator::Lead() {
  while (true) {
    if (standby_) {
      HS_ASSIGN_OR_RETURN(const bool take_over, WaitForLead());
      if (!take_over) return absl::OkStatus();
    }
    const absl::Status ready = SetUp();
    if (ready.ok()) break;
    context_.world->Trace(name_, ": is not ready: ", ready.message());
    const bool may_stand_by = IsDeposed(ready) || IsRetryable(ready) || absl::IsUnknown(ready);
    if (standby_ && may_stand_by && !state_.stop_requested()) continue;
    if (may_stand_by) {
      state_.SetStandby(true);
    } else {
      state_.Finish(/*keepers_too=*/false);
    }
    journal_.GiveUpLead().IgnoreError();
    return ready;
  }
  if (context_.database->finished()) return absl::OkStatus();
  const absl::Status result = RunLoop();
  if (result.ok()) return result;
  state_.SetPhase(v1::MigrationPhase::PHASE_STOPPED, "stopped by an error");
  state_.Finish(/*keepers_too=*/false);
  process_.Sleep(absl::Seconds(1));
  journal_.GiveUpLead().IgnoreError();
  return result;
}

// standby.cc: WaitForLead.
absl::StatusOr<bool> SimCoordinator::WaitForLead() {
  const absl::Duration pause =
      std::clamp(context_.settings->dispatch.leader_lease / 10, absl::Milliseconds(100), absl::Seconds(1));
  state_.SetStandby(true);
  while (!state_.stop_requested()) {
    const absl::StatusOr<bool> finished = journal_.IsFinished();
    if (finished.ok() && *finished) return false;
    if (!finished.ok() && !absl::IsUnavailable(finished.status())) return finished.status();
    if (finished.ok()) {
      const auto leader = journal_.FindLeader();
      if (leader.ok() && leader->second <= absl::ZeroDuration()) {
        state_.SetStandby(false);
        return true;
      }
    }
    process_.Sleep(pause);
  }
  return false;
}

// migration_setup.cc: Resume.
absl::Status SimCoordinator::SetUp() {
  HS_ASSIGN_OR_RETURN(const bool finished, journal_.IsFinished());
  if (finished) return absl::OkStatus();
  HS_RETURN_IF_ERROR(TakeLead());
  snapshot_released_ = context_.database->snapshot_released();
  if (!snapshot_released_ && !std::exchange(began_, false)) {
    DropHolder();
    HS_RETURN_IF_ERROR(RecoverSnapshot());
  }
  state_.SetSnapshot(holder_);
  if (snapshot_released_) state_.ReleaseSnapshot();
  HS_RETURN_IF_ERROR(journal_.RetryFailed(std::nullopt));
  HS_RETURN_IF_ERROR(LoadFromJournal());
  state_.SetPhase(v1::MigrationPhase::PHASE_RUN, "runs");
  ++context_.figures->take_overs;
  return absl::OkStatus();
}

absl::Status SimCoordinator::TakeLead() {
  const absl::Duration leader_lease = context_.settings->dispatch.leader_lease;
  const absl::Time deadline = clock_.Now() + 2 * leader_lease + absl::Seconds(2);
  while (true) {
    const absl::Status taken = journal_.TakeLead(name_, leader_lease);
    if (taken.ok()) break;
    if (!absl::IsUnavailable(taken) || clock_.Now() > deadline || state_.stop_requested()) return taken;
    process_.Sleep(absl::Milliseconds(300));
  }
  context_.world->Trace(name_, ": leads");
  return journal_.ExtendLeases(context_.settings->dispatch.lease_duration);
}

absl::Status SimCoordinator::RecoverSnapshot() {
  const absl::Time deadline = clock_.Now() + context_.settings->keeper_wait;
  while (clock_.Now() < deadline && !state_.stop_requested()) {
    const std::optional<v1::Snapshot> held = state_.FindKeeperSnapshot(SimulatedSource::Expected(), clock_.Now());
    if (held.has_value()) {
      holder_ = context_.source->Import(*held);
      if (!holder_.has_value()) return absl::FailedPreconditionError("the keeper's snapshot is not there any more");
      return absl::OkStatus();
    }
    HS_RETURN_IF_ERROR(journal_.RenewLead());
    state_.TakeReports(absl::ZeroDuration());
    process_.Sleep(absl::Milliseconds(200));
  }
  journal_.GiveUpLead().IgnoreError();
  return absl::FailedPreconditionError("nobody holds the snapshot any more");
}

absl::Status SimCoordinator::LoadFromJournal() {
  HS_ASSIGN_OR_RETURN(const std::vector<TaskRow> rows, journal_.LoadAllTasks());
  std::vector<Task> tasks;
  for (const TaskRow& row : rows) tasks.push_back(row.task);
  HS_ASSIGN_OR_RETURN(Scheduler scheduler, Scheduler::Create(std::move(tasks), context_.plan->barriers));
  state_.LoadPlan(context_.plan->tables, rows, std::move(scheduler));
  return absl::OkStatus();
}

// run_loop.cc: Run.
absl::Status SimCoordinator::RunLoop() {
  while (true) {
    process_.Sleep(context_.world->random().Between(absl::Milliseconds(5), absl::Milliseconds(300)));
    const absl::Status turn = TakeTurn();
    context_.figures->hand_overs += journal_.TakeHandOvers();
    if (IsDeposed(turn)) {
      ++context_.figures->depositions;
      state_.SetStandby(true);
      DropHolder();
    }
    if (IsDeposed(turn) || absl::IsFailedPrecondition(turn)) return turn;
    if (!turn.ok()) {
      HS_RETURN_IF_ERROR(RecoverFrom(turn));
      continue;
    }
    int64_t unfinished = 0;
    int64_t failed = 0;
    bool idle = false;
    int leased = 0;
    state_.WithScheduler([&](Scheduler& scheduler) {
      unfinished = scheduler.unfinished();
      failed = scheduler.failed();
      idle = scheduler.Idle();
      leased = scheduler.leased_count();
    });
    if (unfinished == 0) {
      HS_RETURN_IF_ERROR(journal_.Finish());
      return End(v1::MigrationPhase::PHASE_DONE, /*keepers_too=*/true);
    }
    if (state_.stop_requested() && (leased == 0 || state_.stop_at_once())) return EndStopped();
    if (idle && failed > 0) {
      ++context_.figures->failed_tables;
      return End(v1::MigrationPhase::PHASE_FAILED, snapshot_released_);
    }
    if (idle) {
      context_.oracle->Violated("no task can run and none has failed");
      return absl::InternalError("no task can run and none has failed: the plan's barriers never open");
    }
  }
}

absl::Status SimCoordinator::TakeTurn() {
  Reports reports = state_.TakeReports(absl::ZeroDuration());
  retried_.insert(reports.retried.begin(), reports.retried.end());
  Circumstances circumstances;
  circumstances.stopping = state_.stop_requested();
  circumstances.snapshot_is_held = holder_.has_value();
  journal_.set_forgives(circumstances.stopping, !circumstances.snapshot_is_held);
  HS_RETURN_IF_ERROR(turn_.Run(std::move(reports), circumstances));
  HS_RETURN_IF_ERROR(RetryTables());
  HS_RETURN_IF_ERROR(ReleaseSnapshotWhenCopied());
  return KeepSnapshot();
}

absl::Status SimCoordinator::RetryTables() {
  if (retried_.empty()) return absl::OkStatus();
  for (const int table : retried_) HS_RETURN_IF_ERROR(journal_.RetryFailed(table));
  retried_.clear();
  return LoadFromJournal();
}

absl::Status SimCoordinator::ReleaseSnapshotWhenCopied() {
  if (snapshot_released_) return absl::OkStatus();
  int64_t copies = 0;
  state_.WithScheduler([&](Scheduler& scheduler) { copies = scheduler.unfinished(TaskKind::KIND_COPY); });
  if (copies > 0) return absl::OkStatus();
  HS_RETURN_IF_ERROR(journal_.MarkSnapshotReleased());
  DropHolder();
  snapshot_released_ = true;
  state_.ReleaseSnapshot();
  return absl::OkStatus();
}

absl::Status SimCoordinator::KeepSnapshot() {
  if (snapshot_released_) return absl::OkStatus();
  const absl::Time now = clock_.Now();
  if (holder_.has_value()) {
    if (now - last_heartbeat_ < kSnapshotHeartbeat) return absl::OkStatus();
    last_heartbeat_ = now;
    if (context_.source->IsLive(*holder_)) return absl::OkStatus();
    holder_.reset();
    state_.SetSnapshot(std::nullopt);
    snapshot_lost_since_ = now;
  }
  const std::optional<v1::Snapshot> held = state_.FindKeeperSnapshot(SimulatedSource::Expected(), now);
  if (held.has_value()) {
    holder_ = context_.source->Import(*held);
    if (holder_.has_value()) {
      state_.SetSnapshot(holder_);
      return absl::OkStatus();
    }
  }
  if (now - snapshot_lost_since_ > context_.settings->keeper_wait) {
    state_.RevokeEverything();
    journal_.GiveUpLead().IgnoreError();
    return absl::FailedPreconditionError("the source's snapshot is lost");
  }
  return absl::OkStatus();
}

absl::Status SimCoordinator::RecoverFrom(const absl::Status& error) {
  context_.world->Trace(name_, ": a turn failed: ", error.message());
  ++context_.figures->failed_turns;
  const absl::Time patience = clock_.Now() + absl::Minutes(30);
  while (clock_.Now() <= patience && !state_.stop_at_once()) {
    process_.Sleep(absl::Milliseconds(500));
    if (LoadFromJournal().ok()) return absl::OkStatus();
  }
  return error;
}

absl::Status SimCoordinator::EndStopped() {
  if (state_.stop_at_once()) {
    state_.RevokeEverything();
    const absl::Time deadline = clock_.Now() + absl::Seconds(5);
    int leased = 1;
    while (leased > 0 && clock_.Now() < deadline) {
      process_.Sleep(absl::Milliseconds(100));
      HS_RETURN_IF_ERROR(TakeTurn());
      state_.WithScheduler([&](Scheduler& scheduler) { leased = scheduler.leased_count(); });
    }
  }
  return End(v1::MigrationPhase::PHASE_STOPPED, snapshot_released_);
}

absl::Status SimCoordinator::End(v1::MigrationPhase::Phase phase, bool keepers_too) {
  context_.world->Trace(name_, ": ends as ", v1::MigrationPhase::Phase_Name(phase));
  state_.SetPhase(phase, "ended");
  state_.Finish(keepers_too);
  process_.Sleep(absl::Seconds(3));
  journal_.GiveUpLead().IgnoreError();
  return absl::OkStatus();
}

void SimCoordinator::Kill() {
  process_.Kill();
  DropHolder();
}

void SimCoordinator::DropHolder() {
  if (holder_.has_value()) context_.source->Drop(*holder_);
  holder_.reset();
}

void SimCoordinator::LoseSource() {
  if (holder_.has_value()) context_.source->Drop(*holder_);
}

}  // namespace hypershift::simulation
