// The SQL and the settings of a copy task.
//
// Pure. Every identifier is quoted; values appear only as literals that the planner made itself.
#ifndef HYPERSHIFT_COORDINATOR_COPY_SQL_H_
#define HYPERSHIFT_COORDINATOR_COPY_SQL_H_

#include <set>
#include <string>
#include <vector>

#include "coordinator/catalog.h"
#include "coordinator/target_facts.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

// Columns that are copied: generated ones are left to the target.
std::vector<const Column*> CopiedColumns(const Table& table);
// Binary when every copied column's type allows it.
v1::CopyFormat CopyFormatFor(const Table& table);

struct CopyShape {
  const Table* leaf = nullptr;  // The partition to read; null = the table itself, and if it is partitioned all of it.
  std::string where;            // A condition on the table's rows; empty = all.
  std::string order_by;         // Empty = as they come.
};

// COPY … TO STDOUT on the source; rows of the table itself, never of its children.
std::string SourceCopySql(const Table& table, const CopyShape& shape);
// COPY … FROM STDIN on the target.
std::string TargetCopySql(const Table& table);
// COPY … TO STDOUT on the target, for verification, from the COPY … FROM STDIN that wrote the rows. Through the
// hypertable, so that its chunks are read.
std::string VerifyCopySql(const std::string& target_copy_sql, bool hypertable, const std::string& where);

// "segment", "time" DESC NULLS FIRST: the order in which direct compress wants its rows. Text segments are grouped
// under "C", which any order would do for and which is the cheapest.
std::string CompressionOrderBy(const Table& table, const EffectiveCompression& compression);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_COPY_SQL_H_
