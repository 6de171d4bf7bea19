#include "coordinator/block_planner.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/copy_planning.h"
#include "coordinator/direct_compress.h"
#include "coordinator/table_ranges.h"

namespace hypershift {

// Rows come in physical order, so a range touches any chunk: compressed unsorted where that works, and every chunk
// once more when all ranges are in.
void PlanBlocks(const PlannerInput& input, const HypertableSpec& hypertable, const TablePlan& plan,
                PlanBuilder* builder) {
  const bool direct = plan.compressed && input.target.direct_compress && !hypertable.compress_after.has_value();
  const BarrierId copied = builder->AddBarrier(LoadBarrier(plan.id));
  int64_t sequence = 0;
  const auto plan_blocks = [&](const Table& table, const Table* leaf) {
    const Ranges ranges = RangesOf(input, table);
    for (const auto& [where, description] : ranges) {
      PlannedTask copy =
          MakeCopy(*hypertable.table, plan.id, {leaf, where, ""},
                   leaf == nullptr ? description : absl::StrCat(leaf->name.Display(), ": ", description));
      SetRewritableFields(hypertable, copy.work.mutable_copy());
      if (direct) AddDirectCompressSettings(input.target, false, copy.work.mutable_copy());
      copy.task.barrier = copied;
      copy.task.sequence = ++sequence * kSequenceStep;
      copy.task.estimated_bytes = table.total_bytes / static_cast<int64_t>(ranges.size());
      builder->AddTask(std::move(copy));
    }
  };
  if (hypertable.table->kind == 'p') {
    for (Oid leaf : hypertable.table->leaves)
      plan_blocks(input.catalog.tables.at(leaf), &input.catalog.tables.at(leaf));
  } else {
    plan_blocks(*hypertable.table, nullptr);
  }
  if (!plan.compressed) return;
  PlannedTask compress;
  compress.task.table = plan.id;
  compress.task.kind = TaskKind::KIND_COMPRESS;
  compress.description = "every chunk that is old enough";
  v1::CompressWork* work = compress.work.mutable_compress();
  work->set_hypertable_schema(hypertable.table->name.schema);
  work->set_hypertable_name(hypertable.table->name.name);
  work->set_range_start(INT64_MIN);
  work->set_range_end(
      CompressionCutoff(hypertable, input.profiles.at(hypertable.table->oid), input.source_now_microseconds));
  compress.task.gates = {copied};
  compress.task.barrier = LoadBarrier(plan.id);
  compress.task.sequence = (sequence + 1) * kSequenceStep;
  builder->AddTask(std::move(compress));
}

}  // namespace hypershift
