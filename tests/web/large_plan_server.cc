// large_plan_server RANGES: the coordinator's own service and web server over a plan of that many ranges, half of them
// done. Prints its URL, and serves until its standard input ends; every tenth of a second some more ranges are done.
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/log.h"
#include "common/proto_time.h"
#include "common/version.h"
#include "coordinator/hypertable_spec.h"
#include "coordinator/migration_state.h"
#include "coordinator/services.h"
#include "coordinator/web_server.h"

namespace hypershift {
namespace {

constexpr int kTables = 5;
constexpr int kRangesPerChunk = 4;
constexpr int64_t kChunk = kMicrosecondsPerDay / 24;
constexpr int64_t kRowsPerRange = 1'000'000;
constexpr int64_t kBytesPerRange = 100'000'000;

class LargePlan {
 public:
  explicit LargePlan(int64_t ranges) : ranges_(ranges) {
    for (int table = 1; table <= kTables; ++table) AddTable(table);
  }

  void Load(MigrationState* state) {
    std::vector<Task> tasks;
    for (const TaskRow& row : rows_) tasks.push_back(row.task);
    state->LoadPlan(tables_, rows_, *Scheduler::Create(std::move(tasks), {}));
  }

 private:
  void AddTable(int id) {
    TablePlan table;
    table.id = id;
    table.name = {"public", absl::StrCat("measurements_", id)};
    table.method = SplitMethod::kTime;
    table.hypertable = table.compressed = true;
    const int64_t ranges = ranges_ / kTables;
    table.estimated_rows = ranges * kRowsPerRange;
    table.estimated_bytes = ranges * kBytesPerRange;
    tables_.push_back(table);
    // Further on in the first tables.
    const int64_t done = ranges * (kTables - id + 1) / (kTables + 1);
    int64_t start = 1'500'000'000'000'000 / kChunk * kChunk;
    for (int64_t range = 0; range < ranges; range += kRangesPerChunk, start += kChunk) {
      const std::string chunk = absl::StrCat("chunk from ", TimeDisplay(TimeType::kTimestamptz, start));
      Add(id, TaskKind::KIND_PREPARE_CHUNK, chunk, range < done);
      for (int piece = 0; piece < kRangesPerChunk; ++piece) {
        const int64_t from = start + kChunk / kRangesPerChunk * piece;
        Add(id, TaskKind::KIND_COPY,
            absl::StrCat(TimeDisplay(TimeType::kTimestamptz, from), " to ",
                         TimeDisplay(TimeType::kTimestamptz, from + kChunk / kRangesPerChunk)),
            range + piece < done);
      }
      Add(id, TaskKind::KIND_COMPRESS, chunk, range + kRangesPerChunk < done);
    }
  }

  void Add(int table, TaskKind::Kind kind, const std::string& description, bool done) {
    TaskRow row;
    row.task.id = static_cast<TaskId>(rows_.size()) + 1;
    row.task.table = table;
    row.task.kind = kind;
    row.task.sequence = row.task.id;
    row.description = description;
    row.started_at = row.finished_at = absl::InfinitePast();
    if (done) {
      row.task.state = TaskState::STATE_DONE;
      row.task.attempt = 1;
      row.finished_at = absl::Now();
      row.started_at = row.finished_at - absl::Seconds(3);
      if (kind == TaskKind::KIND_COPY) {
        row.task.rows = kRowsPerRange;
        row.task.bytes = kBytesPerRange;
      }
    }
    rows_.push_back(std::move(row));
  }

  const int64_t ranges_;
  std::vector<TablePlan> tables_;
  std::vector<TaskRow> rows_;
};

// What a run loop with workers would do.
void FinishSome(MigrationState* state, int leased, int finished) {
  state->WithScheduler([&](Scheduler& scheduler) {
    const absl::Time now = absl::Now();
    const std::set<TaskId> running = scheduler.leased();
    for (TaskId id : running) {
      if (finished-- <= 0) break;
      scheduler.Finish(id, scheduler.Find(id)->attempt, kRowsPerRange, kBytesPerRange).IgnoreError();
    }
    while (scheduler.leased_count() < leased) {
      const Task* next = scheduler.Next(now, [](const Task&) { return true; });
      if (next == nullptr) return;
      scheduler.Lease(next->id, "w1", now + absl::Hours(1)).IgnoreError();
    }
  });
}

int Main(int argc, char** argv) {
  int64_t ranges = 0;
  if (argc != 2 || !absl::SimpleAtoi(argv[1], &ranges)) {
    std::fputs("usage: large_plan_server RANGES\n", stderr);
    return 2;
  }
  InitLog({LogFormat::kText, LogLevel::kWarning, nullptr});
  MigrationState state{StateTimes()};
  v1::MigrationInfo info;
  info.set_id("large");
  info.set_source("postgresql://db1/plant");
  info.set_target("postgresql://db2/plant");
  *info.mutable_started_at() = ToProto(absl::Now() - absl::Hours(5));
  state.SetMigration(info);
  state.SetPhase(v1::MigrationPhase::PHASE_RUN, "runs");
  LargePlan(ranges).Load(&state);
  v1::RegisterRequest worker;
  worker.set_name("w1");
  worker.set_slots(16);
  worker.set_version(kVersion);
  state.Register(worker).IgnoreError();

  MigrationServiceImpl service(&state);
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  WebOptions options;
  options.http.address = "127.0.0.1:0";
  const auto web =
      WebServer::Start(options, v1::MigrationService::NewStub(server->InProcessChannel(grpc::ChannelArguments())));
  if (!web.ok()) return 1;
  std::printf("%s\n", (*web)->url().c_str());
  std::fflush(stdout);

  std::atomic<bool> ended{false};
  std::thread run([&] {
    v1::SynchronizeRequest request;
    request.set_name("w1");
    while (!ended) {
      FinishSome(&state, 16, 3);
      state.Synchronize(request, [] { return true; }).IgnoreError();
      absl::SleepFor(absl::Milliseconds(100));
    }
  });
  for (std::string line; std::getline(std::cin, line);) {
  }
  ended = true;
  run.join();
  return 0;
}

}  // namespace
}  // namespace hypershift

int main(int argc, char** argv) { return hypershift::Main(argc, argv); }
