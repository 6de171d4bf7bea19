// hypershift.yml: from YAML to Config, every error with the line it stands in.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <map>
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
#include "common/yaml_document.h"

namespace hypershift {
namespace {

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

Setter Priorities(absl::string_view key, std::map<QualifiedName, int>* out) {
  return [=](const YAML::Node& value) {
    if (!value.IsMap()) return WrongType(value, key, "a map of schema.table to a number");
    for (const auto& entry : value) {
      QualifiedName table;
      HS_RETURN_IF_ERROR(Parsed(key, "a map of schema.table to a number", ParseQualifiedName, &table)(entry.first));
      HS_RETURN_IF_ERROR(Integer(key, &(*out)[table])(entry.second));
    }
    return absl::OkStatus();
  };
}

absl::StatusOr<std::string> ParseUri(absl::string_view text) { return std::string(text); }

// As many as TimescaleDB takes.
Setter NumberOfPartitions(absl::string_view key, int* out) {
  return [=](const YAML::Node& value) {
    constexpr int kMostPartitions = 32767;
    HS_RETURN_IF_ERROR(Integer(key, out)(value));
    if (*out < 1 || *out > kMostPartitions) {
      return WrongType(value, key, absl::StrCat("an integer from 1 to ", kMostPartitions));
    }
    return absl::OkStatus();
  };
}

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
       {"partitioning_column",
        Parsed("partitioning_column", "a name", ParseIdentifier, &hypertable->partitioning_column)},
       {"number_partitions", NumberOfPartitions("number_partitions", &hypertable->number_partitions)},
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
       {"table_priorities", Priorities("table_priorities", &config->table_priorities)},
       {"target_task_size", Integer("target_task_size", &config->target_task_size_mib)},
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

}  // namespace

absl::StatusOr<Config> ParseConfig(absl::string_view yaml, absl::string_view file_name) {
  Config config;
  HS_RETURN_IF_ERROR(
      ReadYaml(yaml, file_name, [&config](const YAML::Node& root) { return ReadConfig(root, &config); }));
  return config;
}

absl::StatusOr<Config> LoadConfigFile(const std::string& path) {
  HS_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  return ParseConfig(text, path);
}

}  // namespace hypershift
