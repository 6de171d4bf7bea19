#include "common/source_partitions.h"

#include "absl/strings/str_cat.h"

namespace hypershift {

std::string PartitionsText(const std::vector<SourcePartition>& partitions) {
  std::string text;
  for (const SourcePartition& partition : partitions) {
    absl::StrAppend(&text, text.empty() ? "" : ",", partition.oid, ":", partition.filenode);
  }
  return text;
}

std::string SourcePartitionsSql(uint32_t partitioned_table) {
  return absl::StrCat(
      "SELECT pg_catalog.md5(coalesce(pg_catalog.string_agg(p.relid::pg_catalog.oid::pg_catalog.text || ':' || "
      "coalesce(pg_catalog.pg_relation_filenode(p.relid), 0)::pg_catalog.text, ',' ORDER BY p.relid::pg_catalog.oid), "
      "'')) FROM pg_catalog.pg_partition_tree(",
      partitioned_table, ") p WHERE p.isleaf AND EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid = p.relid)");
}

}  // namespace hypershift
