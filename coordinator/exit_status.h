// What the exit status of a program that runs a migration says. Scripts depend on it: the README has the table.
#ifndef HYPERSHIFT_COORDINATOR_EXIT_STATUS_H_
#define HYPERSHIFT_COORDINATOR_EXIT_STATUS_H_

#include "absl/status/statusor.h"
#include "coordinator/coordinator.h"

namespace hypershift {

enum ExitStatus {
  kExitDone = 0,
  kExitDifferences = 1,
  kExitBadInput = 2,  // Refused: nothing was changed, or nothing will be until the operator decides.
  kExitNotChecked = 3,
  kExitUnfinished = 4,
  kExitCancelled = 5,
  kExitInterrupted = 130,
};

// `started`: the check had passed and something was written.
inline ExitStatus ExitStatusOf(const absl::StatusOr<RunResult>& result, bool started) {
  if (!result.ok()) {
    const bool refused = !started || result.status().code() == absl::StatusCode::kFailedPrecondition;
    return refused ? kExitBadInput : kExitUnfinished;
  }
  switch (*result) {
    case RunResult::kDone:
      return kExitDone;
    case RunResult::kStopped:
      return kExitInterrupted;
    case RunResult::kCancelled:
      return kExitCancelled;
    case RunResult::kTablesFailed:
      return kExitUnfinished;
    case RunResult::kDifferences:
      return kExitDifferences;
    case RunResult::kNotChecked:
      return kExitNotChecked;
  }
  return kExitUnfinished;
}

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_EXIT_STATUS_H_
