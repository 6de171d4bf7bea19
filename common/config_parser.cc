// hypershift.yml: from YAML to Config, every error with the line it stands in.
#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <map>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/config.h"
#include "common/config_check.h"
#include "common/limits.h"
#include "common/names.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr size_t kMostBytes = 16 << 20;

absl::Status ErrorAt(const YAML::Node& node, absl::string_view problem) {
  const int line = node.Mark().line;  // From 0; -1 where yaml-cpp doesn't know.
  return absl::InvalidArgumentError(absl::StrCat(line < 0 ? "" : absl::StrCat(line + 1, ": "), problem));
}

// A key that could be part of a connection string is not repeated.
std::string ShownKey(absl::string_view key) {
  const bool harmless = key.size() <= 64 && std::all_of(key.begin(), key.end(), [](char c) {
                          return absl::ascii_isalnum(c) || c == '_' || c == '-';
                        });
  return harmless ? absl::StrCat("'", key, "'") : "that is not a word";
}

bool IsAbsent(const YAML::Node& node) { return !node.IsDefined() || node.IsNull(); }

using Setter = std::function<absl::Status(const YAML::Node& value)>;

// Walks a map and hands each value to its key's setter. A key without a value counts as absent. `lines`, if any, is
// given each key's line.
absl::Status ReadMap(const YAML::Node& map, absl::string_view what, const std::map<std::string, Setter>& setters,
                     std::map<std::string, int>* lines = nullptr) {
  if (!map.IsMap()) return ErrorAt(map, absl::StrCat(what, " must be written as 'key: value' lines"));
  std::vector<std::string> known;
  for (const auto& entry : setters) known.push_back(entry.first);
  std::map<std::string, int> seen;
  for (const auto& entry : map) {
    const YAML::Node& key = entry.first;
    const YAML::Node& value = entry.second;
    if (!key.IsScalar()) return ErrorAt(key, absl::StrCat(what, ": a key must be a word"));
    const auto setter = setters.find(key.Scalar());
    if (setter == setters.end()) {
      const std::string nearest = NearestName(key.Scalar(), known);
      return ErrorAt(key, absl::StrCat("unknown key ", ShownKey(key.Scalar()),
                                       nearest.empty() ? absl::StrCat("; known are ", absl::StrJoin(known, ", "))
                                                       : absl::StrCat(" (did you mean '", nearest, "'?)")));
    }
    const int line = key.Mark().line + 1;
    const auto [first, inserted] = seen.emplace(key.Scalar(), line);
    if (!inserted) {
      return ErrorAt(key, absl::StrCat("the key '", key.Scalar(), "' stands here again, after line ", first->second));
    }
    if (!IsAbsent(value)) HS_RETURN_IF_ERROR(setter->second(value));
  }
  if (lines != nullptr) *lines = std::move(seen);
  return absl::OkStatus();
}

absl::Status WrongType(const YAML::Node& value, absl::string_view key, absl::string_view wanted) {
  return ErrorAt(value, absl::StrCat("'", key, "' must be ", wanted));
}

Setter String(absl::string_view key, std::string* out) {
  return [=](const YAML::Node& value) {
    if (!value.IsScalar()) return WrongType(value, key, "a string");
    *out = value.Scalar();
    return absl::OkStatus();
  };
}

Setter Boolean(absl::string_view key, bool* out) {
  return [=](const YAML::Node& value) {
    const std::string word = value.IsScalar() && value.Tag() != "!" ? absl::AsciiStrToLower(value.Scalar()) : "";
    const bool yes = word == "true" || word == "yes" || word == "on";
    const bool no = word == "false" || word == "no" || word == "off";
    if (!yes && !no) return WrongType(value, key, "true or false");
    *out = yes;
    return absl::OkStatus();
  };
}

template <typename Number>
Setter Integer(absl::string_view key, Number* out) {
  return [=](const YAML::Node& value) {
    if (!value.IsScalar() || value.Tag() == "!" || !absl::SimpleAtoi(value.Scalar(), out)) {
      return WrongType(value, key, "an integer");
    }
    return absl::OkStatus();
  };
}

template <typename Enum>
Setter Word(absl::string_view key, std::map<std::string, Enum> words, Enum* out) {
  return [=, words = std::move(words)](const YAML::Node& value) {
    const auto found = words.find(value.IsScalar() ? value.Scalar() : "");
    if (found == words.end()) {
      const std::string list =
          absl::StrJoin(words, ", ", [](std::string* text, const auto& entry) { absl::StrAppend(text, entry.first); });
      return WrongType(value, key, absl::StrCat("one of ", list));
    }
    *out = found->second;
    return absl::OkStatus();
  };
}

// Anything that is one scalar with a parser of its own.
template <typename T, typename Parser>
Setter Parsed(absl::string_view key, absl::string_view wanted, Parser parser, T* out) {
  return [=](const YAML::Node& value) {
    if (!value.IsScalar()) return WrongType(value, key, wanted);
    auto parsed = parser(value.Scalar());
    if (!parsed.ok()) return ErrorAt(value, absl::StrCat("'", key, "': ", parsed.status().message()));
    *out = *std::move(parsed);
    return absl::OkStatus();
  };
}

