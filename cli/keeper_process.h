// The keeper that `hypershift clone` leaves beside itself: a worker without slots, in a process of its own, that holds
// the snapshot through a crash of clone.
#ifndef HYPERSHIFT_CLI_KEEPER_PROCESS_H_
#define HYPERSHIFT_CLI_KEEPER_PROCESS_H_

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/connection_string.h"
#include "common/secret.h"

namespace hypershift {

// Starts it: this same program as `hypershift worker --keeper`. The connection strings and the token go through a pipe,
// so that no secret is in its arguments or environment. It is not waited for: it ends when the coordinator says so, the
// journal says that this migration is over, or its grace is.
absl::StatusOr<pid_t> StartKeeperProcess(const ConnectionString& source, const ConnectionString& target,
                                         const std::string& coordinator, const std::string& migration,
                                         absl::Duration grace, const Secret& token);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_KEEPER_PROCESS_H_
