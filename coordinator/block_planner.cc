#include "coordinator/block_planner.h"

#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/block_order.h"
#include "coordinator/chunk_slices.h"
#include "coordinator/copy_planning.h"
#include "coordinator/direct_compress.h"
#include "coordinator/table_ranges.h"

namespace hypershift {
namespace {

// Rows come in physical order, so a range may touch any chunk: compressed unsorted where that works, and every chunk
// once more when all ranges are in. Where the physical order is that of time, most chunks are complete before; they are
// compressed as soon as the ranges are in that a sample expects in them. A row that it missed makes a compressed chunk
// partial or unordered, and the last pass mends that.
class BlockPlanner {
 public:
  BlockPlanner(const PlannerInput& input, const HypertableSpec& hypertable, const TablePlan& plan, PlanBuilder* builder)
      : in_(input),
        hypertable_(hypertable),
        plan_(plan),
        builder_(builder),
        profile_(input.profiles.at(hypertable_.table->oid)),
        cutoff_(CompressionCutoff(hypertable, profile_, input.source_now_microseconds)) {}

  void Plan() {
    FindRanges();
    const RangesOfChunks early = plan_.compressed ? EarlyChunks() : RangesOfChunks();
    const BarrierId copied = builder_->AddBarrier(LoadBarrier(plan_.id));
    std::vector<BarrierId> range_copied;
    for (const CutTable& cut : tables_) {
      for (const TableRange& range : cut.ranges) {
        PlannedTask copy = MakeBlockCopy(cut, range);
        copy.task.barrier = early.empty() ? copied : builder_->AddBarrier(copied);
        range_copied.push_back(copy.task.barrier);
        copy.task.sequence = static_cast<int64_t>(range_copied.size()) * kSequenceStep;
        builder_->AddTask(std::move(copy));
      }
    }
    if (!plan_.compressed) return;
    for (const auto& [start, ranges] : early) {
      PlannedTask compress = MakeCompress(start);
      for (const int range : ranges) compress.task.gates.push_back(range_copied[static_cast<size_t>(range)]);
      compress.task.barrier = copied;
      // Before the copies that follow its last one.
      compress.task.sequence = (*ranges.rbegin() + 1) * kSequenceStep + 1;
      builder_->AddTask(std::move(compress));
    }
    PlannedTask compress = MakeCompress(std::nullopt);
    compress.task.gates = {copied};
    compress.task.barrier = LoadBarrier(plan_.id);
    compress.task.sequence = static_cast<int64_t>(range_copied.size() + 1) * kSequenceStep;
    builder_->AddTask(std::move(compress));
  }

 private:
  struct CutTable {
    const Table* table;
    bool is_leaf;
    Ranges ranges;
  };

  void FindRanges() {
    if (hypertable_.table->kind == 'p') {
      for (const Oid oid : hypertable_.table->leaves) {
        const Table& leaf = in_.catalog.tables.at(oid);
        tables_.push_back({&leaf, true, RangesOf(in_, leaf)});
      }
    } else {
      tables_.push_back({hypertable_.table, false, RangesOf(in_, *hypertable_.table)});
    }
  }

  // Those that are old enough.
  RangesOfChunks EarlyChunks() const {
    if (profile_.block_samples.empty()) return {};
    BlockOrder order(hypertable_.chunk_interval);
    for (const CutTable& cut : tables_) {
      std::vector<int64_t> first_blocks;
      for (const TableRange& range : cut.ranges) first_blocks.push_back(range.first_block);
      const auto samples = profile_.block_samples.find(cut.table->oid);
      order.Add(first_blocks, samples == profile_.block_samples.end() ? std::vector<BlockSample>() : samples->second);
    }
    RangesOfChunks chunks = order.EarlyChunks();
    for (auto chunk = chunks.begin(); chunk != chunks.end();) {
      chunk = chunk->first + hypertable_.chunk_interval <= cutoff_ ? std::next(chunk) : chunks.erase(chunk);
    }
    return chunks;
  }

  PlannedTask MakeBlockCopy(const CutTable& cut, const TableRange& range) const {
    const std::string place = cut.is_leaf ? absl::StrCat(cut.table->name.Display(), ": ") : "";
    PlannedTask copy = MakeCopy(*hypertable_.table, plan_.id, {cut.is_leaf ? cut.table : nullptr, range.where, ""},
                                absl::StrCat(place, range.description));
    SetRewritableFields(hypertable_, copy.work.mutable_copy());
    if (plan_.compressed && in_.target.direct_compress && !hypertable_.compress_after.has_value()) {
      AddDirectCompressSettings(in_.target, false, copy.work.mutable_copy());
    }
    copy.task.estimated_bytes = cut.table->total_bytes / static_cast<int64_t>(cut.ranges.size());
    return copy;
  }

  // Of the chunk that begins there, or of every chunk that is old enough.
  PlannedTask MakeCompress(std::optional<int64_t> start) const {
    PlannedTask compress;
    compress.task.table = plan_.id;
    compress.task.kind = TaskKind::KIND_COMPRESS;
    compress.description = start.has_value() ? absl::StrCat("chunk from ", TimeDisplay(hypertable_.time_type, *start))
                                             : "every chunk that is old enough";
    v1::CompressWork* work = compress.work.mutable_compress();
    work->set_hypertable_schema(hypertable_.table->name.schema);
    work->set_hypertable_name(hypertable_.table->name.name);
    const Slice span = start.has_value() ? TimeSlice(hypertable_, *start) : Slice{INT64_MIN, cutoff_};
    work->set_range_start(span.start);
    work->set_range_end(span.end);
    compress.chunks = start.has_value() ? hypertable_.chunks_per_interval() : 0;
    return compress;
  }

  const PlannerInput& in_;
  const HypertableSpec& hypertable_;
  const TablePlan& plan_;
  PlanBuilder* builder_;
  const TimeProfile& profile_;
  const int64_t cutoff_;
  std::vector<CutTable> tables_;
};

}  // namespace

void PlanBlocks(const PlannerInput& input, const HypertableSpec& hypertable, const TablePlan& plan,
                PlanBuilder* builder) {
  BlockPlanner(input, hypertable, plan, builder).Plan();
}

}  // namespace hypershift
