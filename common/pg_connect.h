// Opening a connection with libpq: what PgSession and CopyConnection have in common. Thread-safe.
#ifndef HYPERSHIFT_COMMON_PG_CONNECT_H_
#define HYPERSHIFT_COMMON_PG_CONNECT_H_

#include <libpq-fe.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/connection_string.h"
#include "common/pg_session.h"

namespace hypershift {

struct FinishConnection {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using PgConnPtr = std::unique_ptr<PGconn, FinishConnection>;

// Connects, without the session's settings. An error carries the server's SQLSTATE, so that its class does not depend
// on the language of the server's messages. Codes as for PgSession::Open.
absl::StatusOr<PgConnPtr> ConnectLibpq(const ConnectionString& where, const SessionOptions& options);

// "source" or "target".
absl::string_view RoleName(ServerRole role);

// The status to return when a connection could not be opened: `cause` with the server's name before it.
absl::Status ConnectError(const ConnectionString& where, const SessionOptions& options, const absl::Status& cause);

// What libpq says when it could not connect, as a status: the SQLSTATE is looked for in the text, where a verbose
// connection puts it. Without one the server was not reached.
absl::Status ParseConnectFailure(absl::string_view libpq_message);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_PG_CONNECT_H_
