#include "coordinator/hypertable_spec.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/names.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

std::string Place(const HypertableConfig& config) {
  return absl::StrCat(
      config.line > 0 ? absl::StrCat("hypertable_configs (line ", config.line, ")") : "hypertable_configs", ": ",
      config.table.Display());
}

std::string DidYouMean(const std::string& name, const std::vector<std::string>& candidates) {
  const std::string nearest = NearestName(name, candidates);
  return nearest.empty() ? "" : absl::StrCat(" (did you mean '", nearest, "'?)");
}

absl::StatusOr<const Table*> FindTableFor(const HypertableConfig& config, const Catalog& catalog) {
  const Table* table = catalog.FindTable(config.table);
  if (table == nullptr) {
    std::vector<std::string> names;
    for (const auto& [oid, candidate] : catalog.tables) names.push_back(candidate.name.Display());
    return absl::InvalidArgumentError(
        absl::StrCat(Place(config), ": the source has no such table", DidYouMean(config.table.Display(), names)));
  }
  if (table->is_partition) {
    return absl::InvalidArgumentError(absl::StrCat(
        Place(config),
        ": it is a partition: name the partitioned table, which becomes one hypertable with all its rows"));
  }
  if (table->has_foreign_leaf) {
    return absl::InvalidArgumentError(
        absl::StrCat(Place(config),
                     ": a partition of it is a foreign table, whose rows stay where they are: detach it, or "
                     "remove the entry"));
  }
  if (table->kind == 'r' && table->has_children) {
    return absl::InvalidArgumentError(
        absl::StrCat(Place(config),
                     ": a table with inheritance children can't become a hypertable: move their rows into it, or make "
                     "it a partitioned table, or remove the entry"));
  }
  if (table->kind != 'r' && table->kind != 'p') {
    return absl::InvalidArgumentError(absl::StrCat(Place(config), ": it is no ordinary table: remove the entry"));
  }
  return table;
}

absl::StatusOr<const Column*> FindColumnFor(const HypertableConfig& config, const Table& table, const std::string& name,
                                            const std::string& key) {
  const Column* column = table.FindColumn(name);
  if (column != nullptr) return column;
  std::vector<std::string> names;
  for (const Column& candidate : table.columns) names.push_back(candidate.name);
  return absl::InvalidArgumentError(
      absl::StrCat(Place(config), ": ", key, ": there is no column '", name, "'", DidYouMean(name, names)));
}

// Intervals with units are for time columns; a plain integer is microseconds there, and the column's own unit
// otherwise.
absl::StatusOr<int64_t> InternalInterval(const HypertableConfig& config, const Interval& interval, TimeType type,
                                         const std::string& key) {
  if (type == TimeType::kInteger && interval.has_unit) {
    return absl::InvalidArgumentError(absl::StrCat(Place(config), ": ", key, ": '", interval.text,
                                                   "' has a unit, but '", config.time_column_name,
                                                   "' is an integer column: give a plain integer in its own unit"));
  }
  if (type == TimeType::kDate && interval.value % kMicrosecondsPerDay != 0) {
    return absl::InvalidArgumentError(absl::StrCat(Place(config), ": ", key, ": '", interval.text,
                                                   "' is no whole number of days, but '", config.time_column_name,
                                                   "' is a date column"));
  }
  return interval.value;
}

const Index* FindTimeIndex(const Catalog& catalog, const Table& table, const std::string& column) {
  for (const Index* index : catalog.IndexesOf(table.oid)) {
    if (index->valid && !index->partial && index->method == "btree" && !index->key_columns.empty() &&
        index->key_columns.front() == column) {
      return index;
    }
  }
  const Index* of_leaves = nullptr;
  for (Oid leaf : table.leaves) {
    of_leaves = FindTimeIndex(catalog, catalog.tables.at(leaf), column);
    if (of_leaves == nullptr) return nullptr;
  }
  return of_leaves;
}

