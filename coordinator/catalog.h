// What the source holds: tables, columns, indexes, constraints, sequences, materialised views — as its catalog tells it
// under the migration's snapshot.
//
// Plain data, read once by ReadCatalog and then only looked at; planning, preflight and finishing are pure functions of
// it. Names are as the catalog spells them (unquoted). Sizes are bytes.
#ifndef HYPERSHIFT_COORDINATOR_CATALOG_H_
#define HYPERSHIFT_COORDINATOR_CATALOG_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/names.h"
#include "common/pg_session.h"

namespace hypershift {

using Oid = uint32_t;

// How the values of a type behave on the way.
struct TypeTraits {
  // Its binary form means the same on another server.
  bool binary_safe = false;
  // Compression may store an equal but not identical value (citext, interval, jsonb, numeric arrays, ranges).
  bool compression_rewrites = false;
  // The same, but only where the column is a segmentby column (floats, numeric).
  bool segmentby_rewrites = false;
  // Its values have a hash, so that a hash dimension can go by them.
  bool hashable = false;
};

struct Column {
  int number = 0;
  std::string name;
  std::string type_name;  // As format_type() writes it.
  Oid base_type = 0;      // Domains looked through.
  TypeTraits traits;
  bool not_null = false;
  bool generated = false;
  std::string collation;  // Empty = its values have none; "default" = the database's.
  double distinct = 0;    // pg_stats.n_distinct, turned into a count; 0 = unknown.
};

struct Table {
  Oid oid = 0;
  QualifiedName name;
  char kind = 'r';         // pg_class.relkind: r ordinary, p partitioned, f foreign, m materialised view.
  char persistence = 'p';  // p permanent, u unlogged.
  bool is_partition = false;
  bool has_children = false;
  Oid parent = 0;  // Inheritance or partition parent.
  bool row_security = false;
  bool has_rules = false;
  Oid filenode = 0;
  int64_t heap_bytes = 0;
  int64_t total_bytes = 0;  // With TOAST, without indexes.
  double rows = 0;          // The planner's estimate.
  int64_t writes = 0;       // Inserts, updates and deletes that the statistics have counted.
  std::vector<Column> columns;

  // Of a partitioned table, whose sizes, rows and writes are then those of its leaves: the leaves that are ordinary
  // tables, on any level below; whether there are others; and what SourcePartitionsSql says of them.
  std::vector<Oid> leaves;
  bool has_foreign_leaf = false;
  std::string source_partitions;

  const Column* FindColumn(const std::string& name) const;
};

struct Index {
  Oid oid = 0;
  std::string name;
  Oid table = 0;
  bool unique = false;
  bool valid = true;
  bool partial = false;
  bool attached = false;  // Part of a partitioned table's index.
  std::string method;
  std::vector<std::string> key_columns;  // Empty names stand for expressions.
};

struct Constraint {
  Oid oid = 0;
  std::string name;
  Oid table = 0;
  char type = 'c';  // pg_constraint.contype: p, u, x, f, c.
  Oid referenced_table = 0;
  Oid referenced_index = 0;
  Oid index = 0;
  bool no_inherit = false;
  std::vector<std::string> columns;
};

struct Sequence {
  Oid oid = 0;
  QualifiedName name;
  Oid owner_table = 0;  // 0 = stands alone.
  int64_t last_value = 0;
  bool is_called = false;
};

struct MaterializedView {
  Oid oid = 0;
  QualifiedName name;
  bool populated = false;
};

struct Trigger {
  Oid oid = 0;
  std::string name;
  Oid table = 0;
  bool transition_tables = false;
};

struct Catalog {
  int server_version = 0;  // 150004.
  std::string system_identifier;
  int64_t timeline = 0;
  Oid database_oid = 0;
  bool in_recovery = false;
  // A stand-by's settings: without the one or the other, replay cancels the sessions that hold a snapshot.
  bool hot_standby_feedback = false;
  bool waits_for_queries = false;
  int64_t max_locks = 0;  // For which the server has room, of all sessions together.
  std::string encoding;
  int64_t source_now_microseconds = 0;  // now() under the snapshot, since the Unix epoch.

  std::map<Oid, Table> tables;
  std::map<Oid, Index> indexes;
  std::map<Oid, Constraint> constraints;
  std::map<Oid, Sequence> sequences;
  std::vector<MaterializedView> materialized_views;  // In an order in which they can be refreshed.
  std::map<Oid, Trigger> triggers;
  std::map<Oid, std::string> views;                // Views' names by oid, for reports.
  std::map<Oid, std::set<Oid>> view_dependencies;  // View or materialised view -> relations it reads.
  std::map<std::string, std::string> extensions;   // Name -> schema.
  std::vector<QualifiedName> hypertables;          // The source's own, if it has TimescaleDB.
  // What no migration takes along, in words: "publication p", "3 large objects", ….
  std::vector<std::string> left_out;

  const Table* FindTable(const QualifiedName& name) const;
  std::vector<const Index*> IndexesOf(Oid table) const;
  std::vector<const Constraint*> ConstraintsOf(Oid table) const;
};

// Which server, timeline and database `session` is connected to: the first fields of a Catalog, the rest empty.
absl::StatusOr<Catalog> ReadSourceIdentity(PgSession* session);

// Reads the catalog of the database `session` is connected to, in the transaction that it has open. System schemas,
// temporary tables and what belongs to an extension are left out.
absl::StatusOr<Catalog> ReadCatalog(PgSession* session);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_CATALOG_H_
