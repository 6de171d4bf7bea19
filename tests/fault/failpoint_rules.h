// What HYPERSHIFT_FAILPOINTS says, and when a failpoint does something.
//
//   worker.commit_sent=exit@3;coordinator.lease_expiry=pause:2s@1x2
//
// Rules are separated by semicolons: [keeper:]name[\[detail\]]=action[:argument][@first][xtimes]
//   keeper:   the rule is for the keeper process of `hypershift clone` alone; without it, for every process but that
//   detail    only passes with this detail: a task's kind, an RPC or a journal write, as common/failpoint.h has it
//   action    error           the step does not run and fails
//             exit            the process ends at once, before the step, as by kill -9
//             pause:2s        the step waits first
//             run-then-error  the step runs, and is reported as failed
//             run-then-pause:2s  the step runs, and it is a while until what comes after it
//   first     the first pass that fires, counted from 1 within one process; 1 if not given
//   times     how many passes in a row fire; 1 if not given
//
// Pure: no clock, no environment. Not thread-safe.
#ifndef HYPERSHIFT_TESTS_FAULT_FAILPOINT_RULES_H_
#define HYPERSHIFT_TESTS_FAULT_FAILPOINT_RULES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/failpoint.h"

namespace hypershift {

enum class FailpointAction { kError, kExit, kPause, kRunThenError, kRunThenPause };

struct FailpointRule {
  std::string text;  // As it was written.
  bool keeper = false;
  Failpoint point = Failpoint::kWorkerClaim;
  std::string detail;  // Empty: any.
  FailpointAction action = FailpointAction::kError;
  absl::Duration pause = absl::ZeroDuration();
  int first = 1;
  int times = 1;
};

absl::string_view FailpointName(Failpoint point);
absl::string_view FailpointActionName(FailpointAction action);

// kInvalidArgument, one line that names the rule and what would be right.
absl::StatusOr<std::vector<FailpointRule>> ParseFailpointRules(absl::string_view text);

// Counts passes and says what each one does.
class FailpointTrigger {
 public:
  // Keeps the rules for this kind of process.
  FailpointTrigger(std::vector<FailpointRule> rules, bool in_keeper);

  // The first rule that fires at this pass. Every rule that fits counts it.
  std::optional<FailpointRule> Pass(Failpoint point, FailpointSide side, absl::string_view detail);

 private:
  struct Counted {
    FailpointRule rule;
    int passes = 0;
  };
  std::vector<Counted> rules_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_TESTS_FAULT_FAILPOINT_RULES_H_
