#include "common/pg_session.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "common/pg_connect.h"

namespace hypershift {
namespace {

// What PostgreSQL 12 and later all have. TimeZone to search_path decide how values look in text; the rest decides
// whether a statement is cut off, which rows it sees, and when the server gives up a client that is silent: until then
// its session keeps its locks. (Not with tcp_user_timeout, which would also end a COPY that is slow to be read.)
constexpr char kCommonSettings[] = R"sql(
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'postgres';
SET extra_float_digits = 3;
SET bytea_output = 'hex';
SET lc_monetary = 'C';
SET xmloption = 'content';
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET search_path = '';
SET client_min_messages = error;
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3;
)sql";

// PostgreSQL 14 and 17 brought these; an older server must not stumble over them.
constexpr char kNewerSettings[] = R"sql(
SELECT pg_catalog.set_config(name, '0', false)
  FROM pg_catalog.pg_settings
 WHERE name IN ('idle_session_timeout', 'transaction_timeout');
)sql";

void AddUnlessSet(ConnectionString* where, absl::string_view parameter, absl::string_view value) {
  if (where->Get(parameter).empty()) *where = where->With(parameter, value);
}

// libpqxx keeps the text of a failed connection, not its SQLSTATE; and the text may be in the server's language. When
// the server itself has refused, connecting once more with libpq says why.
absl::Status ExplainFailure(const ConnectionString& where, const SessionOptions& options, const absl::Status& failure) {
  constexpr absl::string_view kNotReached[] = {
      "could not translate host name", "refused", "timeout expired", "timed out", "unreachable",
      "No such file or directory",     "No route"};
  for (absl::string_view words : kNotReached) {
    if (absl::StrContains(failure.message(), words)) {
      return ConnectError(where, options, ParseConnectFailure(failure.message()));
    }
  }
  const absl::StatusOr<PgConnPtr> second = ConnectLibpq(where, options);
  if (!second.ok()) return second.status();
  return ConnectError(where, options, failure);
}

// libpqxx 6 would reconnect by itself, without the snapshot and the settings; libpqxx 7 can't.
void ForbidReconnecting(pqxx::connection* connection) {
#if PQXX_VERSION_MAJOR < 7
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  connection->inhibit_reactivation(true);
#pragma GCC diagnostic pop
#else
  static_cast<void>(connection);
#endif
}

}  // namespace

Secret LibpqConnectionString(const ConnectionString& where, const SessionOptions& options) {
  ConnectionString full = where.With("client_encoding", "UTF8");
  AddUnlessSet(&full, "application_name", options.application_name);
  AddUnlessSet(&full, "connect_timeout", absl::StrCat(absl::ToInt64Seconds(options.connect_timeout)));
  // A peer that is silent for 10 s is asked three times, 5 s apart; data unanswered for 25 s break the connection.
  AddUnlessSet(&full, "keepalives", "1");
  AddUnlessSet(&full, "keepalives_idle", "10");
  AddUnlessSet(&full, "keepalives_interval", "5");
  AddUnlessSet(&full, "keepalives_count", "3");
  AddUnlessSet(&full, "tcp_user_timeout", "25000");
  // Of several hosts only the primary takes what is written; after a switch-over that is another one.
  if (options.role == ServerRole::kTarget && absl::StrContains(full.Get("host"), ",")) {
    AddUnlessSet(&full, "target_session_attrs", "read-write");
  }
  return full.WithPassword();
}

std::string SessionSettingsSql(const SessionOptions& options) {
  std::string sql = kCommonSettings;
  absl::StrAppend(&sql, "SET lock_timeout = ", absl::ToInt64Milliseconds(options.lock_timeout), ";\n");
  // A role that may not see every row must fail, not copy fewer.
  if (options.role == ServerRole::kSource) absl::StrAppend(&sql, "SET row_security = off;\n");
  absl::StrAppend(&sql, kNewerSettings);
  return sql;
}

absl::StatusOr<std::unique_ptr<PgSession>> PgSession::Open(const ConnectionString& where,
                                                           const SessionOptions& options) {
  std::unique_ptr<pqxx::connection> connection;
  absl::Status connected = CatchPqxx([&] {
    connection = std::make_unique<pqxx::connection>(LibpqConnectionString(where, options).Reveal());
    return absl::OkStatus();
  });
  if (!connected.ok()) return ExplainFailure(where, options, connected);
  ForbidReconnecting(connection.get());

  std::unique_ptr<PgSession> session(new PgSession(std::move(connection)));
  const absl::StatusOr<pqxx::result> settings = session->Query(SessionSettingsSql(options));
  if (!settings.ok()) return ConnectError(where, options, settings.status());
  return session;
}

absl::Status PgSession::Guard(const std::function<absl::Status()>& body) {
  absl::Status status = CatchPqxx(body);
  // Also when the connection stands: a server that has become a stand-by would go on refusing.
  broken_ = broken_ || absl::IsUnavailable(status);
  return status;
}

absl::Status PgSession::Transaction(const std::function<absl::Status(pqxx::work&)>& body) {
  return Guard([&] {
    pqxx::work transaction(*connection_);
    absl::Status status = body(transaction);
    if (!status.ok()) return status;  // The destructor rolls back.
    transaction.commit();
    return absl::OkStatus();
  });
}

}  // namespace hypershift
