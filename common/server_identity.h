// Which server and database a session is on, whatever address led to it: two sessions on the same one can share a
// snapshot and a journal.
#ifndef HYPERSHIFT_COMMON_SERVER_IDENTITY_H_
#define HYPERSHIFT_COMMON_SERVER_IDENTITY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/connection_string.h"
#include "common/pg_session.h"
#include "hypershift/v1/worker.pb.h"

namespace hypershift {

// Asks the session's server. Everybody may, unless an administrator has revoked pg_control_system().
absl::StatusOr<v1::ServerIdentity> ReadServerIdentity(PgSession* session);

// The same on a connection of its own. Errors as PgSession::Open has them.
absl::StatusOr<v1::ServerIdentity> ReadServerIdentity(const ConnectionString& where, ServerRole role);

// Empty if both are the same server and database, else in which way `theirs` is another one: "is a stand-by of ...".
std::string DifferenceOfServers(const v1::ServerIdentity& ours, const v1::ServerIdentity& theirs);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_SERVER_IDENTITY_H_
