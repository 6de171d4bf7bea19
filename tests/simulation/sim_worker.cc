#include "tests/simulation/sim_worker.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/pg_status.h"
#include "common/status_macros.h"
#include "common/version.h"

namespace hypershift::simulation {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr int kInDoubtTries = 12;
// What a copy says that it has read, however long it has been at it: those that take long look slow, and are handed
// over.
constexpr int64_t kSlowlyCopied = 1000;

LockMode LockOf(TaskKind::Kind kind) {
  if (kind == TaskKind::KIND_COPY || kind == TaskKind::KIND_ANALYZE) return LockMode::kRows;
  return kind == TaskKind::KIND_INDEX ? LockMode::kShare : LockMode::kExclusive;
}

bool NeedsTable(TaskKind::Kind kind) {
  return kind == TaskKind::KIND_COPY || kind == TaskKind::KIND_INDEX || kind == TaskKind::KIND_CONSTRAINT;
}

}  // namespace

SimWorker::SimWorker(const Context& context, Network* network, std::string name, int incarnation, int slots,
                     std::optional<v1::Snapshot> snapshot)
    : context_(context),
      network_(network),
      name_(std::move(name)),
      label_(absl::StrCat(name_, "#", incarnation)),
      slots_(slots),
      process_(context.world),
      address_(context.world->random().Int(0, network->addresses() - 1)),
      snapshot_(std::move(snapshot)) {
  process_.Spawn([this] {
    Main();
    ended_ = true;
  });
  for (int i = 0; i < slots_; ++i) process_.Spawn([this] { SlotLoop(); });
}

void SimWorker::Main() {
  absl::Duration retry_delay = absl::Milliseconds(100);
  while (!finish_ || !entries_.empty()) {
    const absl::Status status = registered_ ? Synchronize() : Register();
    if (status.ok()) {
      retry_delay = absl::Milliseconds(100);
      const absl::Duration heartbeat = context_.settings->times.heartbeat_interval;
      process_.Sleep(context_.world->random().Between(heartbeat / 20, heartbeat));
    } else if (absl::IsNotFound(status)) {
      registered_ = false;
    } else {
      process_.Sleep(retry_delay);
      retry_delay = std::min(retry_delay * 2, absl::Seconds(2));
    }
  }
}

// What the client of the product does when nobody answers: goes to the next address.
template <typename T>
absl::StatusOr<T> SimWorker::Call(std::function<absl::StatusOr<T>(MigrationState*)> handler) {
  const int address = address_;
  absl::StatusOr<T> result = network_->Call<T>(&process_, address, kCallTimeout, std::move(handler));
  if (!absl::IsUnavailable(result.status()) && !absl::IsDeadlineExceeded(result.status())) return result;
  if (address_ == address) address_ = (address_ + 1) % network_->addresses();
  return absl::UnavailableError(result.status().message());
}

void SimWorker::AddRunning(google::protobuf::RepeatedPtrField<v1::RunningTask>* running) const {
  for (const auto& [key, entry] : entries_) {
    v1::RunningTask& task = *running->Add();
    task.set_id(entry->id);
    task.set_attempt(entry->attempt);
    task.set_bytes(kSlowlyCopied);
  }
}

absl::Status SimWorker::Register() {
  v1::RegisterRequest request;
  request.set_name(name_);
  request.set_slots(slots_);
  request.set_version(kVersion);
  if (snapshot_.has_value()) *request.mutable_keeper_snapshot() = *snapshot_;
  AddRunning(request.mutable_running());
  HS_RETURN_IF_ERROR(
      Call<v1::RegisterResponse>([request](MigrationState* state) { return state->Register(request); }).status());
  registered_ = true;
  return absl::OkStatus();
}