absl::Status CheckCompressColumns(const HypertableConfig& config, const Table& table) {
  for (const std::string& name : config.compress->segmentby) {
    HS_RETURN_IF_ERROR(FindColumnFor(config, table, name, "compress: segmentby").status());
    if (name == config.time_column_name) {
      return absl::InvalidArgumentError(absl::StrCat(Place(config), ": compress: segmentby: '", name,
                                                     "' is the time column, which can only be ordered by"));
    }
  }
  for (const OrderByColumn& order : config.compress->orderby) {
    HS_RETURN_IF_ERROR(FindColumnFor(config, table, order.column, "compress: orderby").status());
    const auto& segments = config.compress->segmentby;
    if (std::find(segments.begin(), segments.end(), order.column) != segments.end()) {
      return absl::InvalidArgumentError(absl::StrCat(Place(config), ": compress: '", order.column,
                                                     "' stands in both segmentby and orderby: remove one"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<const Column*> PartitioningColumn(const HypertableConfig& config, const Table& table) {
  HS_ASSIGN_OR_RETURN(const Column* column,
                      FindColumnFor(config, table, config.partitioning_column, "partitioning_column"));
  const std::string place = absl::StrCat(Place(config), ": partitioning_column: '", column->name, "'");
  if (column->generated) {
    return absl::InvalidArgumentError(
        absl::StrCat(place, " is a generated column, which can't partition a hypertable: name another one"));
  }
  if (!column->traits.hashable) {
    return absl::InvalidArgumentError(absl::StrCat(
        place, " has type ", column->type_name, ", which has no hash function to partition by: name another column"));
  }
  return column;
}

// Which of the columns that every key of a hypertable must contain are not among `columns`, in words; empty if none.
std::string MissingDimensions(const HypertableSpec& hypertable, const std::vector<std::string>& columns) {
  const auto lacks = [&](const Column* column) {
    return column != nullptr && std::find(columns.begin(), columns.end(), column->name) == columns.end();
  };
  std::vector<std::string> missing;
  if (lacks(hypertable.time_column)) {
    missing.push_back(absl::StrCat("its time column '", hypertable.time_column->name, "'"));
  }
  if (lacks(hypertable.partitioning_column)) {
    missing.push_back(absl::StrCat("its partitioning column '", hypertable.partitioning_column->name, "'"));
  }
  return absl::StrJoin(missing, " and ");
}

std::string Regclass(const QualifiedName& name) { return absl::StrCat(QuoteLiteral(name.Quoted()), "::regclass"); }

std::string OrderBySql(const std::vector<OrderByColumn>& columns) {
  std::vector<std::string> parts;
  for (const OrderByColumn& column : columns) {
    parts.push_back(absl::StrCat(QuoteIdentifier(column.column), column.descending ? " DESC" : " ASC",
                                 column.nulls_first ? " NULLS FIRST" : " NULLS LAST"));
  }
  return absl::StrJoin(parts, ", ");
}

}  // namespace

absl::StatusOr<HypertableSpec> ResolveHypertable(const HypertableConfig& config, const Catalog& catalog) {
  HypertableSpec spec;
  spec.config = &config;
  HS_ASSIGN_OR_RETURN(spec.table, FindTableFor(config, catalog));
  HS_ASSIGN_OR_RETURN(spec.time_column,
                      FindColumnFor(config, *spec.table, config.time_column_name, "time_column_name"));
  const std::optional<TimeType> type = TimeTypeOf(spec.time_column->base_type);
  if (!type.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        Place(config), ": time_column_name: '", config.time_column_name, "' has type ", spec.time_column->type_name,
        "; a hypertable's time is timestamptz, timestamp, date, smallint, integer or bigint"));
  }
  if (spec.time_column->generated) {
    return absl::InvalidArgumentError(absl::StrCat(Place(config), ": time_column_name: '", config.time_column_name,
                                                   "' is a generated column, which can't partition a hypertable"));
  }
  spec.time_type = *type;
  if (!config.partitioning_column.empty()) {
    HS_ASSIGN_OR_RETURN(spec.partitioning_column, PartitioningColumn(config, *spec.table));
  }
  HS_ASSIGN_OR_RETURN(spec.chunk_interval,
                      InternalInterval(config, config.chunk_time_interval, *type, "chunk_time_interval"));
  if (config.compress.has_value()) {
    HS_RETURN_IF_ERROR(CheckCompressColumns(config, *spec.table));
    if (config.compress->after.has_value()) {
      HS_ASSIGN_OR_RETURN(const int64_t after,
                          InternalInterval(config, *config.compress->after, *type, "compress: after"));
      spec.compress_after = after;
    }
  }
  spec.time_index = FindTimeIndex(catalog, *spec.table, config.time_column_name);
  return spec;
}

std::vector<IncompatibleConstraint> FindIncompatibleConstraints(const std::vector<HypertableSpec>& hypertables,
                                                                const Catalog& catalog) {
  std::vector<IncompatibleConstraint> found;
  std::set<Oid> hypertable_oids;
  std::set<Oid> lost_keys;  // Indexes of keys that go.
  for (const HypertableSpec& hypertable : hypertables) {
    hypertable_oids.insert(hypertable.table->oid);
    for (const Constraint* constraint : catalog.ConstraintsOf(hypertable.table->oid)) {
      const bool is_key = constraint->type == 'p' || constraint->type == 'u' || constraint->type == 'x';
      const std::string missing = is_key ? MissingDimensions(hypertable, constraint->columns) : "";
      if (!missing.empty()) {
        found.push_back({constraint, absl::StrCat("a hypertable's keys must contain ", missing)});
        lost_keys.insert(constraint->index);
      }
      if (constraint->type == 'c' && constraint->no_inherit) {
        found.push_back({constraint, "a hypertable can't have CHECK constraints with NO INHERIT"});
      }
    }
  }
  for (const auto& [oid, constraint] : catalog.constraints) {
    if (constraint.type != 'f') continue;
    if (lost_keys.count(constraint.referenced_index) > 0) {
      found.push_back({&constraint, "it refers to a key that a hypertable can't have"});
    } else if (hypertable_oids.count(constraint.table) > 0 && hypertable_oids.count(constraint.referenced_table) > 0) {
      found.push_back({&constraint, "a hypertable can't refer to a hypertable"});
    }
  }
  return found;
}

std::vector<IncompatibleIndex> FindIncompatibleIndexes(const HypertableSpec& hypertable, const Catalog& catalog) {
  std::set<Oid> constraint_indexes;
  for (const Constraint* constraint : catalog.ConstraintsOf(hypertable.table->oid))
    constraint_indexes.insert(constraint->index);
  std::vector<IncompatibleIndex> found;
  for (const Index* index : catalog.IndexesOf(hypertable.table->oid)) {
    if (!index->unique || constraint_indexes.count(index->oid) > 0) continue;
    std::string missing = MissingDimensions(hypertable, index->key_columns);
    if (!missing.empty()) found.push_back({index, std::move(missing)});
  }
  return found;
}

std::string WithoutPartitions(const std::string& create_table_sql) {
  // "\n)\nPARTITION BY RANGE (…);" ends the statement; expressions in it may hold anything in quotes.
  const size_t clause = create_table_sql.rfind("\n)\nPARTITION BY ");
  if (clause == std::string::npos) return create_table_sql;
  char quote = 0;
  size_t end = clause;
  for (; end < create_table_sql.size(); ++end) {
    const char c = create_table_sql[end];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == ';') {
      break;
    }
  }
  return absl::StrCat(create_table_sql.substr(0, clause + 2), create_table_sql.substr(end));
}

std::string WithoutOnly(const std::string& sql) {
  std::string text = absl::StrReplaceAll(sql, {{"\nALTER TABLE ONLY ", "\nALTER TABLE "}});
  constexpr absl::string_view kAlter = "ALTER TABLE ONLY ";
  if (absl::StartsWith(text, kAlter)) return absl::StrCat("ALTER TABLE ", text.substr(kAlter.size()));
  if (!absl::StartsWith(text, "CREATE INDEX ") && !absl::StartsWith(text, "CREATE UNIQUE INDEX ")) return text;
  // Behind the index's name, which may hold anything in quotes.
  constexpr absl::string_view kOn = " ON ONLY ";
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (quoted || text[i] != ' ' || !absl::StartsWith(text.substr(i, 4), " ON ")) continue;
    if (absl::StartsWith(absl::string_view(text).substr(i), kOn)) text.replace(i, kOn.size(), " ON ");
    break;
  }
  return text;
}

