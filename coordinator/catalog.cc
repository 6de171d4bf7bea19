#include "coordinator/catalog.h"

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "common/source_partitions.h"
#include "common/status_macros.h"
#include "coordinator/catalog_sql.h"
#include "coordinator/type_traits.h"

namespace hypershift {
namespace {

std::string Text(const pqxx::field& field) { return field.is_null() ? std::string() : std::string(field.c_str()); }
char Letter(const pqxx::field& field) { return field.is_null() || *field.c_str() == '\0' ? ' ' : *field.c_str(); }
bool Flag(const pqxx::field& field) { return !field.is_null() && *field.c_str() == 't'; }
template <typename T>
T Number(const pqxx::field& field) {
  return field.is_null() ? T{} : field.as<T>();
}

absl::Status ReadServer(PgSession* session, Catalog* catalog) {
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(kServerSql));
  const pqxx::row row = rows[0];
  catalog->server_version = Number<int>(row[0]);
  catalog->system_identifier = Text(row[1]);
  catalog->timeline = Number<int64_t>(row[2]);
  catalog->database_oid = Number<Oid>(row[3]);
  catalog->in_recovery = Flag(row[4]);
  catalog->encoding = Text(row[5]);
  catalog->source_now_microseconds = Number<int64_t>(row[6]);
  catalog->hot_standby_feedback = Flag(row[7]);
  catalog->waits_for_queries = Flag(row[8]);
  catalog->max_locks = Number<int64_t>(row[9]);
  return absl::OkStatus();
}

absl::Status ReadTables(PgSession* session, Catalog* catalog) {
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(kTablesSql));
  for (const auto& row : rows) {
    Table table;
    table.oid = Number<Oid>(row[0]);
    table.name = {Text(row[1]), Text(row[2])};
    table.kind = Letter(row[3]);
    table.persistence = Letter(row[4]);
    table.is_partition = Flag(row[5]);
    table.has_children = Flag(row[6]);
    table.parent = Number<Oid>(row[7]);
    table.row_security = Flag(row[8]);
    table.filenode = Number<Oid>(row[10]);
    table.heap_bytes = Number<int64_t>(row[11]);
    table.total_bytes = Number<int64_t>(row[12]);
    // Of a partitioned table PostgreSQL 14 and later estimate the whole, which AddLeaves adds up.
    table.rows = table.kind == 'p' ? 0 : Number<double>(row[13]);
    table.writes = Number<int64_t>(row[14]);
    catalog->tables.emplace(table.oid, std::move(table));
  }
  HS_ASSIGN_OR_RETURN(const pqxx::result rules, session->Query(kRulesSql));
  for (const auto& row : rules) {
    auto found = catalog->tables.find(Number<Oid>(row[0]));
    if (found != catalog->tables.end()) found->second.has_rules = true;
  }
  return absl::OkStatus();
}

// What a partitioned table holds is what its leaves hold.
absl::Status AddLeaves(PgSession* session, Catalog* catalog) {
  for (const auto& [oid, leaf] : catalog->tables) {
    if (!leaf.is_partition || leaf.kind == 'p') continue;
    const Table* child = &leaf;
    while (child->is_partition) {
      auto parent = catalog->tables.find(child->parent);
      if (parent == catalog->tables.end()) break;
      Table& above = parent->second;
      child = &above;
      if (leaf.kind != 'r') {
        above.has_foreign_leaf = true;
        continue;
      }
      above.leaves.push_back(oid);
      above.heap_bytes += leaf.heap_bytes;
      above.total_bytes += leaf.total_bytes;
      above.rows += leaf.rows;
      above.writes += leaf.writes;
      for (Column& column : above.columns) {
        const Column* part = leaf.FindColumn(column.name);
        if (part != nullptr) column.distinct = std::max(column.distinct, part->distinct);
      }
    }
  }
  // Not by SourcePartitionsSql, which would lock every partition for as long as this transaction lasts.
  std::string texts;
  for (const auto& [oid, table] : catalog->tables) {
    if (table.kind != 'p' || table.is_partition) continue;
    std::vector<SourcePartition> leaves;
    for (Oid leaf : table.leaves) leaves.push_back({leaf, catalog->tables.at(leaf).filenode});
    absl::StrAppend(&texts, texts.empty() ? "" : ", ", "(", oid, ", '", PartitionsText(leaves), "')");
  }
  if (texts.empty()) return absl::OkStatus();
  HS_ASSIGN_OR_RETURN(
      const pqxx::result digests,
      session->Query(absl::StrCat("SELECT oid, pg_catalog.md5(leaves) FROM (VALUES ", texts, ") AS v (oid, leaves)")));
  for (const auto& row : digests) catalog->tables.at(Number<Oid>(row[0])).source_partitions = Text(row[1]);
  return absl::OkStatus();
}

