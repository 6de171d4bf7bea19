#include "coordinator/chunk_planner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "coordinator/chunk_slices.h"
#include "coordinator/copy_planning.h"
#include "coordinator/direct_compress.h"
#include "coordinator/table_ranges.h"

namespace hypershift {
namespace {

// A cut chunk compresses worse when a sub-range has fewer rows per segment than one compressed batch.
constexpr double kRowsPerSegment = 1000;
// How many chunks are made ahead of the copies that need them.
constexpr int64_t kPrepareAhead = 8;

class ChunkPlanner {
 public:
  ChunkPlanner(const PlannerInput& input, const HypertableSpec& hypertable, const TablePlan& plan, PlanBuilder* builder)
      : in_(input),
        hypertable_(hypertable),
        plan_(plan),
        builder_(builder),
        profile_(input.profiles.at(hypertable_.table->oid)),
        cutoff_(CompressionCutoff(hypertable, profile_, input.source_now_microseconds)) {}

  void Plan() {
    int64_t sequence = 0;
    for (int64_t start : ChunkOrder()) {
      sequence += kSequenceStep;
      const int64_t end = start + hypertable_.chunk_interval;
      const bool compressed = plan_.compressed && end <= cutoff_;
      PlanChunk(start, compressed, sequence);
    }
  }

 private:
  // By time, so that chunks are complete early. But one that can't be cut and keeps a slot busy for long goes first: at
  // the end the others would have nothing to do beside it.
  std::vector<int64_t> ChunkOrder() const {
    std::vector<int64_t> starts = profile_.chunk_starts;
    const auto too_large = 2 * static_cast<double>(RangeBytes(in_, hypertable_.table->total_bytes));
    std::stable_partition(starts.begin(), starts.end(), [&](int64_t start) {
      const int64_t end = start + hypertable_.chunk_interval;
      const double bytes =
          profile_.ShareOf(start, end, hypertable_.chunk_interval) * static_cast<double>(plan_.estimated_bytes);
      if (bytes <= too_large) return false;
      const int64_t pieces = PiecesOfChunk(start, plan_.compressed && end <= cutoff_);
      return bytes / static_cast<double>(pieces) > too_large;
    });
    return starts;
  }

  // Into how many pieces one chunk is cut.
  int64_t PiecesOf(const EffectiveCompression* compression, double rows, double bytes) const {
    const auto range_bytes = static_cast<double>(RangeBytes(in_, hypertable_.table->total_bytes));
    int64_t pieces = static_cast<int64_t>(std::ceil(bytes / range_bytes));
    if (compression != nullptr) {
      // Disjoint pieces keep the order of a segment only if the segment is ordered by time first.
      if (compression->orderby.empty() || compression->orderby.front().column != hypertable_.config->time_column_name)
        return 1;
      double segments = 1;
      for (const std::string& name : compression->segmentby) {
        const Column* column = hypertable_.table->FindColumn(name);
        segments *= column != nullptr && column->distinct >= 1 ? column->distinct : 1;
      }
      segments *= ChunksPerSegment(hypertable_, compression->segmentby);
      pieces = std::min(pieces, static_cast<int64_t>(rows / (kRowsPerSegment * segments)));
    }
    return std::clamp<int64_t>(pieces, 1, std::min<int64_t>(hypertable_.chunk_interval, 1000));
  }

  int64_t PiecesOfChunk(int64_t start, bool compressed) const {
    const EffectiveCompression* compression = compressed ? &in_.compression.at(hypertable_.table->oid) : nullptr;
    // Unsorted rows of one chunk in several transactions would be compressed in several orders: one piece.
    if (compressed && in_.target.direct_compress && !MaySendSorted(in_.target, hypertable_, *compression)) return 1;
    const double share = profile_.ShareOf(start, start + hypertable_.chunk_interval, hypertable_.chunk_interval);
    return PiecesOf(compression, share * static_cast<double>(plan_.estimated_rows),
                    share * static_cast<double>(plan_.estimated_bytes));
  }