// A list of such scalars.
template <typename T, typename Parser>
Setter ListOf(absl::string_view key, absl::string_view wanted, Parser parser, std::vector<T>* out) {
  return [=](const YAML::Node& value) {
    if (!value.IsSequence()) return WrongType(value, key, absl::StrCat("a list of ", wanted));
    for (const YAML::Node& item : value) {
      T element;
      HS_RETURN_IF_ERROR(Parsed(key, absl::StrCat("a list of ", wanted), parser, &element)(item));
      out->push_back(std::move(element));
    }
    return absl::OkStatus();
  };
}

// At the commas outside double quotes.
std::vector<std::string> SplitColumns(absl::string_view text) {
  std::vector<std::string> parts(1);
  bool quoted = false;
  for (char c : text) {
    if (c == '"') quoted = !quoted;
    if (c == ',' && !quoted) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// The same, or all in one string: "time desc, device".
template <typename T, typename Parser>
Setter ListOrString(absl::string_view key, absl::string_view wanted, Parser parser, std::vector<T>* out) {
  return [=](const YAML::Node& value) {
    if (!value.IsScalar()) return ListOf(key, wanted, parser, out)(value);
    for (const std::string& part : SplitColumns(value.Scalar())) {
      auto parsed = parser(part);
      if (!parsed.ok()) return ErrorAt(value, absl::StrCat("'", key, "': ", parsed.status().message()));
      out->push_back(*std::move(parsed));
    }
    return absl::OkStatus();
  };
}

absl::StatusOr<std::optional<Interval>> ParseOptionalInterval(absl::string_view text) {
  HS_ASSIGN_OR_RETURN(Interval interval, ParseInterval(text));
  return std::optional<Interval>(std::move(interval));
}

Setter Compress(std::optional<CompressConfig>* out) {
  return [=](const YAML::Node& value) {
    CompressConfig& compress = out->emplace();
    return ReadMap(value, "'compress'",
                   {{"after", Parsed("after", "an interval", ParseOptionalInterval, &compress.after)},
                    {"segmentby", ListOrString("segmentby", "columns", ParseIdentifier, &compress.segmentby)},
                    {"orderby", ListOrString("orderby", "columns with a direction", ParseOrderBy, &compress.orderby)}});
  };
}

// One of the limits; the key's name is the limit's.
Setter Limit(absl::string_view key, v1::Limits* out) {
  return [=](const YAML::Node& value) {
    if (!value.IsScalar()) return WrongType(value, key, "a single value");
    const absl::Status parsed = ParseLimit(key, absl::StripAsciiWhitespace(value.Scalar()), out);
    return parsed.ok() ? parsed : ErrorAt(value, parsed.message());
  };
}

absl::StatusOr<std::string> ParseUri(absl::string_view text) { return std::string(text); }

absl::Status ReadHypertable(const YAML::Node& node, HypertableConfig* hypertable) {
  hypertable->line = node.Mark().line + 1;
  hypertable->chunk_time_interval = *ParseInterval("7d");
  HS_RETURN_IF_ERROR(ReadMap(
      node, "an entry of 'hypertable_configs'",
      {{"schema", Parsed("schema", "a name", ParseIdentifier, &hypertable->table.schema)},
       {"name", Parsed("name", "a name", ParseIdentifier, &hypertable->table.name)},
       {"time_column_name", Parsed("time_column_name", "a name", ParseIdentifier, &hypertable->time_column_name)},
       {"chunk_time_interval",
        Parsed("chunk_time_interval", "an interval", ParseInterval, &hypertable->chunk_time_interval)},
       {"compress", Compress(&hypertable->compress)}}));
  for (const auto& [key, value] :
       {std::pair<absl::string_view, const std::string&>("schema", hypertable->table.schema),
        std::pair<absl::string_view, const std::string&>("name", hypertable->table.name),
        std::pair<absl::string_view, const std::string&>("time_column_name", hypertable->time_column_name)}) {
    if (value.empty()) return ErrorAt(node, absl::StrCat("an entry of 'hypertable_configs' needs '", key, "'"));
  }
  return absl::OkStatus();
}

absl::Status ReadHypertables(const YAML::Node& value, std::vector<HypertableConfig>* out) {
  if (!value.IsSequence()) return WrongType(value, "hypertable_configs", "a list");
  for (const YAML::Node& node : value) HS_RETURN_IF_ERROR(ReadHypertable(node, &out->emplace_back()));
  return absl::OkStatus();
}

absl::Status ReadConfig(const YAML::Node& root, Config* config) {
  std::map<std::string, int> lines;
  TableFilter& filter = config->filter;
  HS_RETURN_IF_ERROR(ReadMap(
      root, "the configuration",
      {{"source", String("source", &config->source)},
       {"target", String("target", &config->target)},
       {"parallel", Integer("parallel", &config->parallel)},
       {"verify", Boolean("verify", &config->verify)},
       {"include_tables", ListOf("include_tables", "schema.table", ParseQualifiedName, &filter.include_tables)},
       {"exclude_tables", ListOf("exclude_tables", "schema.table", ParseQualifiedName, &filter.exclude_tables)},
       {"include_schemas", ListOf("include_schemas", "schemas", ParseIdentifier, &filter.include_schemas)},
       {"exclude_schemas", ListOf("exclude_schemas", "schemas", ParseIdentifier, &filter.exclude_schemas)},
       {"hypertable_configs", [=](const YAML::Node& value) { return ReadHypertables(value, &config->hypertables); }},
       {"parallel_min_table_size", Integer("parallel_min_table_size", &config->parallel_min_table_size_mib)},
       {"foreign_keys_priority", Word<ForeignKeysPriority>("foreign_keys_priority",
                                                           {{"immediate", ForeignKeysPriority::kImmediate},
                                                            {"deferred", ForeignKeysPriority::kDeferred},
                                                            {"unchecked", ForeignKeysPriority::kUnchecked},
                                                            {"disabled", ForeignKeysPriority::kDisabled}},
                                                           &config->foreign_keys_priority)},
       {"log_format",
        Word<LogFormat>("log_format", {{"text", LogFormat::kText}, {"json", LogFormat::kJson}}, &config->log_format)},
       {"create_db", Boolean("create_db", &config->create_db)},
       {"drop_incompatible_hypertable_constraints",
        Boolean("drop_incompatible_hypertable_constraints", &config->drop_incompatible_hypertable_constraints)},
       {"ignore_missing_time_index", Boolean("ignore_missing_time_index", &config->ignore_missing_time_index)},
       {"hide_progress", Boolean("hide_progress", &config->hide_progress)},
       {"verbose", Boolean("verbose", &config->verbose)},
       {"max_slots", Limit("max_slots", &config->limits)},
       {"max_bytes_per_second", Limit("max_bytes_per_second", &config->limits)},
       {"max_source_load", Limit("max_source_load", &config->limits)},
       {"max_replication_lag", Limit("max_replication_lag", &config->limits)},
       {"max_target_wal", Limit("max_target_wal", &config->limits)},
       {"source_standbys", ListOf("source_standbys", "URIs", ParseUri, &config->source_standbys)}},
      &lines));
  if (const auto problem = FindConfigProblem(*config)) {
    const int line = problem->line > 0 ? problem->line : lines[problem->key];
    return absl::InvalidArgumentError(absl::StrCat(line, ": ", problem->message));
  }
  return absl::OkStatus();
}

// Where the document begins that was read last.
class DocumentStart : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { mark_ = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  const YAML::Mark& mark() const { return mark_; }

 private:
  YAML::Mark mark_;
};

// Not with YAML::LoadAll, which reads the same place for ever where a ',' or another sign begins nothing (yaml-cpp
// 0.7).
absl::Status CheckSingleDocument(const std::string& yaml) {
  std::istringstream text(yaml);
  YAML::Parser parser(text);
  std::vector<YAML::Mark> starts;
  for (DocumentStart start; starts.size() < 3 && parser.HandleNextDocument(start);) starts.push_back(start.mark());
  if (starts.size() < 2) return absl::OkStatus();
  const bool stands_still = starts.back().pos == starts[starts.size() - 2].pos;
  return absl::InvalidArgumentError(absl::StrCat(starts[1].line + 1, ": ",
                                                 stands_still ? "not valid YAML: neither a key nor a value begins here"
                                                              : "the file holds more than one document"));
}

// Error messages begin with the line's number.
absl::StatusOr<Config> ParseDocument(absl::string_view yaml) {
  Config config;
  try {
    HS_RETURN_IF_ERROR(CheckSingleDocument(std::string(yaml)));
    const YAML::Node document = YAML::Load(std::string(yaml));
    if (IsAbsent(document)) return config;
    HS_RETURN_IF_ERROR(ReadConfig(document, &config));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(error.mark.is_null() ? "" : absl::StrCat(error.mark.line + 1, ": "),
                                                   "not valid YAML: ", Printable(error.msg)));
  }
  return config;
}

}  // namespace

absl::StatusOr<Config> ParseConfig(absl::string_view yaml, absl::string_view file_name) {
  if (yaml.size() > kMostBytes) return absl::InvalidArgumentError(absl::StrCat(file_name, ": larger than 16 MiB"));
  absl::StatusOr<Config> config = ParseDocument(yaml);
  if (config.ok()) return config;
  const absl::string_view message = config.status().message();
  const bool has_line = !message.empty() && absl::ascii_isdigit(message[0]);
  return absl::InvalidArgumentError(absl::StrCat(file_name, has_line ? ":" : ": ", message));
}

absl::StatusOr<Config> LoadConfigFile(const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  std::stringstream text;
  if (file) text << file.rdbuf();
  if (!file || file.bad() || (text.fail() && errno != 0)) {
    const int error = errno;
    const std::string message = absl::StrCat(path, ": ", error == 0 ? "can't be read" : std::strerror(error));
    return error == EACCES || error == EPERM ? absl::PermissionDeniedError(message) : absl::NotFoundError(message);
  }
  return ParseConfig(text.str(), path);
}

}  // namespace hypershift
