// hypershift-coordinator: a coordinator as a process of its own; workers join it from wherever they run.
//
// Exit status: 0 done, 1 verification found differences, 2 bad input or refused (nothing was changed), 3 verification
// could not check, 4 unfinished (the same command resumes), 5 cancelled, 130 interrupted (the same command resumes).
#include <cstdio>
#include <memory>

#include "absl/strings/str_split.h"
#include "common/log.h"
#include "common/signal_thread.h"
#include "common/version.h"
#include "coordinator/coordinator.h"
#include "coordinator/exit_status.h"
#include "coordinator/run_flags.h"

namespace hypershift {
namespace {

void PrintErrors(const absl::Status& status) {
  for (absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    std::fprintf(stderr, "hypershift-coordinator: %s\n", std::string(line).c_str());
  }
}

int Run(const CoordinatorOptions& given) {
  InitLog({given.config.log_format, given.config.verbose ? LogLevel::kDebug : LogLevel::kInfo, nullptr});
  SignalThread signals;
  bool started = false;
  CoordinatorOptions options = given;
  options.on_ready = [&started] { started = true; };
  const std::unique_ptr<Coordinator> coordinator = Coordinator::Create(std::move(options));
  const absl::StatusOr<std::string> address = coordinator->Listen();
  if (!address.ok()) {
    PrintErrors(address.status());
    return kExitBadInput;
  }
  LogInfo("coordinator listens", {{"address", *address}});
  signals.Start([&](int count) { coordinator->Stop(count > 1); });
  const absl::StatusOr<RunResult> result = coordinator->Run();
  if (started) coordinator->Linger();
  signals.Stop();
  if (!result.ok()) PrintErrors(result.status());
  if (result.ok() && *result == RunResult::kCancelled) {
    PrintErrors(absl::CancelledError(coordinator->state()->GetMigration().error()));
  }
  return ExitStatusOf(result, started);
}

int Main(int argc, char** argv) {
  RunFlags flags;
  CLI::App app("Coordinates a migration of a PostgreSQL database into TimescaleDB.", "hypershift-coordinator");
  app.set_version_flag("--version", std::string(kVersion));
  AddSourceFlags(&app, &flags);
  AddTargetFlags(&app, &flags);
  AddRunFlags(&app, &flags);
  AddCloneFlags(&app, &flags);
  AddCoordinatorFlags(&app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? 0 : kExitBadInput;
  }
  const absl::StatusOr<CoordinatorOptions> options = CloneOptions(flags);
  if (!options.ok()) {
    PrintErrors(options.status());
    return kExitBadInput;
  }
  return Run(*options);
}

}  // namespace
}  // namespace hypershift

int main(int argc, char** argv) { return hypershift::Main(argc, argv); }
