// Names of tables and columns, and how they are written in SQL.
//
// Pure functions and value types. Quoting doubles the quote character and always quotes, so that no name can end a
// statement, whatever the source calls its tables.
#ifndef HYPERSHIFT_COMMON_NAMES_H_
#define HYPERSHIFT_COMMON_NAMES_H_

#include <compare>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hypershift {

// "a" -> "\"a\"".
std::string QuoteIdentifier(absl::string_view name);

// A string literal that means the same whatever standard_conforming_strings says: 'it''s', or E'…' if it holds a
// backslash.
std::string QuoteLiteral(absl::string_view value);

// Quoted and joined with ", ".
std::string QuoteIdentifiers(const std::vector<std::string>& names);

// A table (or sequence, view, …) in its schema, as the catalog spells it: unquoted, case kept.
struct QualifiedName {
  std::string schema;
  std::string name;

  std::string Quoted() const;  // "public"."flights": for SQL.
  // public.flights, or "Mixed"."Table" where quotes are needed: for people; what ParseQualifiedName takes.
  std::string Display() const;
  // clang-tidy 14 takes the 0 that the compiler puts here for a pointer.
  auto operator<=>(const QualifiedName&) const = default;  // NOLINT(modernize-use-nullptr)
};

// Parses what a user writes in the configuration: public.flights, "Mixed"."Table". Unquoted parts are folded to lower
// case, as in SQL. kInvalidArgument: no schema, too many parts, an unclosed quote; the message says which.
absl::StatusOr<QualifiedName> ParseQualifiedName(absl::string_view text);

// Parses one identifier by the same rules.
absl::StatusOr<std::string> ParseIdentifier(absl::string_view text);

// The same text with control characters as \xNN, so that it can't break a line of a message or command a terminal.
std::string Printable(absl::string_view text);

// What a user wrote, for a message about it: printable and in quotes; or that it is a connection string, which may hold
// a password and stands in the wrong place.
std::string InQuotes(absl::string_view text);

// The candidate nearest to `name` by edit distance, or empty if none is near: for "did you mean".
std::string NearestName(absl::string_view name, const std::vector<std::string>& candidates);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_NAMES_H_
