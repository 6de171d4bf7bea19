// The small languages inside the configuration: intervals and orderings.
#include <algorithm>
#include <cstdint>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/config.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr int64_t kSecond = 1'000'000;

// Microseconds; 0 for an unknown unit.
int64_t UnitLength(absl::string_view unit) {
  if (unit == "s") return kSecond;
  if (unit == "m") return 60 * kSecond;
  if (unit == "h") return 3600 * kSecond;
  if (unit == "d") return 24 * 3600 * kSecond;
  if (unit == "w") return 7 * 24 * 3600 * kSecond;
  return 0;
}

absl::Status IntervalError(absl::string_view text, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(InQuotes(text), " is not an interval: ", problem));
}

// Where the column's name at the front of an ordering ends.
size_t EndOfName(absl::string_view text) {
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (!quoted && absl::ascii_isspace(text[i])) return i;
  }
  return text.size();
}

}  // namespace

absl::StatusOr<Interval> ParseInterval(absl::string_view text) {
  constexpr absl::string_view kForm = "write a number and s, m, h, d or w (7d), or a plain integer";
  const absl::string_view trimmed = absl::StripAsciiWhitespace(text);
  const size_t digits = std::min(trimmed.find_first_not_of("0123456789"), trimmed.size());
  const absl::string_view unit = absl::StripAsciiWhitespace(trimmed.substr(digits));
  Interval interval;
  interval.text = std::string(trimmed);
  interval.has_unit = !unit.empty();
  const int64_t length = unit.empty() ? 1 : UnitLength(unit);
  if (digits == 0 || length == 0) return IntervalError(text, kForm);
  int64_t count = 0;
  if (!absl::SimpleAtoi(trimmed.substr(0, digits), &count) || count > std::numeric_limits<int64_t>::max() / length) {
    return IntervalError(text, "it is too long");
  }
  if (count == 0) return IntervalError(text, "it must be longer than zero");
  interval.value = count * length;
  return interval;
}

absl::StatusOr<OrderByColumn> ParseOrderBy(absl::string_view text) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(text);
  const size_t end = EndOfName(trimmed);
  OrderByColumn column;
  HS_ASSIGN_OR_RETURN(column.column, ParseIdentifier(trimmed.substr(0, end)));

  const std::string rest = absl::AsciiStrToLower(trimmed.substr(end));
  const std::vector<std::string> words = absl::StrSplit(rest, absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty());
  size_t next = 0;
  if (next < words.size() && (words[next] == "asc" || words[next] == "desc")) {
    column.descending = words[next++] == "desc";
  }
  column.nulls_first = column.descending;
  if (next + 1 < words.size() && words[next] == "nulls" && (words[next + 1] == "first" || words[next + 1] == "last")) {
    column.nulls_first = words[next + 1] == "first";
    next += 2;
  }
  if (next < words.size()) {
    return absl::InvalidArgumentError(absl::StrCat(InQuotes(trimmed), ": ", InQuotes(words[next]),
                                                   " does not fit: write column [asc|desc] [nulls first|last]"));
  }
  return column;
}

}  // namespace hypershift
