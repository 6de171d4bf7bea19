#include "worker/worker.h"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/copy_connection.h"
#include "common/journal_sql.h"
#include "common/log.h"
#include "common/mutex.h"
#include "common/pg_status.h"
#include "common/server_identity.h"
#include "common/status_macros.h"
#include "common/version.h"
#include "worker/coordinator_client.h"
#include "worker/keeper.h"
#include "worker/rate_limit.h"
#include "worker/round_trips.h"
#include "worker/slot.h"
#include "worker/task_board.h"
#include "worker/worker_metrics.h"

namespace hypershift {
namespace {

constexpr absl::Duration kDefaultHeartbeat = absl::Seconds(5);
constexpr absl::Duration kFirstRetryDelay = absl::Milliseconds(100);
constexpr absl::Duration kMaxRetryDelay = absl::Seconds(2);
// While tasks drain or end, the loop looks more often.
constexpr absl::Duration kEndingWait = absl::Milliseconds(200);
// How long the loop waits for the keeper's import before it tells the coordinator what the keeper holds.
constexpr absl::Duration kImportWait = absl::Seconds(2);
// How often a worker that has lost its coordinator asks the journal whether the migration is over.
constexpr absl::Duration kQuestionInterval = absl::Seconds(2);

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration result;
  const int64_t seconds = absl::ToInt64Seconds(duration);
  result.set_seconds(seconds);
  result.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration - absl::Seconds(seconds))));
  return result;
}

absl::StatusOr<std::unique_ptr<CopyConnection>> OpenJournal(const ConnectionString& target) {
  SessionOptions options;
  options.role = ServerRole::kTarget;
  options.application_name = "hypershift worker";
  options.connect_timeout = absl::Seconds(5);
  options.lock_timeout = absl::Seconds(5);
  return CopyConnection::Open(target, options);
}

// Where the journal says the leader is. The table may not exist yet; then the answer is an error like any other.
absl::StatusOr<std::string> AskJournalForLeader(const ConnectionString& target) {
  if (target.empty()) return absl::NotFoundError("no target is known yet");
  HS_ASSIGN_OR_RETURN(const auto connection, OpenJournal(target));
  HS_ASSIGN_OR_RETURN(const auto row, connection->Execute(kLeaderAddressSql));
  if (row.empty() || !row[0].has_value()) return absl::NotFoundError("no leader");
  return *row[0];
}

// What the journal says of a migration whose coordinator can't be reached.
struct JournalNews {
  bool released = false;
  bool over = false;
  bool cancelled = false;
};

absl::StatusOr<JournalNews> AskJournalForNews(const ConnectionString& target, const std::string& migration) {
  HS_ASSIGN_OR_RETURN(const auto connection, OpenJournal(target));
  const auto row = connection->Execute(kMigrationIsOverSql, {migration});
  // The journal was removed: nobody can go on with this migration.
  if (!row.ok() && SqlState(row.status()) == "42P01") return JournalNews{true, true, false};
  HS_RETURN_IF_ERROR(row.status());
  if (row->size() != 3) return JournalNews{true, true, false};
  return JournalNews{(*row)[0] == "t", (*row)[1] == "t", (*row)[2] == "t"};
}

// An answer that trying again won't change, such as that the versions differ.
bool IsRefusal(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status) || absl::IsUnimplemented(status) ||
         absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status);
}

class WorkerImpl : public Worker {
 public:
  explicit WorkerImpl(WorkerOptions options)
      : options_(std::move(options)),
        keeper_grace_(options_.keeper_grace),
        migration_id_(options_.migration),
        client_(options_.coordinators, options_.security, [this] { return AskJournalForLeader(options_.target); }) {}

  absl::Status Run() override;
  void Stop(bool at_once) override;

 private:
  std::optional<absl::Status> LearnConnections();
  void IdentifyServers();
  absl::Status TakeConnections(const v1::RegisterResponse& response);
  absl::Status Loop();
  // Whether the loop is over, and with which result.
  std::optional<absl::Status> Outcome();
  absl::Status Register();
  void LearnMigration(const std::string& id) {
    if (!id.empty()) migration_id_ = id;
  }
  absl::Status Synchronize();
  void Apply(const v1::SynchronizeResponse& response);
  void StartTasks(const v1::SynchronizeResponse& response);
  void LostCoordinator(const absl::Status& status);
  void LookForTheEnd();
  void SleepUnlessStopped(absl::Duration duration);
  bool stopping() {
    MutexLock lock(&mutex_);
    return stopping_;
  }
  bool stopping_at_once() {
    MutexLock lock(&mutex_);
    return at_once_;
  }

