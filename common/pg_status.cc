#include "common/pg_status.h"

#include <exception>
#include <pqxx/pqxx>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/optional.h"

namespace hypershift {
namespace {

constexpr char kSqlStateUrl[] = "hypershift.dev/sqlstate";

absl::StatusCode CodeOf(absl::string_view sqlstate) {
  struct Rule {
    absl::string_view prefix;
    absl::StatusCode code;
  };
  // The first that fits counts: single codes stand before their classes.
  static constexpr Rule kRules[] = {
      {"08", absl::StatusCode::kUnavailable},      {"57P0", absl::StatusCode::kUnavailable},
      {"25006", absl::StatusCode::kUnavailable},   {"25P03", absl::StatusCode::kUnavailable},
      {"25P04", absl::StatusCode::kUnavailable},   {"53300", absl::StatusCode::kUnavailable},
      {"57014", absl::StatusCode::kCancelled},     {"40001", absl::StatusCode::kAborted},
      {"40P01", absl::StatusCode::kAborted},       {"55P03", absl::StatusCode::kAborted},
      {"28", absl::StatusCode::kUnauthenticated},  {"42501", absl::StatusCode::kPermissionDenied},
      {"23505", absl::StatusCode::kAlreadyExists}, {"53", absl::StatusCode::kResourceExhausted},
      {"22", absl::StatusCode::kInvalidArgument},  {"23", absl::StatusCode::kInvalidArgument},
      {"42P01", absl::StatusCode::kNotFound},      {"42703", absl::StatusCode::kNotFound},
      {"3D000", absl::StatusCode::kNotFound},      {"3F000", absl::StatusCode::kNotFound},
  };
  if (sqlstate.empty()) return absl::StatusCode::kUnavailable;
  for (const Rule& rule : kRules) {
    if (absl::StartsWith(sqlstate, rule.prefix)) return rule.code;
  }
  return absl::StatusCode::kInternal;
}

// What libpq prints before the message, when the server speaks English.
absl::string_view WithoutSeverity(absl::string_view line) {
  for (absl::string_view severity : {"ERROR:", "FATAL:", "PANIC:"}) {
    if (absl::StartsWith(line, severity)) return absl::StripAsciiWhitespace(line.substr(severity.size()));
  }
  return line;
}

// One line of libpq's several: without the severity, without the piece of the statement ("LINE 1: … ^"), which says
// nothing to a user who didn't write it and could hold anything, and without the question whether the server runs.
std::string OneLine(absl::string_view message) {
  std::string result;
  bool quoting_statement = false;
  for (absl::string_view line : absl::StrSplit(message, '\n')) {
    if (quoting_statement) {  // The caret under it.
      quoting_statement = false;
      continue;
    }
    quoting_statement = absl::StartsWith(line, "LINE ") && absl::StrContains(line, ": ");
    line = WithoutSeverity(absl::StripAsciiWhitespace(line));
    if (quoting_statement || line.empty() || absl::StartsWith(line, "Is the server running")) continue;
    absl::StrAppend(&result, result.empty() ? "" : "; ", line);
  }
  return result;
}

absl::Status FromServer(const std::exception& error, absl::string_view sqlstate) {
  return PgErrorStatus(error.what(), sqlstate);
}

}  // namespace

absl::Status PgErrorStatus(absl::string_view message, absl::string_view sqlstate) {
  std::string line = OneLine(message);
  if (line.empty()) line = sqlstate.empty() ? "the connection was lost" : "the server gave no message";
  absl::Status status(CodeOf(sqlstate), line);
  if (!sqlstate.empty()) status.SetPayload(kSqlStateUrl, absl::Cord(sqlstate));
  return status;
}

std::string SqlState(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kSqlStateUrl);
  return payload ? std::string(*payload) : std::string();
}

bool IsRetryable(const absl::Status& status) {
  if (absl::IsUnavailable(status)) return true;
  const std::string sqlstate = SqlState(status);
  if (sqlstate == "53200") return true;
  // Without an SQLSTATE it is the coordinator's answer to a stale lease, or a stop, and not a database's.
  return (absl::IsAborted(status) || absl::IsCancelled(status)) && !sqlstate.empty();
}

absl::Status WithContext(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status result(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload(
      [&result](absl::string_view url, const absl::Cord& payload) { result.SetPayload(url, payload); });
  return result;
}

// libpqxx 6 gives some errors a type instead of an SQLSTATE; libpqxx 7 both. From the most special to the most general.
absl::Status CatchPqxx(const std::function<absl::Status()>& body) {
  try {
    return body();
  } catch (const pqxx::in_doubt_error& error) {
    return absl::UnknownError(OneLine(error.what()));
  } catch (const pqxx::serialization_failure& error) {
    return FromServer(error, "40001");
  } catch (const pqxx::deadlock_detected& error) {
    return FromServer(error, "40P01");
  } catch (const pqxx::statement_completion_unknown& error) {
    return FromServer(error, "40003");
  } catch (const pqxx::transaction_rollback& error) {
    return FromServer(error, "40000");
  } catch (const pqxx::too_many_connections& error) {
    return FromServer(error, "53300");
  } catch (const pqxx::broken_connection& error) {
    return FromServer(error, "");
  } catch (const pqxx::sql_error& error) {
    return FromServer(error, error.sqlstate());
  } catch (const std::exception& error) {
    return absl::InternalError(OneLine(error.what()));
  }
}

}  // namespace hypershift
