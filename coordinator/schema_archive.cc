#include "coordinator/schema_archive.h"

#include <optional>
#include <regex>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/status_macros.h"
#include "common/subprocess.h"

namespace hypershift {
namespace {

// https://www.postgresql.org/docs/15/libpq-pgpass.html: ':' and '\' are escaped by '\'.
std::string PasswordFileLine(const std::string& password) {
  return absl::StrCat("*:*:*:*:", absl::StrReplaceAll(password, {{"\\", "\\\\"}, {":", "\\:"}}), "\n");
}

// "first line of what the program said" for a one-line error.
std::string FirstLine(const std::string& text) {
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipWhitespace());
  return lines.empty() ? "no message" : lines.front();
}

absl::StatusOr<std::string> RunTool(SubprocessOptions options) {
  const std::string program = options.arguments.front();
  HS_ASSIGN_OR_RETURN(SubprocessResult result, RunSubprocess(options));
  if (result.exit_status != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(program, " ended with status ", result.exit_status, ": ", FirstLine(result.standard_error)));
  }
  return std::move(result.standard_output);
}

// "-- TOC entry 3345 (class 1259 OID 16412)"
std::optional<SchemaEntry> ParseEntryLine(const std::string& line) {
  static const std::regex kPattern(R"(^-- TOC entry (\d+) \(class (\d+) OID (\d+)\)$)");
  std::smatch match;
  if (!std::regex_match(line, match, kPattern)) return std::nullopt;
  SchemaEntry entry;
  if (!absl::SimpleAtoi(match[1].str(), &entry.dump_id) || !absl::SimpleAtoi(match[2].str(), &entry.catalog_class) ||
      !absl::SimpleAtoi(match[3].str(), &entry.catalog_oid)) {
    return std::nullopt;
  }
  return entry;
}

// "-- Name: flights_date_idx; Type: INDEX; Schema: public; Owner: -". Names may hold anything but a line break, so the
// fields are found from the right.
bool ParseNameLine(const std::string& line, SchemaEntry* entry) {
  const size_t owner = line.rfind("; Owner: ");
  const size_t schema = line.rfind("; Schema: ", owner);
  const size_t type = line.rfind("; Type: ", schema);
  if (owner == std::string::npos || schema == std::string::npos || type == std::string::npos) return false;
  constexpr size_t kNameOffset = 9;  // "-- Name: "
  if (!absl::StartsWith(line, "-- Name: ") || type < kNameOffset) return false;
  entry->name = line.substr(kNameOffset, type - kNameOffset);
  entry->type = line.substr(type + 8, schema - type - 8);
  entry->schema = line.substr(schema + 10, owner - schema - 10);
  if (entry->schema == "-") entry->schema.clear();
  return true;
}

// The number of lines before those that end the script: a comment that says so, after one that tells the time, before
// psql's own \unrestrict (since the August 2025 releases). From the end, since a function's body may hold such lines
// too.
size_t EndOfEntries(const std::vector<std::string>& lines) {
  size_t end = lines.size();
  while (end > 0 && lines[end - 1] != "-- PostgreSQL database dump complete") --end;
  if (end < 2 || lines[end - 2] != "--") return lines.size();
  end -= 2;
  size_t completed = end;
  while (completed > 0 && lines[completed - 1].empty()) --completed;
  return completed > 0 && absl::StartsWith(lines[completed - 1], "-- Completed on ") ? completed - 1 : end;
}

absl::string_view WithoutEmptyLinesAround(absl::string_view sql) {
  const size_t begin = sql.find_first_not_of('\n');
  if (begin == absl::string_view::npos) return "";
  return sql.substr(begin, sql.find_last_not_of('\n') + 1 - begin);
}

}  // namespace