  void PlanChunk(int64_t start, bool compressed, int64_t sequence) {
    const EffectiveCompression* compression = compressed ? &in_.compression.at(hypertable_.table->oid) : nullptr;
    const bool direct = compressed && in_.target.direct_compress;
    const bool sorted = direct && MaySendSorted(in_.target, hypertable_, *compression);
    const BarrierId prepared = builder_->AddBarrier(LoadBarrier(plan_.id));
    const BarrierId copied = builder_->AddBarrier(LoadBarrier(plan_.id));

    PlannedTask prepare = MakePrepare(start, direct);
    prepare.task.barrier = prepared;
    prepare.task.sequence = sequence - kPrepareAhead * kSequenceStep;
    builder_->AddTask(std::move(prepare));

    const int64_t pieces = PiecesOfChunk(start, compressed);
    const int64_t end = start + hypertable_.chunk_interval;
    std::vector<int64_t> bounds = profile_.Cut(start, end, pieces, hypertable_.time().step());
    bounds.insert(bounds.begin(), start);
    bounds.push_back(end);
    for (size_t piece = 0; piece + 1 < bounds.size(); ++piece) {
      PlannedTask copy = MakeTimeCopy(bounds[piece], bounds[piece + 1], compression);
      if (direct) AddDirectCompressSettings(in_.target, sorted, copy.work.mutable_copy());
      copy.task.gates = {prepared};
      copy.task.barrier = copied;
      copy.task.sequence = sequence + 1 + std::min<int64_t>(static_cast<int64_t>(piece), kSequenceStep / 2);
      copy.task.estimated_bytes =
          static_cast<int64_t>(profile_.ShareOf(bounds[piece], bounds[piece + 1], hypertable_.chunk_interval) *
                               static_cast<double>(plan_.estimated_bytes));
      builder_->AddTask(std::move(copy));
    }
    if (!compressed) return;
    PlannedTask compress = MakeCompress(start);
    compress.task.gates = {copied};
    compress.task.barrier = LoadBarrier(plan_.id);
    compress.task.sequence = sequence + kSequenceStep - 1;
    builder_->AddTask(std::move(compress));
  }

  PlannedTask MakeTimeCopy(int64_t start, int64_t end, const EffectiveCompression* compression) const {
    const std::string time = QuoteIdentifier(hypertable_.config->time_column_name);
    CopyShape shape;
    shape.where = absl::StrCat(time, " >= ", TimeLiteral(hypertable_.time_type, start), " AND ", time, " < ",
                               TimeLiteral(hypertable_.time_type, end));
    if (compression != nullptr) shape.order_by = CompressionOrderBy(*hypertable_.table, *compression);
    PlannedTask copy = MakeCopy(
        *hypertable_.table, plan_.id, shape,
        absl::StrCat(TimeDisplay(hypertable_.time_type, start), " to ", TimeDisplay(hypertable_.time_type, end)));
    SetRewritableFields(hypertable_, copy.work.mutable_copy());
    if (compression != nullptr) {
      AddSetting(copy.work.mutable_copy()->mutable_source_settings(), "work_mem",
                 absl::StrCat(WorkMemKilobytes(), "kB"));
    }
    return copy;
  }

  // Makes the interval's chunks, and compresses them while they are empty when the copies will fill them compressed:
  // only so do they end fully compressed and in order. Idempotent: both calls accept what is already there.
  PlannedTask MakePrepare(int64_t start, bool compress_empty) const {
    PlannedTask planned;
    planned.task.table = plan_.id;
    planned.task.kind = TaskKind::KIND_PREPARE_CHUNK;
    planned.description = absl::StrCat("chunk from ", TimeDisplay(hypertable_.time_type, start));
    v1::StatementWork* work = planned.work.mutable_statements();
    for (const std::string& slices : ChunkSlices(hypertable_, start)) {
      const std::string create =
          absl::StrCat(FunctionsSchema(), ".create_chunk(", QuoteLiteral(hypertable_.table->name.Quoted()),
                       "::regclass, ", QuoteLiteral(slices), "::jsonb)");
      if (compress_empty) {
        work->add_statements(absl::StrCat(
            "SELECT ", QuoteIdentifier(in_.target.timescaledb_schema),
            ".compress_chunk(format('%I.%I', c.schema_name, c.table_name)::regclass, true) FROM ", create, " c"));
      } else {
        work->add_statements(absl::StrCat("SELECT chunk_id FROM ", create));
      }
    }
    AddSetting(work->mutable_settings(), "client_min_messages", "error");
    return planned;
  }

  PlannedTask MakeCompress(int64_t start) const {
    PlannedTask planned;
    planned.task.table = plan_.id;
    planned.task.kind = TaskKind::KIND_COMPRESS;
    planned.description = absl::StrCat("chunk from ", TimeDisplay(hypertable_.time_type, start));
    v1::CompressWork* work = planned.work.mutable_compress();
    work->set_hypertable_schema(hypertable_.table->name.schema);
    work->set_hypertable_name(hypertable_.table->name.name);
    work->set_range_start(start);
    work->set_range_end(start + hypertable_.chunk_interval);
    return planned;
  }

  // TimescaleDB moved its functions there in 2.12.
  std::string FunctionsSchema() const {
    constexpr int kFunctionsSchemaRelease = 2012;
    return in_.target.timescaledb_release() >= kFunctionsSchemaRelease ? "_timescaledb_functions"
                                                                       : "_timescaledb_internal";
  }

  int64_t WorkMemKilobytes() const {
    return std::max<int64_t>(4096, in_.sort_budget_bytes / 1024 / std::max(1, in_.config.parallel));
  }

  const PlannerInput& in_;
  const HypertableSpec& hypertable_;
  const TablePlan& plan_;
  PlanBuilder* builder_;
  const TimeProfile& profile_;
  const int64_t cutoff_;
};

}  // namespace

void PlanChunks(const PlannerInput& input, const HypertableSpec& hypertable, const TablePlan& plan,
                PlanBuilder* builder) {
  ChunkPlanner(input, hypertable, plan, builder).Plan();
}

}  // namespace hypershift
