// Whether a connection pooler in transaction mode stands between this program and a server.
//
// Behind one, each transaction may run in another session: settings, snapshots and locks of a session mean nothing, so
// a migration through it would be wrong. A pooler in session mode is fine.
#ifndef HYPERSHIFT_COORDINATOR_POOLER_PROBE_H_
#define HYPERSHIFT_COORDINATOR_POOLER_PROBE_H_

#include "absl/status/status.h"
#include "common/connection_string.h"
#include "common/pg_session.h"

namespace hypershift {

// Opens two sessions for a moment when the first one's process id is not what the server itself says, as behind a
// pooler. kFailedPrecondition: transactions of different connections share a session; the message has the remedy.
absl::Status RefuseTransactionPooler(const ConnectionString& where, ServerRole role);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_POOLER_PROBE_H_
