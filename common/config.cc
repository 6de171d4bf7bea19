#include "common/config.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/config_check.h"

namespace hypershift {
namespace {

using nlohmann::json;

template <typename T>
bool Contains(const std::vector<T>& list, const T& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

constexpr int kMostParallel = 1024;

std::optional<ConfigProblem> FindFilterProblem(const TableFilter& filter) {
  if (!filter.include_tables.empty() && !filter.exclude_tables.empty()) {
    return ConfigProblem{"exclude_tables", 0, "'include_tables' and 'exclude_tables' exclude each other"};
  }
  if (!filter.include_schemas.empty() && !filter.exclude_schemas.empty()) {
    return ConfigProblem{"exclude_schemas", 0, "'include_schemas' and 'exclude_schemas' exclude each other"};
  }
  if (!filter.include_tables.empty() && !filter.include_schemas.empty()) {
    return ConfigProblem{"include_schemas", 0,
                         "'include_tables' names exactly the tables to copy: it can't be combined with "
                         "'include_schemas'"};
  }
  for (const QualifiedName& table : filter.include_tables) {
    if (!Contains(filter.exclude_schemas, table.schema)) continue;
    return ConfigProblem{
        "exclude_schemas", 0,
        absl::StrCat("'include_tables' names ", table.Display(), ", but 'exclude_schemas' leaves its schema out")};
  }
  return std::nullopt;
}

// What is wrong with the hash dimension of one hypertable; empty if nothing.
std::string PartitioningProblem(const HypertableConfig& hypertable) {
  const std::string& column = hypertable.partitioning_column;
  if (column.empty() && hypertable.number_partitions != 0) {
    return "'number_partitions' needs 'partitioning_column' beside it, the column whose hash decides";
  }
  if (!column.empty() && hypertable.number_partitions == 0) {
    return "'partitioning_column' needs 'number_partitions' beside it, how many partitions there are to be";
  }
  if (!column.empty() && column == hypertable.time_column_name) {
    return absl::StrCat("the time column ", InQuotes(column),
                        " can't be the 'partitioning_column': name another one, or remove it and 'number_partitions'");
  }
  return "";
}

// What is wrong with the columns of one hypertable; empty if nothing.
std::string ColumnProblem(const HypertableConfig& hypertable) {
  if (std::string problem = PartitioningProblem(hypertable); !problem.empty()) return problem;
  if (!hypertable.compress) return "";
  std::set<std::string> segmentby, orderby;
  for (const std::string& column : hypertable.compress->segmentby) {
    if (column == hypertable.time_column_name) {
      return absl::StrCat("the time column ", InQuotes(column), " can't be in 'segmentby'");
    }
    if (!segmentby.insert(column).second) return absl::StrCat("'segmentby' names ", InQuotes(column), " twice");
  }
  for (const OrderByColumn& entry : hypertable.compress->orderby) {
    if (!orderby.insert(entry.column).second) {
      return absl::StrCat("'orderby' names ", InQuotes(entry.column), " twice");
    }
    if (segmentby.count(entry.column) > 0) {
      return absl::StrCat(InQuotes(entry.column), " can't be in both 'segmentby' and 'orderby'");
    }
  }
  return "";
}

std::optional<ConfigProblem> FindHypertableProblem(const std::vector<HypertableConfig>& hypertables) {
  std::set<QualifiedName> seen;
  for (const HypertableConfig& hypertable : hypertables) {
    std::string problem = ColumnProblem(hypertable);
    if (!seen.insert(hypertable.table).second) problem = "the table has an entry already";
    if (problem.empty()) continue;
    return ConfigProblem{"hypertable_configs", hypertable.line,
                         absl::StrCat("hypertable ", hypertable.table.Display(), ": ", problem)};
  }
  return std::nullopt;
}

json IntervalJson(const Interval& interval) { return json{{"value", interval.value}, {"unit", interval.has_unit}}; }

// Sorted and without repetitions: the order in a list of names means nothing.
json NamesJson(const std::vector<std::string>& names) {
  return json(std::set<std::string>(names.begin(), names.end()));
}

json TablesJson(const std::vector<QualifiedName>& tables) {
  std::vector<std::string> names;
  for (const QualifiedName& table : tables) names.push_back(table.Quoted());
  return NamesJson(names);
}

json HypertableJson(const HypertableConfig& hypertable) {
  json result = {{"time_column_name", hypertable.time_column_name},
                 {"chunk_time_interval", IntervalJson(hypertable.chunk_time_interval)}};
  if (!hypertable.partitioning_column.empty()) {
    result["partitioning_column"] = hypertable.partitioning_column;
    result["number_partitions"] = hypertable.number_partitions;
  }
  if (!hypertable.compress) return result;
  json& compress = result["compress"] = json::object();
  compress["segmentby"] = hypertable.compress->segmentby;
  compress["orderby"] = json::array();
  for (const OrderByColumn& entry : hypertable.compress->orderby) {
    compress["orderby"].push_back(
        {{"column", entry.column}, {"descending", entry.descending}, {"nulls_first", entry.nulls_first}});
  }
  if (hypertable.compress->after) compress["after"] = IntervalJson(*hypertable.compress->after);
  return result;
}

const char* Name(ForeignKeysPriority priority) {
  switch (priority) {
    case ForeignKeysPriority::kImmediate:
      return "immediate";
    case ForeignKeysPriority::kDeferred:
      return "deferred";
    case ForeignKeysPriority::kUnchecked:
      return "unchecked";
    case ForeignKeysPriority::kDisabled:
      return "disabled";
  }
  return "";
}

}  // namespace

bool TableFilter::Includes(const QualifiedName& table) const {
  if (!include_tables.empty()) return Contains(include_tables, table);
  if (!include_schemas.empty() && !Contains(include_schemas, table.schema)) return false;
  return !Contains(exclude_schemas, table.schema) && !Contains(exclude_tables, table);
}

std::optional<ConfigProblem> FindConfigProblem(const Config& config) {
  if (config.parallel < 1 || config.parallel > kMostParallel) {
    return ConfigProblem{"parallel", 0, absl::StrCat("'parallel' must be from 1 to ", kMostParallel)};
  }
  if (config.target_task_size_mib < 1) {
    return ConfigProblem{"target_task_size", 0, "'target_task_size' must be at least 1 (MiB)"};
  }
  if (config.parallel_min_table_size_mib < 0) {
    return ConfigProblem{"parallel_min_table_size", 0, "'parallel_min_table_size' can't be negative"};
  }
  if (auto problem = FindFilterProblem(config.filter)) return problem;
  return FindHypertableProblem(config.hypertables);
}

absl::Status ValidateConfig(const Config& config) {
  const std::optional<ConfigProblem> problem = FindConfigProblem(config);
  return problem ? absl::InvalidArgumentError(problem->message) : absl::OkStatus();
}

std::string Config::Fingerprint() const {
  json hypertable_configs = json::object();
  for (const HypertableConfig& hypertable : hypertables) {
    hypertable_configs[hypertable.table.Quoted()] = HypertableJson(hypertable);
  }
  const json result = {
      {"include_tables", TablesJson(filter.include_tables)},
      {"exclude_tables", TablesJson(filter.exclude_tables)},
      {"include_schemas", NamesJson(filter.include_schemas)},
      {"exclude_schemas", NamesJson(filter.exclude_schemas)},
      {"hypertable_configs", hypertable_configs},
      {"foreign_keys_priority", Name(foreign_keys_priority)},
      {"drop_incompatible_hypertable_constraints", drop_incompatible_hypertable_constraints},
  };
  // Object keys are sorted. A name that isn't UTF-8 must not throw.
  return result.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace hypershift