absl::Status SimWorker::Synchronize() {
  v1::SynchronizeRequest request;
  request.set_name(name_);
  if (snapshot_.has_value()) *request.mutable_keeper_snapshot() = *snapshot_;
  request.set_needs_snapshot(!snapshot_.has_value() && !snapshot_released_);
  AddRunning(request.mutable_running());
  HS_ASSIGN_OR_RETURN(const v1::SynchronizeResponse response,
                      Call<v1::SynchronizeResponse>([request](MigrationState* state) {
                        return state->Synchronize(request, [] { return true; });
                      }));
  Apply(response);
  return absl::OkStatus();
}

void SimWorker::Apply(const v1::SynchronizeResponse& response) {
  for (const v1::RunningTask& task : response.revoked()) Revoke(task.id(), task.attempt());
  if (response.release_snapshot()) {
    if (snapshot_.has_value()) context_.source->Drop(*snapshot_);
    snapshot_.reset();
    snapshot_released_ = true;
  }
  if (response.has_snapshot() && !snapshot_.has_value() && !snapshot_released_) {
    snapshot_ = context_.source->Import(response.snapshot());
  }
  for (const v1::LeasedTask& lease : response.start()) Start(lease);
  if (response.finish()) finish_ = true;
}

void SimWorker::Start(const v1::LeasedTask& lease) {
  context_.oracle->OnHandedOut(lease.id(), lease.attempt(), name_);
  auto entry = std::make_shared<Entry>();
  entry->id = lease.id();
  entry->attempt = lease.attempt();
  entry->kind = lease.kind();
  if (static_cast<int>(entries_.size()) >= 2 * slots_) {
    ReportOnce(*entry, absl::ResourceExhaustedError("the worker has no free slot")).IgnoreError();
    return;
  }
  if (!entries_.emplace(std::make_pair(entry->id, entry->attempt), entry).second) return;
  waiting_.push_back(entry);
  if (idle_slots_.empty()) return;
  Deliver(context_.world, idle_slots_.back(), absl::ZeroDuration(), true);
  idle_slots_.pop_back();
}

void SimWorker::Revoke(TaskId id, int attempt) {
  const auto found = entries_.find({id, attempt});
  if (found == entries_.end()) return;
  const EntryPtr entry = found->second;
  entry->cancelled = entry->revoked = true;
  const auto waiting = std::find(waiting_.begin(), waiting_.end(), entry);
  if (waiting == waiting_.end()) return;
  waiting_.erase(waiting);
  entries_.erase(found);
}

void SimWorker::SlotLoop() {
  SessionPtr target;
  while (true) {
    const EntryPtr entry = Take();
    ++context_.figures->attempts;
    const absl::Status status = Run(*entry, &target);
    context_.world->Trace(label_, ": task ", entry->id, " attempt ", entry->attempt, ": ", status.ToString());
    if (!status.ok() && target != nullptr) {
      context_.database->Disconnect(target);
      target = nullptr;
    }
    if (absl::IsAborted(status) && SqlState(status).empty()) ++context_.figures->stale_attempts;
    Report(entry, status);
    entries_.erase({entry->id, entry->attempt});
  }
}

SimWorker::EntryPtr SimWorker::Take() {
  while (waiting_.empty()) {
    auto woken = std::make_shared<Answer<bool>>();
    idle_slots_.push_back(woken);
    process_.Await(woken, absl::InfiniteDuration());
  }
  EntryPtr entry = waiting_.front();
  waiting_.pop_front();
  return entry;
}

Author SimWorker::AuthorOf(const Entry& entry) const {
  Author author;
  author.worker = label_;
  author.task = entry.id;
  author.attempt = entry.attempt;
  return author;
}

absl::Status SimWorker::Run(const Entry& entry, SessionPtr* target) {
  if (entry.kind == TaskKind::KIND_COPY && !snapshot_.has_value()) {
    return absl::UnavailableError("this worker's keeper holds no snapshot of the source");
  }
  HS_RETURN_IF_ERROR(Claim(entry, target));
  HS_RETURN_IF_ERROR(Work(entry, *target));
  return Finish(entry, target);
}

