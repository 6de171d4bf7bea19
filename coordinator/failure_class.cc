#include "coordinator/failure_class.h"

#include "absl/strings/match.h"

namespace hypershift {

FailureClass ClassifyFailure(bool retryable, absl::string_view sqlstate) {
  if (!retryable) return FailureClass::kFinal;
  // 25006: the server was a primary when the session began. 57P05 and the like end sessions, not statements.
  if (sqlstate.empty() || absl::StartsWith(sqlstate, "08") || absl::StartsWith(sqlstate, "57P0") ||
      absl::StartsWith(sqlstate, "25P0") || sqlstate == "25006") {
    return FailureClass::kOutage;
  }
  if (sqlstate == "55P03" || sqlstate == "53300") return FailureClass::kContended;
  return FailureClass::kTransient;
}

absl::string_view FailureRemedy(absl::string_view sqlstate) {
  if (sqlstate == "53100") return "free space on that server's disk";
  if (sqlstate == "53200") return "give that server more memory, or run fewer slots";
  if (sqlstate == "42501") return "grant the role what it lacks";
  if (sqlstate == "53400") return "raise the limit on that server";
  if (absl::StartsWith(sqlstate, "23")) return "mend or remove the rows in question, or leave the constraint out";
  return "";
}

}  // namespace hypershift
