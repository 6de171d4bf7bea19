// What a plan says of each table, counted from the very tasks that would run.
//
// Pure.
#ifndef HYPERSHIFT_COORDINATOR_PLAN_OUTLINE_H_
#define HYPERSHIFT_COORDINATOR_PLAN_OUTLINE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/planner.h"

namespace hypershift {

// Columns with their types, "p (pair)".
using ColumnNames = std::vector<std::string>;

struct HypertableOutline {
  std::string time_column;
  std::string chunk_interval;  // As configured, "7d".
  // Of the hash dimension; empty and 0 = there is none.
  std::string partitioning_column;
  int number_partitions = 0;
  bool time_index = false;
  // Without a time index nobody knows them before the copy: unset.
  std::optional<int64_t> chunks;
  bool compress = false;
  std::string compress_after;  // As configured; empty = all chunks.
  // Of the chunks: compressed while their rows arrive, from the row store behind their copy, or not at all.
  int64_t chunks_compressed_directly = 0;
  int64_t chunks_compressed_afterwards = 0;
  int64_t chunks_uncompressed = 0;
  // Without a time index: those that are expected to be complete, and are compressed, while the copy goes on.
  int64_t chunks_compressed_early = 0;
  bool direct = false;  // Rows are compressed while they arrive.
  bool sorted = false;  // And are sorted by the source, so that this is final.
  std::vector<std::string> segmentby;
  std::vector<std::string> orderby;  // "time DESC", as SQL has it.
  // The last of these is TimescaleDB's expected own addition.
  bool orderby_assumed = false;
  ColumnNames rewritable_columns;
};

struct TableOutline {
  QualifiedName name;
  SplitMethod method = SplitMethod::kNone;
  std::string not_copied;  // Why; empty = copied.
  int64_t ranges = 0;
  std::optional<int64_t> estimated_rows;  // Unset: the table has rows, but no statistics.
  int64_t estimated_bytes = 0;
  v1::CopyFormat format = v1::COPY_FORMAT_BINARY;
  ColumnNames text_columns;  // For whose sake the format is text.
  std::optional<HypertableOutline> hypertable;
};

struct PlanOutline {
  std::vector<TableOutline> tables;         // In the order of their names.
  std::map<TaskKind::Kind, int64_t> tasks;  // How many of each kind there are.
};

PlanOutline OutlinePlan(const PlannerInput& input, const Plan& plan);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_PLAN_OUTLINE_H_