// task_journal.cc: ClaimTask.
absl::Status SimWorker::Claim(const Entry& entry, SessionPtr* target) {
  Database* const database = context_.database;
  for (const bool last : {false, true}) {
    if (*target == nullptr || !(*target)->client_open) {
      *target = nullptr;
      HS_ASSIGN_OR_RETURN(*target, database->Connect(&process_));
    }
    const absl::StatusOr<int64_t> claimed = database->Execute(
        &process_, *target,
        [database, session = *target, author = AuthorOf(entry)]() -> std::optional<absl::StatusOr<int64_t>> {
          session->author = author;
          const UpdateResult result = database->Update(
              session.get(), author.task,
              [&](const JournalRow& row) {
                return row.task.attempt == author.attempt && row.task.state == TaskState::STATE_LEASED;
              },
              [&](JournalRow* row) { row->session = session->id; });
          if (result == UpdateResult::kBlocked) return std::nullopt;
          return absl::StatusOr<int64_t>(result == UpdateResult::kHit ? 1 : 0);
        });
    if (claimed.ok() && *claimed == 1) return absl::OkStatus();
    if (claimed.ok()) return absl::AbortedError("the attempt no longer holds the lease");
    if (last || (*target)->client_open) return claimed.status();
  }
  return absl::InternalError("unreachable");
}

absl::Status SimWorker::Work(const Entry& entry, const SessionPtr& target) {
  Database* const database = context_.database;
  if (database->weakness() == Weakness::kEffectUnfenced) {
    HS_RETURN_IF_ERROR(database
                           ->Execute(&process_, target,
                                     [target, id = entry.id]() -> absl::StatusOr<int64_t> {
                                       target->effects.push_back(id);
                                       return 1;
                                     })
                           .status());
  }
  HS_RETURN_IF_ERROR(database->Begin(&process_, target, AuthorOf(entry)));
  if (NeedsTable(entry.kind)) {
    const int table = context_.plan->tasks.at(entry.id).table;
    HS_RETURN_IF_ERROR(
        database
            ->Execute(&process_, target,
                      [database, target, table, mode = LockOf(entry.kind)]() -> std::optional<absl::StatusOr<int64_t>> {
                        if (!database->LockTable(target.get(), table, mode)) return std::nullopt;
                        return absl::StatusOr<int64_t>(1);
                      })
            .status());
  }
  Random& random = context_.world->random();
  const int pieces = random.Int(1, 3);
  for (int i = 0; i < pieces; ++i) {
    process_.Sleep(random.Magnitude(absl::Milliseconds(10), context_.faults->longest_task) / pieces);
    if (entry.cancelled) return absl::CancelledError("the attempt was cancelled");
    HS_RETURN_IF_ERROR(database->Execute(&process_, target, []() -> absl::StatusOr<int64_t> { return 0; }).status());
  }
  return InjectFailure(entry);
}

absl::Status SimWorker::InjectFailure(const Entry& entry) {
  Random& random = context_.world->random();
  const std::pair<double, InjectedFailure> chances[] = {
      {context_.faults->attempt_outage, InjectedFailure::kOutage},
      {context_.faults->attempt_contended, InjectedFailure::kContended},
      {context_.faults->attempt_transient, InjectedFailure::kTransient},
      {context_.faults->attempt_final, InjectedFailure::kFinal}};
  for (const auto& [chance, failure] : chances) {
    if (!random.Chance(chance)) continue;
    context_.oracle->OnFailure(entry.id, entry.attempt, failure);
    return PgErrorStatus("injected", SqlStateOf(failure));
  }
  return absl::OkStatus();
}

