// What to make of an attempt that failed: whose fault it was, and what the operator can do.
//
// Pure functions of the SQLSTATE (https://www.postgresql.org/docs/15/errcodes-appendix.html).
#ifndef HYPERSHIFT_COORDINATOR_FAILURE_CLASS_H_
#define HYPERSHIFT_COORDINATOR_FAILURE_CLASS_H_

#include "absl/strings/string_view.h"

namespace hypershift {

enum class FailureClass {
  // A server or the way to it was away, or is a stand-by for now: nothing that the task could have done better.
  kOutage,
  // Somebody else has what it needs: a lock, the last connection.
  kContended,
  // Another attempt may succeed, but not for ever: a deadlock, a lack of memory.
  kTransient,
  // Another attempt would end alike.
  kFinal,
};

// `retryable` is the worker's judgement: it knows more than the SQLSTATE, which is empty when no server said anything.
FailureClass ClassifyFailure(bool retryable, absl::string_view sqlstate);

// What to do about a task that failed for good; empty when the server's own words say it.
absl::string_view FailureRemedy(absl::string_view sqlstate);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_FAILURE_CLASS_H_