  WorkerOptions options_;  // Complete, and changed no more, when keeper and slots are made.

  // The loop's alone.
  absl::Duration keeper_grace_;
  absl::Duration heartbeat_interval_ = kDefaultHeartbeat;
  absl::Duration retry_delay_ = kFirstRetryDelay;
  absl::Time last_contact_;
  absl::Time next_question_ = absl::InfinitePast();
  std::string migration_id_;
  bool own_source_ = false;  // Not the coordinator's.
  bool own_target_ = false;
  std::optional<v1::ServerIdentity> source_;
  std::optional<v1::ServerIdentity> target_;
  bool registered_ = false;
  bool connected_ = false;
  bool finish_ = false;

  CoordinatorClient client_;
  std::unique_ptr<Keeper> keeper_;  // Once the source is known.
  TaskBoard board_;
  RateLimit rate_limit_;
  RoundTrips round_trips_;

  Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool at_once_ ABSL_GUARDED_BY(mutex_) = false;
};

absl::Status WorkerImpl::Run() {
  for (const std::string& address : options_.coordinators) {
    HS_RETURN_IF_ERROR(CheckConnecting(address, options_.security));
  }
  if (options_.slots < 0) return absl::InvalidArgumentError("a worker can't have fewer than 0 slots");
  own_source_ = !options_.source.empty();
  own_target_ = !options_.target.empty();
  IdentifyServers();
  if (!own_source_ || !own_target_) {
    const std::optional<absl::Status> over = LearnConnections();
    if (over.has_value()) return *over;
  }
  keeper_ = std::make_unique<Keeper>(options_.source, options_.name);
  absl::Status status;
  {
    std::vector<std::unique_ptr<Slot>> slots;
    for (int i = 0; i < options_.slots; ++i) {
      slots.push_back(std::make_unique<Slot>(options_, &board_, keeper_.get(), &rate_limit_, &round_trips_, &client_));
    }
    status = Loop();
    board_.Close();
  }
  LogInfo("worker ended", {{"worker", options_.name}, {"status", status.ok() ? "ok" : status.message()}});
  return status;
}

void WorkerImpl::Stop(bool at_once) {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    at_once_ = at_once_ || at_once;
    changed_.NotifyAll();
  }
  client_.Interrupt();
}

// Registers until a coordinator says how it connects. A result: the worker is over before it began.
std::optional<absl::Status> WorkerImpl::LearnConnections() {
  last_contact_ = absl::Now();
  while (true) {
    if (stopping()) return absl::OkStatus();
    const absl::Status status = Register();
    if (status.ok()) return std::nullopt;
    if (IsRefusal(status)) return WithContext(status, "the coordinator refused this worker");
    LostCoordinator(status);
    if (absl::Now() - last_contact_ > keeper_grace_) return status;
  }
}

// As far as they can be asked just now: who can't reach them does no harm.
void WorkerImpl::IdentifyServers() {
  const auto identify = [](const ConnectionString& where, ServerRole role,
                           std::optional<v1::ServerIdentity>* identity) {
    absl::StatusOr<v1::ServerIdentity> found = ReadServerIdentity(where, role);
    identity->reset();
    if (found.ok()) *identity = *std::move(found);
  };
  if (own_source_) identify(options_.source, ServerRole::kSource, &source_);
  if (own_target_) identify(options_.target, ServerRole::kTarget, &target_);
}

absl::Status WorkerImpl::TakeConnections(const v1::RegisterResponse& response) {
  for (const auto& [what, text, mine] : {std::tuple("source", &response.source_uri(), &options_.source),
                                         std::tuple("target", &response.target_uri(), &options_.target)}) {
    if (!mine->empty()) continue;
    HS_ASSIGN_OR_RETURN(*mine, ConnectionString::Parse(*text, absl::StrCat("the coordinator's ", what)));
  }
  return absl::OkStatus();
}

