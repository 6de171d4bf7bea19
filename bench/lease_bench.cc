// lease_bench SHAPE WORKERS SLOTS SECONDS: how many tasks a coordinator leases and takes in as done each second, on the
// plan of that shape that plan_bench has written to the database HYPERSHIFT_TEST_SOURCE_URI.
//
// The coordinator's part is the real one: MigrationState, Turn and Journal, as RunLoop drives them. Workers are threads
// that call MigrationState as the RPC handlers do. Each slot does on a session of its own what a worker does to the
// journal for every task (claim it; finish it in a transaction), and nothing else: the ranges are empty. Prints one
// line of JSON.
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/copy_connection.h"
#include "common/journal_sql.h"
#include "common/log.h"
#include "common/mutex.h"
#include "common/proto_time.h"
#include "common/status_macros.h"
#include "common/version.h"
#include "coordinator/journal.h"
#include "coordinator/migration_setup.h"
#include "coordinator/turn.h"

namespace hypershift::bench {
namespace {

constexpr char kMigration[] = "bench";
constexpr absl::Duration kWarmUp = absl::Seconds(2);
constexpr absl::Duration kWait = absl::Seconds(2);

double ThreadSeconds() {
  struct timespec used = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

// What a worker's slot says to the journal about one task.
absl::Status RunEmptyRange(const v1::LeasedTask& task, CopyConnection* target) {
  const std::vector<std::string> key = {absl::StrCat("{", task.id(), "}"), absl::StrCat("{", task.attempt(), "}")};
  int64_t rows = 0;
  HS_RETURN_IF_ERROR(target->Execute(kClaimTasksSql, key, &rows).status());
  if (rows != 1) return absl::AbortedError("the lease is lost");
  HS_RETURN_IF_ERROR(target->Execute("BEGIN").status());
  HS_RETURN_IF_ERROR(
      target->Execute(kFinishTasksSql, {key[0], key[1], "{0}", "{0}", "{\"\"}", "{\"\"}"}, &rows).status());
  if (rows != 1) return absl::AbortedError("the attempt is stale");
  return target->Execute("COMMIT").status();
}

class Worker {
 public:
  Worker(std::string name, int slots, const ConnectionString& target, MigrationState* state)
      : name_(std::move(name)), slots_(slots), target_(target), state_(state) {}

  absl::Status Start() {
    v1::RegisterRequest request;
    request.set_name(name_);
    request.set_slots(slots_);
    request.set_version(kVersion);
    HS_RETURN_IF_ERROR(state_->Register(request).status());
    for (int i = 0; i < slots_; ++i) {
      SessionOptions options;
      options.role = ServerRole::kTarget;
      options.lock_timeout = absl::Seconds(30);
      HS_ASSIGN_OR_RETURN(std::unique_ptr<CopyConnection> session, CopyConnection::Open(target_, options));
      threads_.emplace_back(
          [this, session = std::shared_ptr<CopyConnection>(std::move(session))] { RunSlot(*session); });
    }
    threads_.emplace_back([this] { TakeTasks(); });
    return absl::OkStatus();
  }

  void Stop() {
    {
      MutexLock lock(&mutex_);
      stopped_ = true;
      changed_.NotifyAll();
    }
    for (std::thread& thread : threads_) thread.join();
  }

  absl::Status status() {
    MutexLock lock(&mutex_);
    return status_;
  }

 private:
  void TakeTasks() {
    while (true) {
      v1::SynchronizeRequest request;
      request.set_name(name_);
      *request.mutable_wait() = ToProto(kWait);
      {
        MutexLock lock(&mutex_);
        if (stopped_) return;
        for (const auto& [id, attempt] : running_) {
          v1::RunningTask* const running = request.add_running();
          running->set_id(id);
          running->set_attempt(attempt);
        }
      }
      const auto response = state_->Synchronize(request, [this] { return stopped(); });
      MutexLock lock(&mutex_);
      if (!response.ok()) {
        status_.Update(response.status());
        return;
      }
      for (const v1::LeasedTask& task : response->start()) {
        running_[task.id()] = task.attempt();
        waiting_.push_back(task);
      }
      changed_.NotifyAll();
    }
  }

  void RunSlot(CopyConnection& session) {
    while (true) {
      v1::LeasedTask task;
      {
        MutexLock lock(&mutex_);
        while (waiting_.empty() && !stopped_) changed_.WaitFor(&mutex_, absl::Seconds(1));
        if (stopped_) return;
        task = std::move(waiting_.front());
        waiting_.pop_front();
      }
      absl::Status done = RunEmptyRange(task, &session);
      {
        MutexLock lock(&mutex_);
        running_.erase(task.id());
      }
      v1::CompleteRequest request;
      request.set_name(name_);
      request.set_id(task.id());
      request.set_attempt(task.attempt());
      if (done.ok()) done = state_->Complete(request);
      if (done.ok()) continue;
      MutexLock lock(&mutex_);
      status_.Update(done);
    }
  }

  bool stopped() {
    MutexLock lock(&mutex_);
    return stopped_;
  }

  const std::string name_;
  const int slots_;
  const ConnectionString target_;
  MigrationState* const state_;
  std::vector<std::thread> threads_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<v1::LeasedTask> waiting_ ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, int> running_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

int64_t Unfinished(MigrationState* state) {
  int64_t unfinished = 0;
  state->WithScheduler([&](Scheduler& scheduler) { unfinished = scheduler.unfinished(); });
  return unfinished;
}

struct Measured {
  int64_t done = 0;
  int64_t turns = 0;
  double seconds = 0;
  double processor_seconds = 0;
};

// As RunLoop takes its turns.
absl::StatusOr<Measured> TakeTurns(absl::Duration time, MigrationState* state, Journal* journal) {
  Turn turn(DispatchSettings(), SystemClock::Get(), state, journal);
  const auto take_turns = [&](absl::Duration how_long, int64_t* turns) -> absl::Status {
    const absl::Time end = absl::Now() + how_long;
    for (; absl::Now() < end && Unfinished(state) > 0; ++*turns) {
      HS_RETURN_IF_ERROR(turn.Run(state->TakeReports(absl::Milliseconds(500)), Circumstances()));
    }
    return absl::OkStatus();
  };
  Measured measured;
  HS_RETURN_IF_ERROR(take_turns(std::min(kWarmUp, time / 5), &measured.turns));
  measured.turns = 0;
  const int64_t before = Unfinished(state);
  const double processor = ThreadSeconds();
  const absl::Time began = absl::Now();
  HS_RETURN_IF_ERROR(take_turns(time, &measured.turns));
  measured.seconds = absl::ToDoubleSeconds(absl::Now() - began);
  measured.processor_seconds = ThreadSeconds() - processor;
  measured.done = before - Unfinished(state);
  return measured;
}

absl::Status Run(int argc, char** argv) {
  const char* const uri = std::getenv("HYPERSHIFT_TEST_SOURCE_URI");
  int workers = 0;
  int slots = 0;
  double seconds = 0;
  if (argc != 5 || uri == nullptr || !absl::SimpleAtoi(argv[2], &workers) || !absl::SimpleAtoi(argv[3], &slots) ||
      !absl::SimpleAtod(argv[4], &seconds)) {
    return absl::InvalidArgumentError(
        "usage: lease_bench SHAPE WORKERS SLOTS SECONDS, with HYPERSHIFT_TEST_SOURCE_URI");
  }
  HS_ASSIGN_OR_RETURN(const ConnectionString target, ConnectionString::Parse(uri, "target"));
  Journal journal(target);
  MigrationState state((StateTimes()));
  HS_RETURN_IF_ERROR(journal.TakeLead("bench", "127.0.0.1:1", absl::Seconds(10)));
  HS_RETURN_IF_ERROR(journal.RevokeLeases(kMigration));
  HS_RETURN_IF_ERROR(LoadFromJournal(kMigration, &journal, &state));
  std::deque<Worker> all;
  for (int i = 1; i <= workers; ++i) {
    HS_RETURN_IF_ERROR(all.emplace_back(absl::StrCat("worker-", i), slots, target, &state).Start());
  }
  absl::StatusOr<Measured> measured = TakeTurns(absl::Seconds(seconds), &state, &journal);
  absl::Status status = measured.status();
  for (Worker& worker : all) worker.Stop();
  for (Worker& worker : all) status.Update(worker.status());
  HS_RETURN_IF_ERROR(status);
  HS_RETURN_IF_ERROR(journal.RevokeLeases(kMigration));
  HS_RETURN_IF_ERROR(journal.GiveUpLead());
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "{\"what\": \"lease\", \"shape\": \"%s\", \"slots\": %d, \"tasks\": %lld, \"seconds\": %.1f, \"per_second\": "
      "%.0f, \"turns\": %lld, "
      "\"run_loop_processor_share\": %.2f, \"peak_mib\": %lld}\n",
      argv[1], workers * slots, static_cast<long long>(measured->done), measured->seconds,
      static_cast<double>(measured->done) / measured->seconds, static_cast<long long>(measured->turns),
      measured->processor_seconds / measured->seconds, static_cast<long long>(usage.ru_maxrss / 1024));
  return absl::OkStatus();
}

}  // namespace
}  // namespace hypershift::bench

int main(int argc, char** argv) {
  const absl::Status status = hypershift::bench::Run(argc, argv);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
