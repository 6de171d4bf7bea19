#include "common/server_identity.h"

#include <memory>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr char kIdentitySql[] = R"sql(
SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
       (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()),
       pg_catalog.pg_is_in_recovery()
)sql";

}  // namespace

absl::StatusOr<v1::ServerIdentity> ReadServerIdentity(PgSession* session) {
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(kIdentitySql));
  v1::ServerIdentity identity;
  uint64_t system_identifier = 0;
  if (absl::SimpleAtoi(rows[0][0].c_str(), &system_identifier)) identity.set_system_identifier(system_identifier);
  identity.set_database_oid(rows[0][1].as<uint32_t>());
  identity.set_in_recovery(rows[0][2].as<bool>());
  return identity;
}

absl::StatusOr<v1::ServerIdentity> ReadServerIdentity(const ConnectionString& where, ServerRole role) {
  SessionOptions options;
  options.role = role;
  options.application_name = "hypershift identity";
  options.connect_timeout = absl::Seconds(5);
  HS_ASSIGN_OR_RETURN(const std::unique_ptr<PgSession> session, PgSession::Open(where, options));
  return ReadServerIdentity(session.get());
}

std::string DifferenceOfServers(const v1::ServerIdentity& ours, const v1::ServerIdentity& theirs) {
  if (ours.system_identifier() != theirs.system_identifier()) return "is another server";
  if (theirs.in_recovery() && !ours.in_recovery()) return "is a stand-by of the server, not the server itself";
  if (ours.in_recovery() && !theirs.in_recovery()) return "is the primary of the server, not the stand-by itself";
  if (ours.database_oid() != theirs.database_oid()) return "is another database of the server";
  return "";
}

}  // namespace hypershift