absl::StatusOr<TypeTable> ReadTypes(PgSession* session) {
  TypeTable types;
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(kTypesSql));
  for (const auto& row : rows) {
    types.Add(Number<Oid>(row[0]), {Text(row[1]), Letter(row[2]), Letter(row[3]), Number<Oid>(row[4]),
                                    Number<Oid>(row[5]), Flag(row[6]), Number<Oid>(row[7]), Flag(row[8])});
  }
  return types;
}

absl::Status ReadColumns(PgSession* session, Catalog* catalog) {
  HS_ASSIGN_OR_RETURN(const TypeTable types, ReadTypes(session));
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(kColumnsSql));
  for (const auto& row : rows) {
    auto table = catalog->tables.find(Number<Oid>(row[0]));
    if (table == catalog->tables.end()) continue;
    Column column;
    column.number = Number<int>(row[1]);
    column.name = Text(row[2]);
    column.type_name = Text(row[3]);
    column.base_type = types.BaseType(Number<Oid>(row[4]));
    column.traits = types.Traits(Number<Oid>(row[4]));
    column.not_null = Flag(row[5]);
    column.generated = Flag(row[6]);
    column.collation = Text(row[7]);
    column.distinct = Number<double>(row[8]);
    table->second.columns.push_back(std::move(column));
  }
  return absl::OkStatus();
}

absl::Status ReadIndexes(PgSession* session, Catalog* catalog) {
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(kIndexesSql));
  for (const auto& row : rows) {
    Index& index = catalog->indexes[Number<Oid>(row[0])];
    index.oid = Number<Oid>(row[0]);
    index.name = Text(row[1]);
    index.table = Number<Oid>(row[2]);
    index.unique = Flag(row[3]);
    index.valid = Flag(row[4]);
    index.partial = Flag(row[5]);
    index.method = Text(row[6]);
    index.attached = Flag(row[9]);
    index.key_columns.push_back(Text(row[8]));
  }
  return absl::OkStatus();
}

absl::Status ReadConstraints(PgSession* session, Catalog* catalog) {
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(kConstraintsSql));
  for (const auto& row : rows) {
    Constraint& constraint = catalog->constraints[Number<Oid>(row[0])];
    constraint.oid = Number<Oid>(row[0]);
    constraint.name = Text(row[1]);
    constraint.table = Number<Oid>(row[2]);
    constraint.type = Letter(row[3]);
    constraint.referenced_table = Number<Oid>(row[4]);
    // conindid is the constraint's own index, or for a foreign key the one it refers to.
    (constraint.type == 'f' ? constraint.referenced_index : constraint.index) = Number<Oid>(row[5]);
    constraint.no_inherit = Flag(row[6]);
    if (Number<int>(row[7]) > 0) constraint.columns.push_back(Text(row[8]));
  }
  return absl::OkStatus();
}

absl::Status ReadSequences(PgSession* session, Catalog* catalog) {
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(kSequencesSql));
  std::vector<std::string> selects;
  for (const auto& row : rows) {
    Sequence sequence;
    sequence.oid = Number<Oid>(row[0]);
    sequence.name = {Text(row[1]), Text(row[2])};
    sequence.owner_table = Number<Oid>(row[3]);
    selects.push_back(absl::StrCat("SELECT ", sequence.oid, ", last_value, is_called FROM ", sequence.name.Quoted()));
    catalog->sequences.emplace(sequence.oid, std::move(sequence));
  }
  // A few hundred at a time: one round trip each would be slow, one statement for 50,000 too large.
  constexpr size_t kBatch = 200;
  for (size_t begin = 0; begin < selects.size(); begin += kBatch) {
    std::string sql;
    for (size_t i = begin; i < std::min(begin + kBatch, selects.size()); ++i) {
      absl::StrAppend(&sql, i == begin ? "" : " UNION ALL ", selects[i]);
    }
    // Rolled back, so that their locks go: a server has room for some thousands.
    HS_RETURN_IF_ERROR(session->Query("SAVEPOINT sequences").status());
    HS_ASSIGN_OR_RETURN(const pqxx::result values, session->Query(sql));
    HS_RETURN_IF_ERROR(session->Query("ROLLBACK TO SAVEPOINT sequences").status());
    for (const auto& row : values) {
      Sequence& sequence = catalog->sequences[Number<Oid>(row[0])];
      sequence.last_value = Number<int64_t>(row[1]);
      sequence.is_called = Flag(row[2]);
    }
  }
  return absl::OkStatus();
}

