#include "cli/run_command.h"

#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/keeper_process.h"
#include "cli/migration_client.h"
#include "cli/progress_display.h"
#include "cli/summary.h"
#include "common/log.h"
#include "common/proto_time.h"
#include "common/signal_thread.h"
#include "coordinator/exit_status.h"
#include "hypershift/v1/migration.grpc.pb.h"
#include "worker/worker.h"

namespace hypershift {
namespace {

std::string WorkerName() {
  char host[256] = {};
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat("clone-", host, "-", getpid());
}

void PrintErrors(const absl::Status& status) {
  for (absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    std::fprintf(stderr, "hypershift: %s\n", std::string(line).c_str());
  }
}

// Follows the coordinator as any other client would.
class Watcher {
 public:
  Watcher(const std::string& address, const TransportSecurity& security, ProgressDisplay* display)
      : stub_(ConnectToCoordinator(address, security)), display_(display) {}

  void Start() {
    thread_ = std::thread([this] {
      v1::WatchRequest request;
      *request.mutable_interval() = ToProto(absl::Milliseconds(250));
      const auto reader = stub_->Watch(&context_, request);
      v1::WatchResponse event;
      while (reader->Read(&event)) display_->Update(event);
      reader->Finish();
    });
  }

  void Stop() {
    context_.TryCancel();
    if (thread_.joinable()) thread_.join();
  }

  v1::WatchResponse Last() {
    v1::WatchResponse last;
    const auto ask = [](auto call) {
      grpc::ClientContext context;
      SetTimeout(&context, kMigrationCallTimeout);
      call(&context);
    };
    v1::GetMigrationResponse migration;
    v1::ListTablesResponse tables;
    ask([&](grpc::ClientContext* context) { stub_->GetMigration(context, {}, &migration); });
    ask([&](grpc::ClientContext* context) { stub_->ListTables(context, {}, &tables); });
    *last.mutable_migration() = migration.migration();
    *last.mutable_tables() = tables.tables();
    return last;
  }

 private:
  std::unique_ptr<v1::MigrationService::Stub> stub_;
  ProgressDisplay* display_;
  grpc::ClientContext context_;
  std::thread thread_;
};

// The worker beside the coordinator, and the keeper process.
class LocalWorker {
 public:
  explicit LocalWorker(const CoordinatorOptions& options) : options_(options) {}

  void Start(const std::string& address, Coordinator* coordinator) {
    WorkerOptions worker_options;
    worker_options.coordinators = {address};
    worker_options.security = SecurityOfOwnClients(options_.security);
    worker_options.source = options_.source;
    worker_options.target = options_.target;
    worker_options.name = WorkerName();
    worker_options.slots = options_.config.parallel;
    worker_options.keeper_grace = absl::Seconds(30);
    worker_ = Worker::Create(worker_options);
    thread_ = std::thread([this] {
      const absl::Status status = worker_->Run();
      if (!status.ok()) LogError("the worker failed", {{"error", status.message()}});
    });
    if (!options_.verify_only) StartKeeper(address, coordinator);
  }

  void Join(bool at_once) {
    if (worker_ == nullptr) return;
    worker_->Stop(at_once);
    thread_.join();
    if (keeper_ > 0) waitpid(keeper_, nullptr, WNOHANG);
  }

 private:
  void StartKeeper(const std::string& address, Coordinator* coordinator) {
    // A resumed run finds the keeper of the run before.
    for (const v1::WorkerInfo& worker : coordinator->state()->ListWorkers()) {
      if (worker.slots() == 0 && worker.connected() && worker.holds_snapshot()) return;
    }
    if (coordinator->state()->GetMigration().snapshot_released()) return;
    absl::StatusOr<pid_t> started =
        StartKeeperProcess(options_.source, options_.target, address, coordinator->state()->GetMigration().id(),
                           options_.times.keeper_grace, options_.security.token);
    if (started.ok()) {
      keeper_ = *started;
    } else {
      LogWarning("no keeper process: the snapshot won't outlive a crash", {{"error", started.status().message()}});
    }
  }

  const CoordinatorOptions& options_;
  std::unique_ptr<Worker> worker_;
  std::thread thread_;
  pid_t keeper_ = 0;
};

void WriteReport(const std::string& path, const v1::WatchResponse& last) {
  std::string json;
  google::protobuf::util::JsonPrintOptions print;
  print.add_whitespace = true;
  print.always_print_primitive_fields = true;
  if (!google::protobuf::util::MessageToJsonString(last, &json, print).ok()) return;
  std::ofstream file(path, std::ios::trunc);
  file << json;
  if (!file.good()) LogError("the report can't be written", {{"file", path}});
}

}  // namespace

int RunMigration(const Command& command) {
  const Config& config = command.coordinator.config;
  ProgressDisplay::Options display_options;
  display_options.mode = ProgressDisplay::ModeFor(STDERR_FILENO, config.hide_progress);
  // JSON lines are for machines: no drawing between them.
  if (config.log_format == LogFormat::kJson && display_options.mode == ProgressDisplay::Mode::kTerminal) {
    display_options.mode = ProgressDisplay::Mode::kLines;
  }
  ProgressDisplay display(display_options);
  InitLog({config.log_format, config.verbose ? LogLevel::kDebug : LogLevel::kInfo,
           [&display](absl::string_view line) { display.LogLine(line); }});

  SignalThread signals;
  std::string address;
  std::atomic<bool> started{false};
  LocalWorker worker(command.coordinator);
  Coordinator* running = nullptr;
  CoordinatorOptions options = command.coordinator;
  options.on_ready = [&] {
    started = true;
    worker.Start(address, running);
  };
  const std::unique_ptr<Coordinator> coordinator = Coordinator::Create(std::move(options));
  running = coordinator.get();
  absl::StatusOr<std::string> listening = coordinator->Listen();
  if (!listening.ok()) {
    PrintErrors(listening.status());
    SetLogSink(nullptr);
    return kExitBadInput;
  }
  address = *listening;
  std::atomic<bool> at_once{false};
  signals.Start([&](int count) {
    LogInfo(count == 1 ? "stopping: running ranges finish first; once more to roll them back"
                       : "stopping at once: running ranges are rolled back");
    at_once = count > 1;
    coordinator->Stop(count > 1);
  });
  Watcher watcher(address, SecurityOfOwnClients(command.coordinator.security), &display);
  watcher.Start();
  const absl::StatusOr<RunResult> result = coordinator->Run();
  worker.Join(at_once);
  const v1::WatchResponse last = watcher.Last();
  watcher.Stop();
  display.Close();
  SetLogSink(nullptr);
  if (!result.ok()) PrintErrors(result.status());
  if (started) std::fputs(FormatSummary(last, TerminalColumns(STDOUT_FILENO)).c_str(), stdout);
  if (!command.report_file.empty()) WriteReport(command.report_file, last);
  if (started) {
    std::fflush(stdout);
    coordinator->Linger();
  }
  signals.Stop();
  return ExitStatusOf(result, started);
}

}  // namespace hypershift
