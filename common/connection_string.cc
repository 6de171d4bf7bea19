#include "common/connection_string.h"

#include <libpq-fe.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "common/service_file.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

using Parameters = std::map<std::string, std::string>;

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using Options = std::unique_ptr<PQconninfoOption, FreeOptions>;

bool IsUri(absl::string_view text) {
  return absl::StartsWith(text, "postgresql://") || absl::StartsWith(text, "postgres://");
}

bool IsSet(const PQconninfoOption& option) { return option.val != nullptr && option.val[0] != '\0'; }

// libpq's own mark for what a form must not show.
bool IsSecret(const PQconninfoOption& option) { return absl::string_view(option.dispchar) == "*"; }

// "" or a known parameter that resembles the one libpq rejected. The rejected word itself may be a piece of a password.
std::string Suggestion(absl::string_view libpq_message) {
  const size_t begin = libpq_message.find('"');
  const size_t end = libpq_message.rfind('"');
  if (begin == absl::string_view::npos || end <= begin) return "";
  std::vector<std::string> known;
  const Options defaults(PQconndefaults());
  for (const PQconninfoOption* option = defaults.get(); option != nullptr && option->keyword != nullptr; ++option) {
    known.emplace_back(option->keyword);
  }
  const std::string nearest = NearestName(libpq_message.substr(begin + 1, end - begin - 1), known);
  return nearest.empty() ? "" : absl::StrCat(" (did you mean '", nearest, "'?)");
}

// Says in our own words what libpq found wrong: its words quote the text.
std::string Problem(absl::string_view libpq_message) {
  const auto says = [&](absl::string_view words) { return absl::StrContains(libpq_message, words); };
  if (says("missing \"=\" after")) return "neither a postgres:// URI nor key=value pairs: a '=' is missing";
  if (says("unterminated quoted string")) return "a quoted value is not closed";
  if (says("URI query parameter") || says("invalid connection option")) {
    return absl::StrCat("an unknown parameter", Suggestion(libpq_message));
  }
  if (says("percent-encoded") || says("%00"))
    return "a '%' in a URI must begin two hexadecimal digits: write it as %25";
  if (says("key/value separator")) return "the URI's parameters must be written as key=value&key=value";
  if (says("IPv6") || says("matching \"]\"")) return "the IPv6 address in brackets is not complete";
  return "libpq can't parse it";
}

// An '@' or '/' that isn't percent-encoded ends the password too early: libpq takes the rest for the host's or the
// database's name, and everybody who shows these shows the password.
bool HasStrayCredentials(absl::string_view uri) {
  absl::string_view rest = uri.substr(uri.find("://") + 3);
  const size_t end_of_user = rest.find_first_of("@/");
  if (end_of_user == absl::string_view::npos) return false;
  rest.remove_prefix(end_of_user + 1);
  return absl::StrContains(rest.substr(0, rest.find('?')), "@");
}

// Whether a URI that may have a password stands in this parameter's value, which is shown and handed on in the open.
bool HoldsCredentials(absl::string_view value) {
  const size_t scheme = value.find("://");
  return scheme != absl::string_view::npos && absl::StrContains(value.substr(scheme), "@");
}

absl::StatusOr<Options> ParseText(absl::string_view text) {
  if (text.empty()) return absl::InvalidArgumentError("is empty");
  if (text.find('\0') != absl::string_view::npos) return absl::InvalidArgumentError("holds a zero byte");
  if (IsUri(text) && HasStrayCredentials(text)) {
    return absl::InvalidArgumentError(
        "a special character in the user name or password must be percent-encoded (@ as %40, / as %2F, : as %3A)");
  }
  char* message = nullptr;
  Options options(PQconninfoParse(std::string(text).c_str(), &message));
  if (options == nullptr) {
    const std::unique_ptr<char, decltype(&PQfreemem)> owned(message, PQfreemem);
    return absl::InvalidArgumentError(Problem(message == nullptr ? "" : message));
  }
  return options;
}