absl::Status WorkerImpl::Loop() {
  last_contact_ = absl::Now();
  while (true) {
    if (stopping_at_once()) board_.CancelAll();
    if (options_.metrics != nullptr) {
      options_.metrics->SetConnected(connected_);
      options_.metrics->SetHoldsSnapshot(keeper_->snapshot().has_value());
    }
    const std::optional<absl::Status> outcome = Outcome();
    if (outcome.has_value()) return *outcome;
    const absl::Status status = registered_ ? Synchronize() : Register();
    if (status.ok()) {
      last_contact_ = absl::Now();
      retry_delay_ = kFirstRetryDelay;
    } else if (absl::IsNotFound(status)) {
      LogInfo("the coordinator does not know this worker, registering again", {{"worker", options_.name}});
      registered_ = false;
      IdentifyServers();
    } else if (IsRefusal(status)) {
      // What runs is given up: nobody would renew its lease.
      board_.CancelAll();
      return WithContext(status, "the coordinator refused this worker");
    } else if (!absl::IsCancelled(status)) {
      LostCoordinator(status);
    }
  }
}

std::optional<absl::Status> WorkerImpl::Outcome() {
  if (board_.unended() > 0) return std::nullopt;
  // A report that can't be delivered doesn't keep the worker: the journal has it.
  const bool reported = board_.size() == 0 || !connected_;
  if ((finish_ || stopping()) && reported) return absl::OkStatus();
  if (!connected_ && absl::Now() - last_contact_ > keeper_grace_) {
    return absl::UnavailableError(
        absl::StrCat("no coordinator could be reached for ", absl::FormatDuration(keeper_grace_)));
  }
  return std::nullopt;
}

absl::Status WorkerImpl::Register() {
  v1::RegisterRequest request;
  request.set_name(options_.name);
  request.set_zone(options_.zone);
  request.set_slots(options_.slots);
  request.set_version(kVersion);
  request.set_process_id(getpid());
  request.set_wants_connections(keeper_ == nullptr && (options_.source.empty() || options_.target.empty()));
  if (source_.has_value()) *request.mutable_source() = *source_;
  if (target_.has_value()) *request.mutable_target() = *target_;
  const std::optional<v1::Snapshot> snapshot = keeper_ == nullptr ? std::nullopt : keeper_->snapshot();
  if (snapshot.has_value()) *request.mutable_keeper_snapshot() = *snapshot;
  for (v1::RunningTask& task : board_.Running()) *request.add_running() = std::move(task);
  HS_ASSIGN_OR_RETURN(const v1::RegisterResponse response, client_.Register(request));
  if (request.wants_connections()) HS_RETURN_IF_ERROR(TakeConnections(response));
  if (response.has_heartbeat_interval()) heartbeat_interval_ = FromProto(response.heartbeat_interval());
  if (response.has_keeper_grace()) keeper_grace_ = FromProto(response.keeper_grace());
  LearnMigration(response.migration_id());
  registered_ = true;
  connected_ = true;
  // That was another coordinator's word. This one sends workers home itself when it needs them no more.
  finish_ = false;
  LogInfo("registered", {{"worker", options_.name}, {"migration", response.migration_id()}});
  return absl::OkStatus();
}

absl::Status WorkerImpl::Synchronize() {
  const bool draining = stopping();
  v1::SynchronizeRequest request;
  request.set_name(options_.name);
  for (v1::RunningTask& task : board_.Running()) *request.add_running() = std::move(task);
  const std::optional<v1::Snapshot> snapshot = keeper_->snapshot();
  if (snapshot.has_value()) *request.mutable_keeper_snapshot() = *snapshot;
  request.set_needs_snapshot(!draining && keeper_->wants_snapshot());
  request.set_draining(draining);
  if (const auto latency = round_trips_.source.latency()) {
    *request.mutable_measurements()->mutable_source_latency() = ToProto(*latency);
  }
  if (const auto latency = round_trips_.target.latency()) {
    *request.mutable_measurements()->mutable_target_latency() = ToProto(*latency);
  }
  const bool ending = draining || finish_;
  *request.mutable_wait() = ToProto(ending ? std::min(kEndingWait, heartbeat_interval_) : heartbeat_interval_);
  const absl::Time sent = absl::Now();
  HS_ASSIGN_OR_RETURN(const v1::SynchronizeResponse response, client_.Synchronize(request));
  connected_ = true;
  Apply(response);
  // It might answer at once, again and again: there is no news for a worker that ends, and always some for one whose
  // task takes a while to break off.
  const bool repeats = ending || response.revoked_size() > 0;
  if (repeats && absl::Now() - sent < kEndingWait) absl::SleepFor(kEndingWait - (absl::Now() - sent));
  return absl::OkStatus();
}

