#include "common/pg_connect.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

namespace hypershift {
namespace {

constexpr size_t kSqlStateLength = 5;

// Where "FATAL:  28P01: password …" keeps its SQLSTATE; npos if there is none. The severity may be in any language.
size_t FindSqlState(absl::string_view message) {
  constexpr absl::string_view kBefore = ":  ";
  for (size_t at = message.find(kBefore); at != absl::string_view::npos; at = message.find(kBefore, at + 1)) {
    const size_t begin = at + kBefore.size();
    const absl::string_view word = message.substr(begin, kSqlStateLength + 1);
    const bool fits = word.size() == kSqlStateLength + 1 && word.back() == ':' &&
                      std::all_of(word.begin(), word.end() - 1,
                                  [](char c) { return absl::ascii_isdigit(c) || absl::ascii_isupper(c); });
    if (fits) return begin;
  }
  return absl::string_view::npos;
}

// How long all the addresses together may take: libpq's connect_timeout counts for each host.
absl::Duration Patience(const ConnectionString& where, const SessionOptions& options) {
  const std::string hosts = where.Get("host");
  const auto count = 1 + std::count(hosts.begin(), hosts.end(), ',');
  int64_t seconds = 0;
  if (absl::SimpleAtoi(where.Get("connect_timeout"), &seconds)) {
    return seconds <= 0 ? absl::InfiniteDuration() : absl::Seconds(seconds) * count;
  }
  return options.connect_timeout * count;
}

// Waits for what libpq wants; false when the deadline has passed.
bool WaitForSocket(PGconn* connection, PostgresPollingStatusType wanted, absl::Time deadline) {
  while (true) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    pollfd entry{PQsocket(connection), static_cast<short>(wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT), 0};
    const auto milliseconds = absl::ToInt64Milliseconds(std::min(left, absl::Seconds(1)));
    const int ready = poll(&entry, 1, static_cast<int>(milliseconds) + 1);
    if (ready > 0 || (ready < 0 && errno != EINTR)) return true;  // libpq finds and words the error.
  }
}

}  // namespace

absl::string_view RoleName(ServerRole role) { return role == ServerRole::kSource ? "source" : "target"; }

absl::Status ConnectError(const ConnectionString& where, const SessionOptions& options, const absl::Status& cause) {
  return WithContext(cause, absl::StrCat(RoleName(options.role), ": cannot connect to ", where.Display()));
}

absl::Status ParseConnectFailure(absl::string_view libpq_message) {
  std::string message;
  for (absl::string_view line : absl::StrSplit(libpq_message, '\n')) {
    if (line.empty() || absl::StartsWith(line, "LOCATION:")) continue;  // A place in the server's source code.
    absl::StrAppend(&message, message.empty() ? "" : "\n", line);
  }
  const size_t at = FindSqlState(message);
  if (at == std::string::npos) return PgErrorStatus(message, "");
  const std::string sqlstate = message.substr(at, kSqlStateLength);
  message.erase(at, kSqlStateLength + 2);
  return PgErrorStatus(message, sqlstate);
}

absl::StatusOr<PgConnPtr> ConnectLibpq(const ConnectionString& where, const SessionOptions& options) {
  PgConnPtr connection(PQconnectStart(LibpqConnectionString(where, options).Reveal().c_str()));
  if (connection == nullptr) return ConnectError(where, options, absl::ResourceExhaustedError("out of memory"));
  if (PQstatus(connection.get()) == CONNECTION_BAD) {
    // Nothing has been sent yet: a parameter is wrong, or a host's name has no address.
    return ConnectError(where, options, ParseConnectFailure(PQerrorMessage(connection.get())));
  }
  PQsetErrorVerbosity(connection.get(), PQERRORS_VERBOSE);
  // Without one libpq prints notices to standard error, into the progress display.
  PQsetNoticeProcessor(
      connection.get(), [](void*, const char*) {}, nullptr);

  const absl::Time deadline = absl::Now() + Patience(where, options);
  PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
  while (wanted != PGRES_POLLING_OK) {
    if (wanted == PGRES_POLLING_FAILED) {
      return ConnectError(where, options, ParseConnectFailure(PQerrorMessage(connection.get())));
    }
    if (!WaitForSocket(connection.get(), wanted, deadline)) {
      return ConnectError(where, options, absl::UnavailableError("timeout expired"));
    }
    wanted = PQconnectPoll(connection.get());
  }
  PQsetErrorVerbosity(connection.get(), PQERRORS_DEFAULT);
  return connection;
}

}  // namespace hypershift