int64_t ChunkStart(int64_t value, int64_t chunk_interval) {
  int64_t quotient = value / chunk_interval;
  if (value % chunk_interval < 0) --quotient;
  return quotient * chunk_interval;
}

std::vector<std::string> CreateHypertableSql(const HypertableSpec& hypertable, const std::string& extension_schema) {
  const HypertableConfig& config = *hypertable.config;
  std::vector<std::string> statements;
  std::string hash_dimension;
  if (hypertable.partitioning_column != nullptr) {
    hash_dimension = absl::StrCat("partitioning_column => ", QuoteLiteral(config.partitioning_column),
                                  "::name, number_partitions => ", config.number_partitions, ", ");
  }
  statements.push_back(
      absl::StrCat("SELECT ", QuoteIdentifier(extension_schema), ".create_hypertable(", Regclass(config.table), ", ",
                   QuoteLiteral(config.time_column_name), "::name, ", hash_dimension) +
      absl::StrCat("chunk_time_interval => ", hypertable.chunk_interval, "::bigint, create_default_indexes => false)"));
  if (config.compress.has_value()) {
    const std::string segmentby = QuoteIdentifiers(config.compress->segmentby);
    std::vector<OrderByColumn> orderby = config.compress->orderby;
    // TimescaleDB's own default, said explicitly; and segmentby '' means none, where saying nothing lets it guess.
    if (orderby.empty()) orderby.push_back({config.time_column_name, true, true});
    statements.push_back(absl::StrCat("ALTER TABLE ", config.table.Quoted(), " SET (timescaledb.compress, ",
                                      "timescaledb.compress_segmentby = ", QuoteLiteral(segmentby), ", ") +
                         absl::StrCat("timescaledb.compress_orderby = ", QuoteLiteral(OrderBySql(orderby)), ")"));
  }
  return statements;
}

std::string CompressionPolicySql(const HypertableSpec& hypertable, const std::string& extension_schema) {
  if (!hypertable.compress_after.has_value()) return "";
  const int64_t internal = *hypertable.compress_after;
  std::string after = absl::StrCat(internal, "::bigint");
  if (hypertable.time_type != TimeType::kInteger) {
    const bool whole_days = internal % kMicrosecondsPerDay == 0;
    after = whole_days ? absl::StrCat("make_interval(days => ", internal / kMicrosecondsPerDay, ")")
                       : absl::StrCat("make_interval(secs => ", internal / 1'000'000, ")");
  }
  return absl::StrCat("SELECT ", QuoteIdentifier(extension_schema), ".add_compression_policy(",
                      Regclass(hypertable.config->table), ", compress_after => ", after, ", if_not_exists => true)");
}

}  // namespace hypershift
