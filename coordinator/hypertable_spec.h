// A table that becomes a hypertable: the configuration's entry resolved against the source's catalog.
//
// Pure. "Internal" time as in time_column.h.
#ifndef HYPERSHIFT_COORDINATOR_HYPERTABLE_SPEC_H_
#define HYPERSHIFT_COORDINATOR_HYPERTABLE_SPEC_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config.h"
#include "coordinator/catalog.h"
#include "coordinator/time_column.h"

namespace hypershift {

struct HypertableSpec {
  const HypertableConfig* config = nullptr;
  const Table* table = nullptr;
  const Column* time_column = nullptr;
  const Column* partitioning_column = nullptr;  // Of the hash dimension; null = there is none.
  TimeType time_type = TimeType::kTimestamptz;
  int64_t chunk_interval = 0;             // Internal.
  std::optional<int64_t> compress_after;  // Internal.
  // A valid whole btree index led by the time column, of the table itself or else of each of its partitions; null =
  // none.
  const Index* time_index = nullptr;

  TimeColumn time() const { return {table, time_column->name, time_type}; }
  // Into how many chunks the rows of one interval go.
  int chunks_per_interval() const { return partitioning_column == nullptr ? 1 : config->number_partitions; }
};

// kInvalidArgument, one line that names file place and remedy: no such table or column (with the nearest name), a type
// that can't be a time dimension or has no hash, an interval that doesn't fit the type, a generated column as
// dimension, a compression column that isn't there.
absl::StatusOr<HypertableSpec> ResolveHypertable(const HypertableConfig& config, const Catalog& catalog);

// Constraints of the table that a hypertable can't have: unique, primary or exclusion keys without the time column or
// the partitioning column, CHECK … NO INHERIT; and foreign keys elsewhere that refer to such a key, or from one
// hypertable to another.
struct IncompatibleConstraint {
  const Constraint* constraint = nullptr;
  std::string reason;
};
std::vector<IncompatibleConstraint> FindIncompatibleConstraints(const std::vector<HypertableSpec>& hypertables,
                                                                const Catalog& catalog);

// Unique indexes (without a constraint) that a hypertable can't have.
struct IncompatibleIndex {
  const Index* index = nullptr;
  std::string missing;  // "its time column 'at'", of what the index must contain.
};
std::vector<IncompatibleIndex> FindIncompatibleIndexes(const HypertableSpec& hypertable, const Catalog& catalog);

// The SQL that pg_dump has for the table, as that of a table without partitions; and for one of its indexes or
// constraints without the ONLY that a hypertable refuses, and that would leave its chunks out.
std::string WithoutPartitions(const std::string& create_table_sql);
std::string WithoutOnly(const std::string& sql);

// The start of the chunk that holds `value`: chunks begin at multiples of the interval.
int64_t ChunkStart(int64_t value, int64_t chunk_interval);

// SQL: create_hypertable with the compression settings; `extension_schema` holds TimescaleDB's functions.
std::vector<std::string> CreateHypertableSql(const HypertableSpec& hypertable, const std::string& extension_schema);
// SQL: the compression policy; empty when the configuration asks for none.
std::string CompressionPolicySql(const HypertableSpec& hypertable, const std::string& extension_schema);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_HYPERTABLE_SPEC_H_
