// Promise: any text is a connection string or refused with words of our own; what was a password is never shown, nor
// handed to where it does not belong; and what is handed on means the same when it is read again.
//
// Input: the text, in which the byte 1 stands for a canary, the secret that must not get out.
#include <cstdlib>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "common/connection_string.h"
#include "common/coordinator_address.h"
#include "common/service_file.h"
#include "tests/fuzz/fuzz.h"

namespace hypershift::fuzz {
namespace {

constexpr absl::string_view kCanary = "QzCanaryQz";

// Nothing of this machine's environment: findings must be the same everywhere.
void ClearEnvironment() {
  for (const char* name :
       {"PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGSERVICE",
        "PGSERVICEFILE", "PGOPTIONS", "PGAPPNAME", "PGSSLMODE", "PGCONNECT_TIMEOUT", "PGTARGETSESSIONATTRS"}) {
    unsetenv(name);
  }
  setenv("HOME", "/nonexistent", 1);
  setenv("PGSYSCONFDIR", "/nonexistent", 1);
}

bool HoldsCanary(absl::string_view text) { return absl::StrContains(text, kCanary); }

// Whether the canary stands where a person would have put a password: in a URI between the user's name and the last '@'
// before the parameters, and nowhere else. A space ends the URI that is one value among others.
bool IsMeantAsPassword(absl::string_view text) {
  const size_t scheme = text.find("://");
  if (scheme == absl::string_view::npos) return false;
  absl::string_view rest = text.substr(scheme + 3);
  rest = rest.substr(0, rest.find('?'));
  if (!absl::StartsWith(absl::StripLeadingAsciiWhitespace(text), "postgres"))
    rest = rest.substr(0, rest.find_first_of(" \t\n\v\f\r"));
  const size_t at = rest.rfind('@');
  const size_t colon = rest.find(':');
  if (at == absl::string_view::npos || colon == absl::string_view::npos || colon > at) return false;
  const absl::string_view password = rest.substr(colon + 1, at - colon - 1);
  const size_t canary = text.find(kCanary);
  return HoldsCanary(password) && !HoldsCanary(text.substr(canary + kCanary.size()));
}

void CheckParsed(absl::string_view text, const ConnectionString& where) {
  if (IsMeantAsPassword(text)) {
    Require(!HoldsCanary(where.Display()), "a password is not displayed", where.Display());
    Require(!HoldsCanary(where.WithoutPassword()), "a password is left out", where.WithoutPassword());
  }
  Require(where.Get("password").empty(), "the password is no parameter like others");
  for (const char c : where.Display()) {
    Require(static_cast<unsigned char>(c) >= ' ' && c != '\x7f', "what is displayed is one line", where.Display());
  }
  const absl::StatusOr<ConnectionString> again = ConnectionString::Parse(where.WithPassword().Reveal(), "source");
  // An empty set of parameters is no connection string; and a name that libpq takes for another is refused.
  if (where.WithPassword().empty()) return;
  Require(again.ok(), "what is handed on can be read", again.status().message());
  Require(again->WithPassword().Reveal() == where.WithPassword().Reveal(), "what is handed on means the same");
  Require(again->Display() == where.Display(), "what is handed on looks the same");
  if (where.WithoutPassword().empty()) return;
  const absl::StatusOr<ConnectionString> shown = ConnectionString::Parse(where.WithoutPassword(), "source");
  Require(shown.ok() && shown->password().empty(), "without a password there is none");
  const ConnectionString elsewhere = where.WithDatabase("it's\\ a base");
  Require(elsewhere.Get("dbname") == "it's\\ a base", "another database can be named");
}

void Check(Input input) {
  const std::string text = absl::StrReplaceAll(input.rest(), {{"\x01", kCanary}});
  const absl::StatusOr<ConnectionString> where = ConnectionString::Parse(text, "source");
  if (where.ok()) {
    CheckParsed(text, *where);
  } else {
    Require(absl::IsInvalidArgument(where.status()), "a text that is none is refused", where.status().ToString());
    Require(!HoldsCanary(where.status().message()), "an error does not repeat the text", where.status().message());
  }
  for (const absl::Status& checked : {CheckCoordinatorAddress(text), CheckListenAddress(text)}) {
    if (absl::StrContains(text, "@")) Require(!HoldsCanary(checked.message()), "a URI in the wrong place stays unsaid");
  }
  ParseServiceFile(text, "mine");
}

}  // namespace
}  // namespace hypershift::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  hypershift::fuzz::ClearEnvironment();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hypershift::fuzz::Check(hypershift::fuzz::Input(data, size));
  return 0;
}
