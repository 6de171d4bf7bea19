// One connection to a server through libpqxx, with every setting that could change what rows look like pinned.
//
// For everything but COPY (see copy_connection.h). Not thread-safe: one thread at a time. After an error with code
// kUnavailable the session is broken for good: open another. Never reconnects by itself: a reconnected session would
// have lost its snapshot and its settings.
#ifndef HYPERSHIFT_COMMON_PG_SESSION_H_
#define HYPERSHIFT_COMMON_PG_SESSION_H_

#include <functional>
#include <memory>
#include <pqxx/pqxx>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/connection_string.h"
#include "common/pg_status.h"

namespace hypershift {

enum class ServerRole { kSource, kTarget };

struct SessionOptions {
  ServerRole role = ServerRole::kSource;
  std::string application_name = "hypershift";
  absl::Duration connect_timeout = absl::Seconds(10);
  // Zero = wait for ever. A target session must have one.
  absl::Duration lock_timeout = absl::ZeroDuration();
};

// The connection string for libpq with keepalives, tcp_user_timeout (a silent peer is noticed within 30 s),
// connect_timeout and application_name added where the user didn't set them, target_session_attrs too for a target of
// several hosts, and client_encoding UTF8 always. Holds the password.
Secret LibpqConnectionString(const ConnectionString& where, const SessionOptions& options);

// What every session begins with, in one round trip: TimeZone UTC, DateStyle ISO, IntervalStyle postgres,
// extra_float_digits 3, bytea_output hex, client_encoding UTF8, every timeout 0, row_security off (source),
// lock_timeout, empty search_path, keepalives of the server's own, so that it gives up a silent client within 30 s …
// Several statements, none of which waits for anything.
std::string SessionSettingsSql(const SessionOptions& options);

class PgSession {
 public:
  // Errors say what is wrong in one line, "source: cannot connect to host=…: <the server's words>", and never show a
  // password. kUnavailable: can't be reached (a retry can help); kUnauthenticated: role or password; kNotFound: no such
  // database; else by SQLSTATE.
  static absl::StatusOr<std::unique_ptr<PgSession>> Open(const ConnectionString& where, const SessionOptions& options);

  // Runs in a transaction of its own (autocommit). Parameters are bound, never pasted; with parameters `sql` is one
  // statement.
  template <typename... Args>
  absl::StatusOr<pqxx::result> Query(const std::string& sql, const Args&... args) {
    pqxx::result result;
    absl::Status status = Guard([&] {
      pqxx::nontransaction transaction(*connection_);
      result = Run(transaction, sql, args...);
      return absl::OkStatus();
    });
    if (!status.ok()) return status;
    return result;
  }

  // Runs `body` in a transaction; commits when it returns OK, otherwise rolls back. kUnknown: the connection was lost
  // while COMMIT was under way, so the outcome is in doubt. A body that has caught a server's error must not return OK:
  // the server would roll back and call that a COMMIT.
  absl::Status Transaction(const std::function<absl::Status(pqxx::work&)>& body);

  pqxx::connection& raw() { return *connection_; }
  bool broken() const { return broken_ || !connection_->is_open(); }

  template <typename Transaction, typename... Args>
  static pqxx::result Run(Transaction& transaction, const std::string& sql, const Args&... args) {
    if constexpr (sizeof...(args) == 0) {
      return transaction.exec(sql);
    } else {
      return transaction.exec_params(sql, args...);
    }
  }

 private:
  explicit PgSession(std::unique_ptr<pqxx::connection> connection) : connection_(std::move(connection)) {}
  // CatchPqxx, and remembers whether the session is of any more use.
  absl::Status Guard(const std::function<absl::Status()>& body);

  std::unique_ptr<pqxx::connection> connection_;
  bool broken_ = false;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_PG_SESSION_H_
