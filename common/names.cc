#include "common/names.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

bool IsIdentifierStart(char c) { return absl::ascii_isalpha(c) || c == '_' || !absl::ascii_isascii(c); }

bool IsIdentifierPart(char c) { return IsIdentifierStart(c) || absl::ascii_isdigit(c) || c == '$'; }

// Whether `name` means itself without quotes. Reserved words do too: ParseIdentifier knows none.
bool IsPlain(absl::string_view name) {
  if (name.empty() || !IsIdentifierStart(name[0])) return false;
  return std::all_of(name.begin(), name.end(), [](char c) { return IsIdentifierPart(c) && !absl::ascii_isupper(c); });
}

std::string DisplayIdentifier(absl::string_view name) {
  return IsPlain(name) ? std::string(name) : QuoteIdentifier(name);
}

std::string Doubled(absl::string_view text, char quote) {
  std::string result(1, quote);
  for (char c : text) {
    if (c == quote) result += quote;
    result += c;
  }
  result += quote;
  return result;
}

absl::Status NameError(absl::string_view text, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(InQuotes(text), ": ", problem));
}

// Takes a quoted identifier off the front of `*rest`; `text` is the whole, for messages.
absl::StatusOr<std::string> TakeQuoted(absl::string_view text, absl::string_view* rest) {
  std::string name;
  for (size_t i = 1; i < rest->size(); ++i) {
    if ((*rest)[i] != '"') {
      name += (*rest)[i];
      continue;
    }
    if (i + 1 < rest->size() && (*rest)[i + 1] == '"') {
      name += '"';
      ++i;
      continue;
    }
    rest->remove_prefix(i + 1);
    if (name.empty()) return NameError(text, "a name is empty");
    return name;
  }
  return NameError(text, "a double quote is not closed");
}

absl::StatusOr<std::string> TakeIdentifier(absl::string_view text, absl::string_view* rest) {
  if (rest->empty() || rest->front() == '.') return NameError(text, "a name is empty");
  if (rest->front() == '"') return TakeQuoted(text, rest);
  const auto end = std::find_if_not(rest->begin(), rest->end(), IsIdentifierPart);
  const absl::string_view word = rest->substr(0, static_cast<size_t>(end - rest->begin()));
  if (word.empty() || !IsIdentifierStart(word.front())) {
    return NameError(text, absl::StrCat("a name that holds or begins with '", Printable(rest->substr(0, 1)),
                                        "' must be in double quotes"));
  }
  rest->remove_prefix(word.size());
  return absl::AsciiStrToLower(word);
}

// The dotted parts of a name.
absl::StatusOr<std::vector<std::string>> ParseParts(absl::string_view text) {
  if (text.find('\0') != absl::string_view::npos) return NameError(text, "a name can't hold a zero byte");
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  std::vector<std::string> parts;
  while (true) {
    HS_ASSIGN_OR_RETURN(std::string part, TakeIdentifier(text, &rest));
    parts.push_back(std::move(part));
    if (rest.empty()) return parts;
    if (rest.front() != '.') {
      return NameError(text,
                       absl::StrCat("a name that holds '", Printable(rest.substr(0, 1)), "' must be in double quotes"));
    }
    rest.remove_prefix(1);
  }
}

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> before_last(b.size() + 1), last(b.size() + 1), current(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = a[i - 1] == b[j - 1];
      current[j] = std::min({last[j] + 1, current[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], before_last[j - 2] + 1);
      }
    }
    std::swap(before_last, last);
    std::swap(last, current);
  }
  return last[b.size()];
}

}  // namespace

std::string InQuotes(absl::string_view text) {
  const std::string dense = absl::StrReplaceAll(text, {{" ", ""}, {"\t", ""}});
  if (absl::StrContains(dense, "://") || absl::StrContains(dense, "password=")) {
    return "(a connection string, not shown)";
  }
  return absl::StrCat("'", Printable(text), "'");
}

std::string Printable(absl::string_view text) {
  std::string result;
  for (char c : text) {
    if (absl::ascii_iscntrl(c)) {
      absl::StrAppend(&result, "\\x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    } else {
      result += c;
    }
  }
  return result;
}

std::string QuoteIdentifier(absl::string_view name) { return Doubled(name, '"'); }

std::string QuoteLiteral(absl::string_view value) {
  std::string literal = Doubled(value, '\'');
  if (value.find('\\') == absl::string_view::npos) return literal;
  std::string escaped = "E";
  for (char c : literal) {
    if (c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string QuoteIdentifiers(const std::vector<std::string>& names) {
  return absl::StrJoin(names, ", ",
                       [](std::string* out, const std::string& name) { absl::StrAppend(out, QuoteIdentifier(name)); });
}

std::string QualifiedName::Quoted() const { return absl::StrCat(QuoteIdentifier(schema), ".", QuoteIdentifier(name)); }

std::string QualifiedName::Display() const {
  return absl::StrCat(DisplayIdentifier(schema), ".", DisplayIdentifier(name));
}

absl::StatusOr<QualifiedName> ParseQualifiedName(absl::string_view text) {
  HS_ASSIGN_OR_RETURN(std::vector<std::string> parts, ParseParts(text));
  if (parts.size() == 1) return NameError(text, "the schema is missing: write schema.table");
  if (parts.size() > 2) return NameError(text, "too many parts: write schema.table, and quote a name that holds a dot");
  return QualifiedName{std::move(parts[0]), std::move(parts[1])};
}

absl::StatusOr<std::string> ParseIdentifier(absl::string_view text) {
  HS_ASSIGN_OR_RETURN(std::vector<std::string> parts, ParseParts(text));
  if (parts.size() > 1) return NameError(text, "one name is expected here; quote a name that holds a dot");
  return std::move(parts[0]);
}

std::string NearestName(absl::string_view name, const std::vector<std::string>& candidates) {
  // A third of the letters may be wrong: enough for slips of the keyboard, too little for another word.
  const size_t limit = std::max<size_t>(1, name.size() / 3);
  const std::string folded = absl::AsciiStrToLower(name);
  std::optional<size_t> best;
  std::string nearest;
  for (const std::string& candidate : candidates) {
    const size_t longer = std::max(name.size(), candidate.size());
    if (longer - std::min(name.size(), candidate.size()) > limit) continue;
    const size_t distance = EditDistance(folded, absl::AsciiStrToLower(candidate));
    if (distance <= limit && (!best || distance < *best)) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace hypershift