void WorkerImpl::Apply(const v1::SynchronizeResponse& response) {
  LearnMigration(response.migration_id());
  for (const v1::RunningTask& task : response.revoked()) board_.Revoke(task.id(), task.attempt());
  if (response.release_snapshot()) keeper_->Release();
  if (response.has_snapshot()) keeper_->Offer(response.snapshot());
  // Before what is to start. Without a coordinator the last share holds.
  if (response.has_bytes_per_second()) rate_limit_.SetRate(response.bytes_per_second());
  StartTasks(response);
  if (response.finish()) finish_ = true;
  if (response.drain() && !stopping()) {
    LogInfo("asked to drain: ends when the running tasks have ended", {{"worker", options_.name}});
    Stop(/*at_once=*/false);
  }
  // So that the next Synchronize, which may be a long one, already says that the keeper holds it.
  if (response.has_snapshot()) keeper_->WaitForSnapshot(kImportWait);
}

void WorkerImpl::StartTasks(const v1::SynchronizeResponse& response) {
  std::vector<std::vector<v1::LeasedTask>> bundles;
  for (const v1::LeasedTask& lease : response.start()) {
    const bool joins = lease.bundle() != 0 && !bundles.empty() && bundles.back().back().bundle() == lease.bundle();
    if (!joins) bundles.emplace_back();
    bundles.back().push_back(lease);
  }
  for (std::vector<v1::LeasedTask>& bundle : bundles) {
    if (!stopping() && board_.slots() < 2 * options_.slots) {
      board_.Add(std::move(bundle));
      continue;
    }
    for (const v1::LeasedTask& lease : bundle) {
      v1::FailRequest request;
      request.set_name(options_.name);
      request.set_id(lease.id());
      request.set_attempt(lease.attempt());
      request.set_error(stopping() ? "the worker drains" : "the worker has no free slot");
      request.set_retryable(true);
      client_.Fail(request).IgnoreError();  // If it doesn't arrive, the lease expires.
    }
  }
}

void WorkerImpl::LostCoordinator(const absl::Status& status) {
  if (connected_ || retry_delay_ == kFirstRetryDelay) {
    LogWarning("no coordinator answers, trying again",
               {{"worker", options_.name}, {"error", status.message()}, {"running", board_.unended()}});
  }
  connected_ = false;
  LookForTheEnd();
  SleepUnlessStopped(retry_delay_);
  // No less often than a coordinator that is there would hear of it.
  retry_delay_ = std::min({retry_delay_ * 2, kMaxRetryDelay, std::max(heartbeat_interval_, 2 * kFirstRetryDelay)});
}

// A migration may have ended while this worker could not hear it. Whoever holds the snapshot then would hold it for the
// whole grace time, and keep the source from cleaning up.
void WorkerImpl::LookForTheEnd() {
  if (migration_id_.empty() || absl::Now() < next_question_) return;
  next_question_ = absl::Now() + kQuestionInterval;
  const absl::StatusOr<JournalNews> news = AskJournalForNews(options_.target, migration_id_);
  if (!news.ok()) return;
  if (news->released) keeper_->Release();
  // Nothing of it is wanted any more.
  if (news->cancelled) {
    board_.CancelAll();
    finish_ = true;
  }
  // With slots it may be of use to a verification.
  if (news->over && options_.slots == 0) finish_ = true;
}

void WorkerImpl::SleepUnlessStopped(absl::Duration duration) {
  MutexLock lock(&mutex_);
  // Once it is stopping, the sleep is what keeps the loop from spinning while tasks end.
  const bool was_stopping = stopping_;
  const absl::Time until = absl::Now() + duration;
  while (stopping_ == was_stopping && absl::Now() < until) changed_.WaitFor(&mutex_, until - absl::Now());
}

}  // namespace

std::unique_ptr<Worker> Worker::Create(WorkerOptions options) {
  return std::make_unique<WorkerImpl>(std::move(options));
}

}  // namespace hypershift