// task_journal.cc: FinishTask.
absl::Status SimWorker::Finish(const Entry& entry, SessionPtr* target) {
  if (entry.cancelled) return absl::CancelledError("the attempt was cancelled");
  Database* const database = context_.database;
  const absl::StatusOr<int64_t> finished = database->Execute(
      &process_, *target,
      [database, session = *target, id = entry.id,
       attempt = entry.attempt]() -> std::optional<absl::StatusOr<int64_t>> {
        const bool unchecked = database->weakness() == Weakness::kFinishUnchecked;
        const UpdateResult result = database->Update(
            session.get(), id,
            [&](const JournalRow& row) {
              return unchecked || (row.task.attempt == attempt && row.task.state == TaskState::STATE_LEASED);
            },
            [&](JournalRow* row) {
              row->task.state = TaskState::STATE_DONE;
              row->task.rows = 1;
            });
        if (result == UpdateResult::kBlocked) return std::nullopt;
        if (result == UpdateResult::kHit && database->weakness() != Weakness::kEffectUnfenced) {
          session->effects.push_back(id);
        }
        return absl::StatusOr<int64_t>(result == UpdateResult::kHit ? 1 : 0);
      });
  HS_RETURN_IF_ERROR(finished.status());
  if (*finished != 1) return absl::AbortedError("the attempt no longer holds the lease");
  const absl::Status committed = database->Commit(&process_, *target);
  if (!absl::IsUnavailable(committed)) return committed;
  return ResolveInDoubt(entry, target);
}

absl::Status SimWorker::ResolveInDoubt(const Entry& entry, SessionPtr* target) {
  ++context_.figures->in_doubt_commits;
  Database* const database = context_.database;
  absl::Duration delay = absl::Milliseconds(100);
  for (int i = 0; i < kInDoubtTries && !entry.cancelled; ++i) {
    absl::StatusOr<SessionPtr> session = database->Connect(&process_);
    if (session.ok()) {
      *target = *session;
      const absl::StatusOr<int64_t> done = database->Execute(
          &process_, *session,
          [database, session = *session, id = entry.id, attempt = entry.attempt]() -> absl::StatusOr<int64_t> {
            const JournalRow& row = database->Visible(*session, id);
            return row.task.state == TaskState::STATE_DONE && row.task.attempt == attempt ? 1 : 0;
          });
      if (done.ok() && *done == 1) return absl::OkStatus();
      if (done.ok()) return absl::UnavailableError("the COMMIT did not take effect");
    }
    process_.Sleep(delay);
    delay = std::min(delay * 2, absl::Seconds(10));
  }
  return absl::UnavailableError("whether the COMMIT took effect is not known yet");
}

// slot.cc: Report.
void SimWorker::Report(const EntryPtr& entry, const absl::Status& status) {
  while (!entry->revoked) {
    const absl::Status reported = ReportOnce(*entry, status);
    if (!absl::IsUnavailable(reported) && !absl::IsNotFound(reported)) return;
    process_.Sleep(absl::Milliseconds(500));
  }
}

absl::Status SimWorker::ReportOnce(const Entry& entry, const absl::Status& status) {
  if (status.ok()) {
    v1::CompleteRequest request;
    request.set_name(name_);
    request.set_id(entry.id);
    request.set_attempt(entry.attempt);
    return Call<bool>([request](MigrationState* state) -> absl::StatusOr<bool> {
             HS_RETURN_IF_ERROR(state->Complete(request));
             return true;
           })
        .status();
  }
  v1::FailRequest request;
  request.set_name(name_);
  request.set_id(entry.id);
  request.set_attempt(entry.attempt);
  request.set_error(std::string(status.message()));
  request.set_sqlstate(SqlState(status));
  request.set_retryable(IsRetryable(status) || entry.cancelled || absl::IsResourceExhausted(status));
  return Call<bool>([request](MigrationState* state) -> absl::StatusOr<bool> {
           HS_RETURN_IF_ERROR(state->Fail(request));
           return true;
         })
      .status();
}

void SimWorker::Kill() {
  process_.Kill();
  if (snapshot_.has_value()) context_.source->Drop(*snapshot_);
  snapshot_.reset();
}

void SimWorker::LoseSnapshot() {
  if (!snapshot_.has_value()) return;
  context_.source->Drop(*snapshot_);
  snapshot_.reset();
}

}  // namespace hypershift::simulation
