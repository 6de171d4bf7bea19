// Whether a partitioned table on the source still has the partitions, and these the files, that it had under a
// snapshot.
//
// A snapshot protects rows, not which files they are looked for in: a partition that is detached, truncated or
// rewritten afterwards loses its rows for those who hold an older snapshot, and one that is attached brings rows along.
// New partitions are made every day and do no harm: rows of a table that the snapshot doesn't know can't be seen under
// it.
#ifndef HYPERSHIFT_COMMON_SOURCE_PARTITIONS_H_
#define HYPERSHIFT_COMMON_SOURCE_PARTITIONS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace hypershift {

struct SourcePartition {
  uint32_t oid = 0;
  uint32_t filenode = 0;
};

// Text that differs when they differ. `partitions` are the leaves on all levels, by ascending oid.
std::string PartitionsText(const std::vector<SourcePartition>& partitions);

// A SELECT of the MD5 sum of that text for the partitions that the table has now, which it locks until the transaction
// ends. To be asked under the snapshot: pg_class is then as the snapshot has it, while pg_partition_tree and
// pg_relation_filenode say how things are now (PostgreSQL: their caches follow the latest commit).
std::string SourcePartitionsSql(uint32_t partitioned_table);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_SOURCE_PARTITIONS_H_
