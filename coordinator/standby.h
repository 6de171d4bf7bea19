// A stand-by: a second coordinator that waits until the leader's lead has expired.
//
// It only reads the journal. Taking the lead, and rebuilding everything, is what any resumed run does.
#ifndef HYPERSHIFT_COORDINATOR_STANDBY_H_
#define HYPERSHIFT_COORDINATOR_STANDBY_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/journal.h"
#include "coordinator/migration_state.h"

namespace hypershift {

enum class StandbyResult {
  kTakeOver,  // The target holds an unfinished migration that nobody leads.
  kEnded,     // The migration that was waited for is done, or was cancelled.
  kStopped,   // A stop was asked for.
};

// Waits as long as it takes, also for a migration to begin and for the target to be there again. Workers that come
// meanwhile are sent to the next address. Errors are those that waiting can't cure.
absl::StatusOr<StandbyResult> WaitForLead(Journal* journal, MigrationState* state, absl::Duration leader_lease);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_STANDBY_H_
