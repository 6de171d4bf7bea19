#include "worker/program.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <memory>
#include <thread>

#include "common/http_server.h"
#include "common/log.h"
#include "common/metrics_text.h"
#include "worker/command_line.h"
#include "worker/worker.h"
#include "worker/worker_metrics.h"

namespace hypershift {
namespace {

constexpr int kExitGaveUp = 1;
constexpr int kExitBadInput = 2;
constexpr int kExitSignalBase = 128;

// Signals that a thread takes one by one, instead of handlers that may do next to nothing. Every thread made later
// inherits the mask.
sigset_t BlockSignals(bool keeper) {
  std::signal(SIGPIPE, SIG_IGN);
  if (keeper) std::signal(SIGINT, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  if (!keeper) sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGUSR1);  // Sent by this process to itself: the worker has ended.
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// First signal: drain. Second: at once. Third: now.
void HandleSignals(const sigset_t& signals, Worker* worker, const std::atomic<bool>* ended) {
  for (int received = 1;; ++received) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (ended->load()) return;
    if (signal == SIGUSR1) {
      --received;
      continue;
    }
    if (received > 2) _exit(kExitSignalBase + signal);
    LogInfo(received == 1 ? "stopping when the running tasks have ended" : "stopping at once", {{"signal", signal}});
    worker->Stop(/*at_once=*/received > 1);
  }
}

// Null if no metrics are asked for.
absl::StatusOr<std::unique_ptr<HttpServer>> ServeMetrics(const HttpOptions& options, const WorkerMetrics* metrics) {
  if (options.address.empty()) return nullptr;
  return HttpServer::Start(options, [metrics](const HttpRequest& request) {
    const bool known = request.path == "/metrics" && (request.method == "GET" || request.method == "HEAD");
    return known ? MetricsResponse(*metrics) : TextResponse(404, "only /metrics is here\n");
  });
}

}  // namespace

int RunWorkerProgram(int argc, char** argv) {
  const absl::StatusOr<WorkerCommand> command = ParseWorkerCommand(argc, argv, std::cin);
  if (!command.ok()) {
    std::fprintf(stderr, "hypershift-worker: %s\n", std::string(command.status().message()).c_str());
    return kExitBadInput;
  }
  if (!command->message.empty()) {
    std::fputs(command->message.c_str(), stdout);
    return 0;
  }
  // Fails only for the leader of a process group, which then is not in the parent's group anyway.
  if (command->keeper) setsid();
  const sigset_t signals = BlockSignals(command->keeper);
  InitLog({command->log_format, command->verbose ? LogLevel::kDebug : LogLevel::kInfo, nullptr});

  WorkerOptions options = command->options;
  WorkerMetrics metrics(options.name, options.zone, options.slots);
  options.metrics = &metrics;
  const absl::StatusOr<std::unique_ptr<HttpServer>> http = ServeMetrics(command->http, &metrics);
  if (!http.ok()) {
    std::fprintf(stderr, "hypershift-worker: --http: %s\n", std::string(http.status().message()).c_str());
    return kExitBadInput;
  }
  if (*http != nullptr) LogInfo("metrics", {{"worker", options.name}, {"url", (*http)->url() + "metrics"}});
  const std::unique_ptr<Worker> worker = Worker::Create(std::move(options));
  std::atomic<bool> ended{false};
  std::thread signal_thread([&] { HandleSignals(signals, worker.get(), &ended); });
  const absl::Status status = worker->Run();
  ended = true;
  pthread_kill(signal_thread.native_handle(), SIGUSR1);
  signal_thread.join();
  if (status.ok()) return 0;
  LogError("worker failed", {{"worker", command->options.name}, {"error", status.message()}});
  return kExitGaveUp;
}

}  // namespace hypershift
