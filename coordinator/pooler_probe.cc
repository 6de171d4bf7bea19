#include "coordinator/pooler_probe.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "common/pg_connect.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

absl::StatusOr<int> ServerProcess(PgSession* session) {
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query("SELECT pg_backend_pid()"));
  return rows[0][0].as<int>();
}

}  // namespace

absl::Status RefuseTransactionPooler(const ConnectionString& where, ServerRole role) {
  SessionOptions options;
  options.role = role;
  options.lock_timeout = absl::Seconds(10);
  HS_ASSIGN_OR_RETURN(const std::unique_ptr<PgSession> first, PgSession::Open(where, options));
  HS_ASSIGN_OR_RETURN(const int process, ServerProcess(first.get()));
  // A server without processes of its own (0) is no pooler.
  if (process == 0 || process == first->raw().backendpid()) return absl::OkStatus();
  HS_ASSIGN_OR_RETURN(const std::unique_ptr<PgSession> second, PgSession::Open(where, options));
  // Holds the session that its transaction was given; in session mode that can't be the first connection's.
  HS_RETURN_IF_ERROR(second->Query("BEGIN").status());
  HS_ASSIGN_OR_RETURN(const int other, ServerProcess(second.get()));
  HS_ASSIGN_OR_RETURN(const int again, ServerProcess(first.get()));
  HS_RETURN_IF_ERROR(second->Query("ROLLBACK").status());
  if (other != process && again == process) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(RoleName(role), ": ", where.Display(),
                   " is a connection pooler in transaction mode, through which neither a snapshot nor a session's "
                   "settings last: connect to the server itself, or set pool_mode = session"));
}

}  // namespace hypershift
