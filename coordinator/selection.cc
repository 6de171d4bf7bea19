#include "coordinator/selection.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace hypershift {
namespace {

// A partition comes with the partitioned table that the filter names.
bool IsSelected(const Config& config, const Catalog& catalog, const Table& table) {
  const Table* current = &table;
  for (int depth = 0; depth < 64; ++depth) {
    if (config.filter.Includes(current->name)) return true;
    if (!current->is_partition) return false;
    auto parent = catalog.tables.find(current->parent);
    if (parent == catalog.tables.end()) return false;
    current = &parent->second;
  }
  return false;
}

bool Contains(const std::vector<std::string>& values, const std::string& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

bool IsRelation(const std::string& type) {
  return type == "TABLE" || type == "FOREIGN TABLE" || type == "VIEW" || type == "MATERIALIZED VIEW" ||
         type == "SEQUENCE";
}

// Never restored, whatever the filters: what the target has of its own, or what a role that may restore the rest often
// may not do.
bool IsAlwaysLeftOut(const SchemaEntry& entry) {
  if (entry.type == "EXTENSION") return entry.name == "timescaledb" || entry.name == "plpgsql";
  if (entry.type == "COMMENT") return absl::StartsWith(entry.name, "EXTENSION ");
  return entry.type == "PUBLICATION" || entry.type == "PUBLICATION TABLE" || entry.type == "SUBSCRIPTION" ||
         entry.type == "EVENT TRIGGER" || entry.type == "DATABASE" || entry.type == "DATABASE PROPERTIES";
}

class EntryFilter {
 public:
  EntryFilter(const Config& config, const Catalog& catalog, const Selection& selection)
      : config_(config), catalog_(catalog), selection_(selection) {}

  // Whether the filters themselves leave the entry out.
  bool LeavesOut(const SchemaEntry& entry) const {
    if (selection_.everything) return false;
    if (!config_.filter.include_tables.empty()) return !IsWantedWithTablesOnly(entry);
    if (entry.type == "SCHEMA") return !SchemaIncluded(entry.name);
    if (entry.type == "TABLE" || entry.type == "FOREIGN TABLE") return TableLeftOut(entry);
    if (entry.type == "SEQUENCE") return SequenceLeftOut(entry);
    return !entry.schema.empty() && !SchemaIncluded(entry.schema);
  }

 private:
  bool SchemaIncluded(const std::string& schema) const {
    const TableFilter& filter = config_.filter;
    if (!filter.include_schemas.empty()) return Contains(filter.include_schemas, schema);
    return !Contains(filter.exclude_schemas, schema);
  }

  bool TableLeftOut(const SchemaEntry& entry) const {
    return entry.catalog_class == kPgClassClass && selection_.tables.count(entry.catalog_oid) == 0;
  }

  bool SequenceLeftOut(const SchemaEntry& entry) const {
    return entry.catalog_class == kPgClassClass && selection_.sequences.count(entry.catalog_oid) == 0;
  }

  // include_tables: the tables and what belongs to them alone.
  bool IsWantedWithTablesOnly(const SchemaEntry& entry) const {
    if (entry.type == "TABLE" || entry.type == "FOREIGN TABLE") return !TableLeftOut(entry);
    if (entry.type == "SEQUENCE") return !SequenceLeftOut(entry);
    if (entry.type == "SCHEMA") {
      return std::any_of(selection_.tables.begin(), selection_.tables.end(),
                         [&](Oid oid) { return catalog_.tables.at(oid).name.schema == entry.name; });
    }
    static const std::set<std::string> kBelongsToTable = {
        "DEFAULT",       "SEQUENCE OWNED BY", "TABLE ATTACH", "INDEX",  "INDEX ATTACH", "CONSTRAINT",
        "FK CONSTRAINT", "CHECK CONSTRAINT",  "COMMENT",      "POLICY", "ROW SECURITY", "STATISTICS"};
    return kBelongsToTable.count(entry.type) > 0;
  }

  const Config& config_;
  const Catalog& catalog_;
  const Selection& selection_;
};

std::string DisplayName(const SchemaEntry& entry) {
  return entry.schema.empty() ? entry.name : absl::StrCat(entry.schema, ".", entry.name);
}

}  // namespace

Selection SelectTables(const Config& config, const Catalog& catalog) {
  Selection selection;
  const TableFilter& filter = config.filter;
  selection.everything = filter.include_tables.empty() && filter.exclude_tables.empty() &&
                         filter.include_schemas.empty() && filter.exclude_schemas.empty();
  for (const auto& [oid, table] : catalog.tables) {
    if (table.kind != 'm' && IsSelected(config, catalog, table)) selection.tables.insert(oid);
  }
  for (const auto& [oid, sequence] : catalog.sequences) {
    const bool selected = sequence.owner_table != 0 ? selection.tables.count(sequence.owner_table) > 0
                                                    : config.filter.Includes(sequence.name);
    if (selected) selection.sequences.insert(oid);
  }
  return selection;
}

SelectedEntries SelectEntries(const std::vector<SchemaEntry>& entries, const Config& config, const Catalog& catalog,
                              const Selection& selection, const std::set<int>& dropped) {
  SelectedEntries selected;
  selected.dropped = dropped;
  const EntryFilter filter(config, catalog, selection);
  for (const SchemaEntry& entry : entries) {
    if (IsAlwaysLeftOut(entry)) continue;
    if (filter.LeavesOut(entry)) {
      if (IsRelation(entry.type)) selected.dropped.insert(entry.dump_id);
      continue;
    }
    const bool needs_dropped = std::any_of(entry.dependencies.begin(), entry.dependencies.end(),
                                           [&](int id) { return selected.dropped.count(id) > 0; });
    if (needs_dropped) {
      selected.dropped.insert(entry.dump_id);
      if (entry.type == "VIEW" || entry.type == "MATERIALIZED VIEW" || entry.type == "FK CONSTRAINT" ||
          entry.type == "FUNCTION" || entry.type == "RULE" || entry.type == "TABLE") {
        selected.left_out.push_back(
            absl::StrCat(entry.type, " ", DisplayName(entry), ": it needs a relation that is not migrated"));
      }
      continue;
    }
    selected.entries.push_back(entry);
  }
  return selected;
}

}  // namespace hypershift
