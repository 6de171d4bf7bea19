// Promise: whatever the source calls its tables, and whatever a server says, a name that is quoted is that name again
// and ends no statement, and nothing that is shown can command a terminal or break a line.
//
// Input: two lines, each a name, a message or what a user writes.
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/format.h"
#include "common/config.h"
#include "common/names.h"
#include "common/pg_status.h"
#include "tests/fuzz/fuzz.h"

namespace hypershift::fuzz {
namespace {

// What PostgreSQL reads in a literal that stands alone; false: it goes on behind it, or does not end.
bool ReadLiteral(absl::string_view literal, bool standard_conforming_strings, std::string* value) {
  const bool escapes = absl::ConsumePrefix(&literal, "E") || !standard_conforming_strings;
  if (!absl::ConsumePrefix(&literal, "'")) return false;
  while (!literal.empty()) {
    const char c = literal.front();
    literal.remove_prefix(1);
    if (c == '\\' && escapes) {
      if (literal.empty() || (literal.front() != '\\' && literal.front() != '\'')) return false;
    } else if (c == '\'') {
      if (literal.empty()) return true;
      if (literal.front() != '\'') return false;
    } else {
      *value += c;
      continue;
    }
    *value += literal.front();
    literal.remove_prefix(1);
  }
  return false;
}

bool HoldsControls(absl::string_view text) {
  for (const char c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) return true;
  }
  return false;
}

void CheckName(const std::string& name, const std::string& other) {
  const bool possible = !name.empty() && name.find('\0') == std::string::npos;
  const absl::StatusOr<std::string> read = ParseIdentifier(QuoteIdentifier(name));
  Require(read.ok() == possible, "a quoted name can be read", read.status().message());
  if (read.ok()) Require(*read == name, "a quoted name is the name");
  for (const bool standard : {true, false}) {
    std::string value;
    Require(ReadLiteral(QuoteLiteral(name), standard, &value) && value == name, "a literal is the text", name);
  }
  const absl::StatusOr<std::string> written = ParseIdentifier(name);
  if (written.ok()) {
    Require(!written->empty() && ParseIdentifier(QuoteIdentifier(*written)).value() == *written, "a name stays itself");
  } else {
    Require(!HoldsControls(written.status().message()), "an error is one line", written.status().message());
  }
  if (!possible || other.empty() || other.find('\0') != std::string::npos) return;
  const QualifiedName table{name, other};
  Require(ParseQualifiedName(table.Display()).value() == table, "a table is shown as it can be written");
  Require(ParseQualifiedName(table.Quoted()).value() == table, "a table is quoted as it can be read");
}

void CheckWritten(const std::string& text) {
  const absl::StatusOr<OrderByColumn> column = ParseOrderBy(text);
  if (column.ok()) {
    const OrderByColumn& order = *column;
    const std::string again = absl::StrCat(QuoteIdentifier(order.column), order.descending ? " desc" : " asc",
                                           order.nulls_first ? " nulls first" : " nulls last");
    Require(ParseOrderBy(again).value() == order, "an ordering means the same when it is written out", again);
  } else {
    Require(!HoldsControls(column.status().message()), "an error is one line", column.status().message());
  }
  const absl::StatusOr<Interval> interval = ParseInterval(text);
  if (interval.ok()) {
    Require(interval->value > 0 && ParseInterval(interval->text).value() == *interval, "an interval stays itself");
  } else {
    Require(!HoldsControls(interval.status().message()), "an error is one line", interval.status().message());
  }
}

void CheckShown(const std::string& text, const std::string& other, int width) {
  Require(!HoldsControls(Printable(text)), "what is printable can't command");
  const std::string safe = SafeText(text);
  Require(!HoldsControls(safe), "safe text can't command");
  Require(SafeText(safe) == safe, "safe text is safe");
  Require(DisplayWidth(Truncate(safe, width)) <= width, "shortened text fits");
  Require(DisplayWidth(PadRight(safe, width)) == width, "padded text fills its column");
  Require(DisplayWidth(PadLeft(safe, width)) == width, "padded text fills its column");
  Require(!HoldsControls(TableName(text, other)), "a table's name can't command");
  const std::string nearest = NearestName(text, {other, "include_tables"});
  Require(nearest.empty() || nearest == other || nearest == "include_tables", "a suggestion is a candidate");
}

void CheckServersWords(const std::string& message, const std::string& sqlstate) {
  const absl::Status status = PgErrorStatus(message, sqlstate);
  Require(!status.ok() && !status.message().empty(), "an error of a server is an error");
  Require(!absl::StrContains(status.message(), "\n"), "an error is one line", status.message());
  Require(SqlState(status) == sqlstate, "the SQLSTATE is kept");
  Require(SqlState(WithContext(status, "source")) == sqlstate, "the SQLSTATE is kept");
}

void Check(Input input) {
  const int width = input.Byte() % 100;
  const std::string first(input.Line());
  const std::string second(input.rest());
  CheckName(first, second);
  CheckName(second, first);
  CheckWritten(first);
  CheckWritten(second);
  CheckShown(first, second, width);
  CheckShown(second, first, width);
  CheckServersWords(second, first);
}

}  // namespace
}  // namespace hypershift::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hypershift::fuzz::Check(hypershift::fuzz::Input(data, size));
  return 0;
}
