// The source's schema, as pg_dump writes it and pg_restore turns it into SQL.
//
// Both programs are found in PATH; pg_dump must be at least as new as the source's server. No password is passed in
// arguments or environment: a private password file is.
#ifndef HYPERSHIFT_COORDINATOR_SCHEMA_ARCHIVE_H_
#define HYPERSHIFT_COORDINATOR_SCHEMA_ARCHIVE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/connection_string.h"
#include "coordinator/catalog.h"

namespace hypershift {

enum class SchemaSection { kPreData, kPostData };

// One entry of the archive's table of contents with its SQL.
struct SchemaEntry {
  int dump_id = 0;
  Oid catalog_class = 0;  // pg_class (1259), pg_constraint (2606), …; 0 = none.
  Oid catalog_oid = 0;
  std::string type;    // "TABLE", "INDEX", "FK CONSTRAINT", …
  std::string schema;  // Empty when the object has none.
  std::string name;
  std::vector<int> dependencies;  // Dump ids.
  std::string sql;
};

inline constexpr Oid kPgClassClass = 1259;
inline constexpr Oid kPgConstraintClass = 2606;
inline constexpr Oid kPgTriggerClass = 2620;

// The major version of the pg_dump that would be used. kNotFound: there is none in PATH.
absl::StatusOr<int> PgDumpMajorVersion();

// One pg_dump of the schema under the exported snapshot; the archive in custom format.
absl::StatusOr<std::string> DumpSchema(const ConnectionString& source, const std::string& snapshot_id);

// The entries of one section, in the order in which they must be created. Owners, privileges, tablespaces, publications
// and subscriptions are left out.
absl::StatusOr<std::vector<SchemaEntry>> ReadSchemaEntries(const std::string& archive, SchemaSection section);

// The same from the text that `pg_restore --verbose -f -` prints; for ReadSchemaEntries and its tests.
absl::StatusOr<std::vector<SchemaEntry>> ParseRestoreScript(const std::string& script);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_SCHEMA_ARCHIVE_H_
