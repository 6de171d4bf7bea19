// Whether a failed attempt is worth another one.
//
// The SQLSTATE decides (common/pg_status.h), unless whoever found the error knew better and said so with the two
// functions below. Pure functions.
#ifndef HYPERSHIFT_WORKER_TASK_STATUS_H_
#define HYPERSHIFT_WORKER_TASK_STATUS_H_

#include "absl/status/status.h"

namespace hypershift {

// The same status, marked.
absl::Status MarkRetryable(absl::Status status);
absl::Status MarkPermanent(absl::Status status);

bool TaskIsRetryable(const absl::Status& status);

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_TASK_STATUS_H_
