// What the programs of tests/fault are linked with: failpoints do what HYPERSHIFT_FAILPOINTS says.
//
// What it says is read before main() begins: a rule that can't be understood ends the process with one line and status
// 2. Each pass that fires appends a line to the file that HYPERSHIFT_FAILPOINTS_LOG names, so that a test knows that
// the failure which it asked for has happened: "<process id> <rule> <detail>".
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/failpoint.h"
#include "common/mutex.h"
#include "tests/fault/failpoint_rules.h"

namespace hypershift {
namespace {

// Of no other meaning anywhere: a test can tell this end from all others.
constexpr int kExitAtFailpoint = 97;
constexpr int kExitBadRules = 2;

struct State {
  Mutex mutex;
  std::optional<FailpointTrigger> trigger ABSL_GUARDED_BY(mutex);
  std::string log_path;
};

// Never destroyed: threads may pass failpoints while the process ends.
State& GetState() {
  static State* const state = new State;
  return *state;
}

bool InKeeperProcess() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string words((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return absl::StrContains(words, std::string("\0--keeper\0", 10));
}

__attribute__((constructor)) void ReadEnvironment() {
  State& state = GetState();
  const char* const log_path = std::getenv("HYPERSHIFT_FAILPOINTS_LOG");
  if (log_path != nullptr) state.log_path = log_path;
  const char* const text = std::getenv("HYPERSHIFT_FAILPOINTS");
  if (text == nullptr) return;
  absl::StatusOr<std::vector<FailpointRule>> rules = ParseFailpointRules(text);
  if (!rules.ok()) {
    std::fprintf(stderr, "HYPERSHIFT_FAILPOINTS: %s\n", std::string(rules.status().message()).c_str());
    _exit(kExitBadRules);
  }
  MutexLock lock(&state.mutex);
  state.trigger.emplace(*std::move(rules), InKeeperProcess());
}

void Note(const std::string& path, const FailpointRule& rule, absl::string_view detail) {
  const std::string line = absl::StrCat(getpid(), " ", rule.text, " ", detail, "\n");
  const int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  // A line that is missing makes the test fail that looks for it.
  if (fd < 0 || write(fd, line.data(), line.size()) < 0) std::perror("HYPERSHIFT_FAILPOINTS_LOG");
  if (fd >= 0) close(fd);
}

}  // namespace

absl::Status HitFailpoint(Failpoint point, FailpointSide side, absl::string_view detail) {
  State& state = GetState();
  std::optional<FailpointRule> rule;
  {
    MutexLock lock(&state.mutex);
    if (state.trigger.has_value()) rule = state.trigger->Pass(point, side, detail);
  }
  if (!rule.has_value()) return absl::OkStatus();
  if (!state.log_path.empty()) Note(state.log_path, *rule, detail);
  switch (rule->action) {
    case FailpointAction::kExit:
      _exit(kExitAtFailpoint);
    case FailpointAction::kPause:
    case FailpointAction::kRunThenPause:
      absl::SleepFor(rule->pause);
      return absl::OkStatus();
    case FailpointAction::kError:
    case FailpointAction::kRunThenError:
      break;
  }
  return absl::UnavailableError(
      absl::StrCat("failpoint ", FailpointName(point), " (", FailpointActionName(rule->action), ")"));
}

}  // namespace hypershift