// Adds what `text` leaves open, in libpq's order: the service file, then PG* variables, then the user's name.
void FillFromEnvironment(Parameters* values) {
  const char* service_variable = std::getenv("PGSERVICE");
  const auto given = values->find("service");
  const std::string service = given != values->end() ? given->second : service_variable ? service_variable : "";
  if (!service.empty()) {
    if (const auto found = FindService(ServiceFilePaths(), service)) {
      values->erase("service");
      values->insert(found->begin(), found->end());
    }
  }
  const Options defaults(PQconndefaults());
  for (const PQconninfoOption* option = defaults.get(); option != nullptr && option->keyword != nullptr; ++option) {
    const bool from_variable = option->envvar != nullptr && std::getenv(option->envvar) != nullptr;
    const absl::string_view keyword = option->keyword;
    if (!IsSet(*option) || keyword == "service" || !(from_variable || keyword == "user")) continue;
    values->emplace(keyword, option->val);
  }
  const auto user = values->find("user");
  if (user != values->end()) values->emplace("dbname", user->second);
}

std::string QuoteValue(absl::string_view value) {
  std::string quoted = "'";
  for (char c : value) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  quoted += "'";
  return quoted;
}

void AppendPair(std::string* out, absl::string_view keyword, absl::string_view quoted_value) {
  absl::StrAppend(out, out->empty() ? "" : " ", keyword, "=", quoted_value);
}

}  // namespace

absl::StatusOr<ConnectionString> ConnectionString::Parse(absl::string_view text, absl::string_view what,
                                                         Secret password) {
  const auto fail = [&](absl::string_view problem) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": the connection string is not valid: ", problem));
  };
  const absl::StatusOr<Options> options = ParseText(absl::StripAsciiWhitespace(text));
  if (!options.ok()) return fail(options.status().message());

  Parameters values;
  std::vector<std::string> secrets;
  for (const PQconninfoOption* option = options->get(); option->keyword != nullptr; ++option) {
    if (IsSecret(*option)) secrets.emplace_back(option->keyword);
    if (IsSet(*option)) values.emplace(option->keyword, option->val);
  }
  FillFromEnvironment(&values);

  ConnectionString result;
  for (const std::string& keyword : secrets) {
    const auto node = values.extract(keyword);
    if (node.empty()) continue;
    if (keyword == "password") {
      result.password_ = Secret(node.mapped());
    } else {
      result.other_secrets_.emplace(keyword, Secret(node.mapped()));
    }
  }
  if (!password.empty()) result.password_ = std::move(password);
  result.parameters_ = std::move(values);
  // libpq's tools would take such a name for a connection string again, with whatever password is in it.
  if (absl::StrContains(result.Get("dbname"), "://")) return fail("the database's name is a URI itself");
  for (const auto& [keyword, value] : result.parameters_) {
    if (HoldsCredentials(value)) return fail(absl::StrCat(keyword, " is a URI itself, with what may be a password"));
  }
  return result;
}

std::string ConnectionString::Display() const {
  std::string result;
  for (const char* keyword : {"host", "hostaddr", "port", "user", "dbname"}) {
    const std::string value = Get(keyword);
    if (value.empty()) continue;
    const bool plain = value.find_first_of(" '\\") == std::string::npos;
    AppendPair(&result, keyword, Printable(plain ? value : QuoteValue(value)));
  }
  return result;
}

std::string ConnectionString::WithoutPassword() const {
  std::string result;
  for (const auto& [keyword, value] : parameters_) AppendPair(&result, keyword, QuoteValue(value));
  return result;
}

Secret ConnectionString::WithPassword() const {
  std::string result = WithoutPassword();
  for (const auto& [keyword, value] : other_secrets_) AppendPair(&result, keyword, QuoteValue(value.Reveal()));
  if (!password_.empty()) AppendPair(&result, "password", QuoteValue(password_.Reveal()));
  return Secret(std::move(result));
}

std::string ConnectionString::Get(absl::string_view parameter) const {
  const auto found = parameters_.find(std::string(parameter));
  return found == parameters_.end() ? "" : found->second;
}

ConnectionString ConnectionString::WithDatabase(absl::string_view database) const { return With("dbname", database); }

ConnectionString ConnectionString::With(absl::string_view parameter, absl::string_view value) const {
  ConnectionString result = *this;
  if (value.empty()) {
    result.parameters_.erase(std::string(parameter));
  } else {
    result.parameters_[std::string(parameter)] = std::string(value);
  }
  return result;
}

}  // namespace hypershift