// Depth first over what each view reads: what is read comes before who reads it.
std::vector<MaterializedView> InRefreshOrder(const std::map<Oid, MaterializedView>& views,
                                             const std::map<Oid, std::set<Oid>>& dependencies) {
  std::vector<MaterializedView> ordered;
  std::set<Oid> visited;
  std::function<void(Oid)> visit = [&](Oid oid) {
    if (!visited.insert(oid).second) return;
    auto reads = dependencies.find(oid);
    if (reads != dependencies.end()) {
      for (Oid read : reads->second) visit(read);
    }
    auto view = views.find(oid);
    if (view != views.end()) ordered.push_back(view->second);
  };
  for (const auto& [oid, view] : views) visit(oid);
  return ordered;
}

absl::Status ReadViews(PgSession* session, Catalog* catalog) {
  std::map<Oid, MaterializedView> materialized;
  HS_ASSIGN_OR_RETURN(const pqxx::result rows, session->Query(kViewsSql));
  for (const auto& row : rows) {
    const Oid oid = Number<Oid>(row[0]);
    const QualifiedName name{Text(row[1]), Text(row[2])};
    catalog->views[oid] = name.Display();
    if (Letter(row[3]) == 'm') materialized[oid] = {oid, name, Flag(row[4])};
  }
  HS_ASSIGN_OR_RETURN(const pqxx::result reads, session->Query(kViewDependenciesSql));
  for (const auto& row : reads) catalog->view_dependencies[Number<Oid>(row[0])].insert(Number<Oid>(row[1]));
  catalog->materialized_views = InRefreshOrder(materialized, catalog->view_dependencies);
  return absl::OkStatus();
}

absl::Status ReadOthers(PgSession* session, Catalog* catalog) {
  HS_ASSIGN_OR_RETURN(const pqxx::result triggers, session->Query(kTriggersSql));
  for (const auto& row : triggers) {
    const Oid oid = Number<Oid>(row[0]);
    catalog->triggers[oid] = {oid, Text(row[1]), Number<Oid>(row[2]), Flag(row[3])};
  }
  HS_ASSIGN_OR_RETURN(const pqxx::result extensions, session->Query(kExtensionsSql));
  for (const auto& row : extensions) catalog->extensions[Text(row[0])] = Text(row[1]);
  if (catalog->extensions.count("timescaledb") > 0) {
    HS_ASSIGN_OR_RETURN(const pqxx::result hypertables, session->Query(kHypertablesSql));
    for (const auto& row : hypertables) catalog->hypertables.push_back({Text(row[0]), Text(row[1])});
  }
  HS_ASSIGN_OR_RETURN(const pqxx::result left_out, session->Query(kLeftOutSql));
  for (const auto& row : left_out) catalog->left_out.push_back(Text(row[0]));
  return absl::OkStatus();
}

}  // namespace

const Column* Table::FindColumn(const std::string& column_name) const {
  for (const Column& column : columns) {
    if (column.name == column_name) return &column;
  }
  return nullptr;
}

const Table* Catalog::FindTable(const QualifiedName& name) const {
  for (const auto& [oid, table] : tables) {
    if (table.name == name) return &table;
  }
  return nullptr;
}

std::vector<const Index*> Catalog::IndexesOf(Oid table) const {
  std::vector<const Index*> found;
  for (const auto& [oid, index] : indexes) {
    if (index.table == table) found.push_back(&index);
  }
  return found;
}

std::vector<const Constraint*> Catalog::ConstraintsOf(Oid table) const {
  std::vector<const Constraint*> found;
  for (const auto& [oid, constraint] : constraints) {
    if (constraint.table == table) found.push_back(&constraint);
  }
  return found;
}

absl::StatusOr<Catalog> ReadSourceIdentity(PgSession* session) {
  Catalog catalog;
  HS_RETURN_IF_ERROR(ReadServer(session, &catalog));
  return catalog;
}

absl::StatusOr<Catalog> ReadCatalog(PgSession* session) {
  Catalog catalog;
  HS_RETURN_IF_ERROR(ReadServer(session, &catalog));
  HS_RETURN_IF_ERROR(ReadTables(session, &catalog));
  HS_RETURN_IF_ERROR(ReadColumns(session, &catalog));
  HS_RETURN_IF_ERROR(AddLeaves(session, &catalog));
  HS_RETURN_IF_ERROR(ReadIndexes(session, &catalog));
  HS_RETURN_IF_ERROR(ReadConstraints(session, &catalog));
  HS_RETURN_IF_ERROR(ReadSequences(session, &catalog));
  HS_RETURN_IF_ERROR(ReadViews(session, &catalog));
  HS_RETURN_IF_ERROR(ReadOthers(session, &catalog));
  return catalog;
}

}  // namespace hypershift
