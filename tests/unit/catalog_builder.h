// Small catalogs for tests of pure planning code.
#ifndef HYPERSHIFT_TESTS_UNIT_CATALOG_BUILDER_H_
#define HYPERSHIFT_TESTS_UNIT_CATALOG_BUILDER_H_

#include <string>
#include <utility>
#include <vector>

#include "coordinator/catalog.h"

namespace hypershift {

class CatalogBuilder {
 public:
  CatalogBuilder() {
    catalog.server_version = 150004;
    catalog.encoding = "UTF8";
  }

  // Columns by name and type OID; all NOT NULL, safe in binary and hashable.
  Oid AddTable(const std::string& schema, const std::string& name,
               const std::vector<std::pair<std::string, Oid>>& columns) {
    Table table;
    table.oid = next_oid_++;
    table.filenode = table.oid;
    table.name = {schema, name};
    for (const auto& [column_name, type] : columns) {
      Column column;
      column.number = static_cast<int>(table.columns.size()) + 1;
      column.name = column_name;
      column.base_type = type;
      column.type_name = "type " + std::to_string(type);
      column.traits.binary_safe = true;
      column.traits.hashable = true;
      column.not_null = true;
      if (type == 25) column.collation = "default";
      table.columns.push_back(column);
    }
    const Oid oid = table.oid;
    catalog.tables.emplace(oid, std::move(table));
    return oid;
  }

  Index& AddIndex(Oid table, const std::string& name, const std::vector<std::string>& columns) {
    Index& index = catalog.indexes[next_oid_];
    index.oid = next_oid_++;
    index.table = table;
    index.name = name;
    index.method = "btree";
    index.key_columns = columns;
    return index;
  }

  Constraint& AddConstraint(Oid table, const std::string& name, char type, const std::vector<std::string>& columns) {
    Constraint& constraint = catalog.constraints[next_oid_];
    constraint.oid = next_oid_++;
    constraint.table = table;
    constraint.name = name;
    constraint.type = type;
    constraint.columns = columns;
    return constraint;
  }

  Catalog catalog;

 private:
  Oid next_oid_ = 20000;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_TESTS_UNIT_CATALOG_BUILDER_H_
