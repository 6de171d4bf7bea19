#include "coordinator/selection.h"

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace hypershift {
namespace {

// A partition comes with the partitioned table that the filter names, unless it is left out by its own name.
bool IsSelected(const Config& config, const Catalog& catalog, const Table& table) {
  const Table* current = &table;
  for (int depth = 0; depth < 64; ++depth) {
    const auto& excluded = config.filter.exclude_tables;
    if (std::find(excluded.begin(), excluded.end(), current->name) != excluded.end()) return false;
    if (config.filter.Includes(current->name)) return true;
    if (!current->is_partition) return false;
    auto parent = catalog.tables.find(current->parent);
    if (parent == catalog.tables.end()) return false;
    current = &parent->second;
  }
  return false;
}

// A partition, on any level, of a table that becomes a hypertable: its rows go there.
bool BecomesPartOfHypertable(const Config& config, const Catalog& catalog, const Table& table) {
  const Table* current = &table;
  while (current->is_partition) {
    auto parent = catalog.tables.find(current->parent);
    if (parent == catalog.tables.end()) return false;
    current = &parent->second;
    for (const HypertableConfig& hypertable : config.hypertables) {
      if (hypertable.table == current->name) return true;
    }
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

bool BelongsToTable(const std::string& type) {
  static const std::set<std::string> kTypes = {"DEFAULT",      "SEQUENCE OWNED BY", "TABLE ATTACH",  "INDEX",
                                               "INDEX ATTACH", "CONSTRAINT",        "FK CONSTRAINT", "CHECK CONSTRAINT",
                                               "POLICY",       "ROW SECURITY",      "STATISTICS",    "TRIGGER",
                                               "RULE"};
  return kTypes.count(type) > 0;
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
    return BelongsToTable(entry.type) || entry.type == "COMMENT";
  }

  const Config& config_;
  const Catalog& catalog_;
  const Selection& selection_;
};

std::string DisplayName(const SchemaEntry& entry) {
  return absl::StrCat(entry.type, " ", entry.schema.empty() ? entry.name : absl::StrCat(entry.schema, ".", entry.name));
}

// Decides on the entries of both sections, since what one needs may stand in the other.
class EntrySelector {
 public:
  EntrySelector(const std::vector<SchemaEntry>& pre_data, const std::vector<SchemaEntry>& post_data,
                const Config& config, const Catalog& catalog, const Selection& selection)
      : catalog_(catalog), selection_(selection), pre_data_(pre_data), post_data_(post_data) {
    const EntryFilter filter(config, catalog, selection);
    for (const auto* section : {&pre_data, &post_data}) {
      for (const SchemaEntry& entry : *section) {
        if (IsAlwaysLeftOut(entry)) continue;
        entries_[entry.dump_id] = &entry;
        if (!filter.LeavesOut(entry)) wanted_.insert(entry.dump_id);
      }
    }
  }

  SelectedEntries Select() {
    for (const int id : std::set<int>(wanted_)) AddNeeds(*entries_.at(id));
    SelectedEntries selected;
    Restore(pre_data_, &selected.pre_data, &selected.left_out);
    Restore(post_data_, &selected.post_data, &selected.left_out);
    return selected;
  }

 private:
  void AddNeeds(const SchemaEntry& entry) {
    // A comment on what is not migrated must not bring it along.
    if (entry.type == "COMMENT") return;
    for (const int id : entry.dependencies) {
      const auto needed = entries_.find(id);
      if (needed == entries_.end() || IsRelation(needed->second->type)) continue;
      if (wanted_.insert(id).second) AddNeeds(*needed->second);
    }
  }

  // The entries come in an order in which each stands after what it needs.
  void Restore(const std::vector<SchemaEntry>& section, std::vector<SchemaEntry>* restored,
               std::vector<std::string>* left_out) {
    for (const SchemaEntry& entry : section) {
      if (entries_.count(entry.dump_id) == 0) continue;
      if (wanted_.count(entry.dump_id) == 0) {
        dropped_.insert(entry.dump_id);
        continue;
      }
      const SchemaEntry* missing = MissingNeed(entry);
      if (missing == nullptr) {
        restored->push_back(entry);
        continue;
      }
      dropped_.insert(entry.dump_id);
      if (IsExpected(entry)) continue;
      left_out->push_back(
          absl::StrCat(DisplayName(entry), ": it needs ", DisplayName(*missing), ", which is not migrated"));
    }
  }

  // What the entry needs and does not get, a relation rather than what belongs to one; null if there is nothing.
  const SchemaEntry* MissingNeed(const SchemaEntry& entry) const {
    const SchemaEntry* missing = nullptr;
    for (const int id : entry.dependencies) {
      if (dropped_.count(id) == 0) continue;
      const SchemaEntry* needed = entries_.at(id);
      if (missing == nullptr || IsRelation(needed->type)) missing = needed;
    }
    return missing;
  }

  // What belongs to a table that the filters leave out, and comments, need no mention.
  bool IsExpected(const SchemaEntry& entry) const {
    if (entry.type == "COMMENT" || entry.type == "TABLE ATTACH" || entry.type == "INDEX ATTACH") return true;
    if (!BelongsToTable(entry.type)) return false;
    if (entry.catalog_class == kPgConstraintClass) {
      const auto constraint = catalog_.constraints.find(entry.catalog_oid);
      return constraint == catalog_.constraints.end() || selection_.tables.count(constraint->second.table) == 0;
    }
    if (entry.catalog_class == kPgTriggerClass) {
      const auto trigger = catalog_.triggers.find(entry.catalog_oid);
      return trigger == catalog_.triggers.end() || selection_.tables.count(trigger->second.table) == 0;
    }
    return std::none_of(entry.dependencies.begin(), entry.dependencies.end(), [this](int id) {
      const auto needed = entries_.find(id);
      return needed != entries_.end() && needed->second->type == "TABLE" && dropped_.count(id) == 0;
    });
  }

  const Catalog& catalog_;
  const Selection& selection_;
  const std::vector<SchemaEntry>& pre_data_;
  const std::vector<SchemaEntry>& post_data_;
  std::map<int, const SchemaEntry*> entries_;  // By dump id, without those that are never restored.
  std::set<int> wanted_;
  std::set<int> dropped_;
};

}  // namespace

Selection SelectTables(const Config& config, const Catalog& catalog) {
  Selection selection;
  const TableFilter& filter = config.filter;
  selection.everything = filter.include_tables.empty() && filter.exclude_tables.empty() &&
                         filter.include_schemas.empty() && filter.exclude_schemas.empty();
  for (const auto& [oid, table] : catalog.tables) {
    if (table.kind == 'm' || !IsSelected(config, catalog, table)) continue;
    if (BecomesPartOfHypertable(config, catalog, table)) {
      selection.everything = false;
    } else {
      selection.tables.insert(oid);
    }
  }
  for (const auto& [oid, sequence] : catalog.sequences) {
    const bool selected = sequence.owner_table != 0 ? selection.tables.count(sequence.owner_table) > 0
                                                    : config.filter.Includes(sequence.name);
    if (selected) selection.sequences.insert(oid);
  }
  return selection;
}

SelectedEntries SelectEntries(const std::vector<SchemaEntry>& pre_data, const std::vector<SchemaEntry>& post_data,
                              const Config& config, const Catalog& catalog, const Selection& selection) {
  return EntrySelector(pre_data, post_data, config, catalog, selection).Select();
}

}  // namespace hypershift