absl::StatusOr<int> PgDumpMajorVersion() {
  SubprocessOptions options;
  options.arguments = {"pg_dump", "--version"};
  HS_ASSIGN_OR_RETURN(const std::string output, RunTool(std::move(options)));
  static const std::regex kPattern(R"((\d+)(\.\d+|beta\d+|rc\d+|devel))");
  std::smatch match;
  int version = 0;
  if (!std::regex_search(output, match, kPattern) || !absl::SimpleAtoi(match[1].str(), &version)) {
    return absl::InternalError(absl::StrCat("pg_dump --version said '", FirstLine(output), "'"));
  }
  return version;
}

absl::StatusOr<std::string> DumpSchema(const ConnectionString& source, const std::string& snapshot_id) {
  SubprocessOptions options;
  options.arguments = {"pg_dump",
                       "--format=custom",
                       "--schema-only",
                       "--no-owner",
                       "--no-privileges",
                       "--no-publications",
                       "--no-subscriptions",
                       "--no-tablespaces",
                       "--no-password",
                       "--lock-wait-timeout=60s",
                       absl::StrCat("--snapshot=", snapshot_id),
                       "--exclude-schema=_timescaledb_*",
                       "--exclude-schema=timescaledb_*",
                       "--exclude-schema=_hypershift",
                       absl::StrCat("--dbname=", source.WithoutPassword())};
  std::optional<PrivateFile> password_file;
  if (!source.password().empty()) {
    HS_ASSIGN_OR_RETURN(password_file, PrivateFile::Create(PasswordFileLine(source.password().Reveal())));
    options.environment["PGPASSFILE"] = password_file->path();
  }
  return RunTool(std::move(options));
}

absl::StatusOr<std::vector<SchemaEntry>> ReadSchemaEntries(const std::string& archive, SchemaSection section) {
  HS_ASSIGN_OR_RETURN(const PrivateFile file, PrivateFile::Create(archive));
  SubprocessOptions options;
  options.arguments = {
      "pg_restore",         "--verbose",
      "--no-owner",         "--no-privileges",
      "--no-tablespaces",   "--no-publications",
      "--no-subscriptions", section == SchemaSection::kPreData ? "--section=pre-data" : "--section=post-data",
      "--file=-",           file.path()};
  HS_ASSIGN_OR_RETURN(const std::string script, RunTool(std::move(options)));
  return ParseRestoreScript(script);
}

absl::StatusOr<std::vector<SchemaEntry>> ParseRestoreScript(const std::string& script) {
  std::vector<SchemaEntry> entries;
  const std::vector<std::string> lines = absl::StrSplit(script, '\n');
  std::optional<SchemaEntry> pending;  // Its header has begun, its name is still to come.
  const size_t end = EndOfEntries(lines);
  for (size_t i = 0; i < end; ++i) {
    const std::string& line = lines[i];
    if (std::optional<SchemaEntry> entry = ParseEntryLine(line)) {
      pending = std::move(entry);
      continue;
    }
    if (pending.has_value()) {
      if (absl::StartsWith(line, "-- Dependencies:")) {
        for (absl::string_view id : absl::StrSplit(line.substr(16), ' ', absl::SkipEmpty())) {
          int dependency = 0;
          if (absl::SimpleAtoi(id, &dependency)) pending->dependencies.push_back(dependency);
        }
      }
      if (absl::StartsWith(line, "-- Name: ")) {
        if (!ParseNameLine(line, &*pending)) {
          return absl::InternalError(absl::StrCat("pg_restore's entry can't be read: ", line));
        }
        entries.push_back(*std::exchange(pending, std::nullopt));
        ++i;  // The "--" that ends the header.
      }
      continue;
    }
    // What stands before the first entry are settings that every session here has anyway.
    if (entries.empty()) continue;
    // The line that begins the next entry's header. Any other may be a function's.
    if (line == "--" && i + 1 < end && ParseEntryLine(lines[i + 1])) continue;
    absl::StrAppend(&entries.back().sql, line, "\n");
  }
  for (SchemaEntry& entry : entries) entry.sql = std::string(WithoutEmptyLinesAround(entry.sql));
  return entries;
}

}  // namespace hypershift
