// What hypershift-worker was asked to do: its arguments, its environment, and the connection strings that a parent
// process may hand it on standard input.
//
// Single-threaded, at the start of the program. Errors are kInvalidArgument, one line for the user, never with a
// password.
#ifndef HYPERSHIFT_WORKER_COMMAND_LINE_H_
#define HYPERSHIFT_WORKER_COMMAND_LINE_H_

#include <istream>
#include <string>

#include "absl/status/statusor.h"
#include "common/config.h"
#include "common/http_server.h"
#include "worker/worker.h"

namespace hypershift {

struct WorkerCommand {
  WorkerOptions options;
  LogFormat log_format = LogFormat::kText;
  bool verbose = false;
  HttpOptions http;  // Where metrics are served; no address = nowhere.
  // Outlives the process that started it: a session of its own, deaf to the terminal's Ctrl-C.
  bool keeper = false;
  // --help or --version was asked for: print this and exit with 0.
  std::string message;
};

absl::StatusOr<WorkerCommand> ParseWorkerCommand(int argc, const char* const* argv, std::istream& standard_input);

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_COMMAND_LINE_H_
