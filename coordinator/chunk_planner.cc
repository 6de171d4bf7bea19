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
// How many groups of chunks are made ahead of the copies that need them.
constexpr int64_t kPrepareAhead = 8;
// A group of chunks is made, filled and compressed by one task each. A chunk takes some ten locks until its transaction
// ends; and a message holds a few hundred tasks, with their SQL.
constexpr size_t kMaxChunksOfGroup = 16;
constexpr int64_t kMaxBytesOfGroup = int64_t{64} << 20;
constexpr size_t kMaxSqlOfGroup = 32 << 10;

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
    Group group;
    for (int64_t start : ChunkOrder()) {
      if (group.starts.empty() || !Joins(start, group)) {
        PlanGroup(group, sequence);
        group = {{}, plan_.compressed && EndOf(start) <= cutoff_, 0};
        sequence += kSequenceStep;
      }
      group.starts.push_back(start);
      group.bytes += BytesOf(start, EndOf(start));
    }
    PlanGroup(group, sequence);
  }

 private:
  // Chunks that follow each other, with no other one between them.
  struct Group {
    std::vector<int64_t> starts;
    bool compressed = false;
    double bytes = 0;
  };

  int64_t EndOf(int64_t start) const { return start + hypertable_.chunk_interval; }
  size_t ChunksPerInterval() const { return static_cast<size_t>(hypertable_.chunks_per_interval()); }

  double BytesOf(int64_t start, int64_t end) const {
    return profile_.ShareOf(start, end, hypertable_.chunk_interval) * static_cast<double>(plan_.estimated_bytes);
  }

  // Small chunks share their transactions: a chunk of a few megabytes is copied in less time than those cost.
  bool Joins(int64_t start, const Group& group) const {
    const int64_t table_bytes = hypertable_.table->total_bytes;
    const auto limit =
        static_cast<double>(std::min({kMaxBytesOfGroup, RangeBytes(in_, table_bytes), ShareOfSlot(in_, table_bytes)}));
    if (group.bytes + BytesOf(start, EndOf(start)) > limit) return false;
    if ((group.starts.size() + 1) * ChunksPerInterval() > kMaxChunksOfGroup) return false;
    if ((group.starts.size() + 1) * SqlSize() > kMaxSqlOfGroup) return false;
    const auto next = std::upper_bound(profile_.chunk_starts.begin(), profile_.chunk_starts.end(), group.starts.back());
    if (next == profile_.chunk_starts.end() || *next != start) return false;
    const bool compressed = plan_.compressed && EndOf(start) <= cutoff_;
    return compressed == group.compressed && PiecesOfChunk(start, compressed) == 1;
  }

  // Roughly, of one copy's SELECT.
  size_t SqlSize() const {
    size_t size = 256;
    for (const Column& column : hypertable_.table->columns) size += column.name.size() + 4;
    return size;
  }

  // By time, so that chunks are complete early. But one that can't be cut and keeps a slot busy for long goes first: at
  // the end the others would have nothing to do beside it.
  std::vector<int64_t> ChunkOrder() const {
    std::vector<int64_t> starts = profile_.chunk_starts;
    const auto too_large = 2 * static_cast<double>(RangeBytes(in_, hypertable_.table->total_bytes));
    std::stable_partition(starts.begin(), starts.end(), [&](int64_t start) {
      const double bytes = BytesOf(start, EndOf(start));
      if (bytes <= too_large) return false;
      const int64_t pieces = PiecesOfChunk(start, plan_.compressed && EndOf(start) <= cutoff_);
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

  void PlanGroup(const Group& group, int64_t sequence) {
    if (group.starts.empty()) return;
    const EffectiveCompression* compression = group.compressed ? &in_.compression.at(hypertable_.table->oid) : nullptr;
    const bool direct = group.compressed && in_.target.direct_compress;
    const BarrierId prepared = builder_->AddBarrier(LoadBarrier(plan_.id));
    const BarrierId copied = builder_->AddBarrier(LoadBarrier(plan_.id));

    PlannedTask prepare = MakePrepare(group, direct);
    prepare.task.barrier = prepared;
    prepare.task.sequence = sequence - kPrepareAhead * kSequenceStep;
    builder_->AddTask(std::move(prepare));

    std::vector<PlannedTask> copies =
        group.starts.size() == 1 ? CopiesOfChunk(group, compression) : std::vector{CopyOfGroup(group, compression)};
    for (PlannedTask& copy : copies) {
      if (direct) {
        AddDirectCompressSettings(in_.target, MaySendSorted(in_.target, hypertable_, *compression),
                                  copy.work.mutable_copy());
      }
      copy.task.gates = {prepared};
      copy.task.barrier = copied;
      copy.task.sequence = ++sequence;
      builder_->AddTask(std::move(copy));
    }
    if (!group.compressed) return;
    PlannedTask compress = MakeCompress(group);
    compress.task.gates = {copied};
    compress.task.barrier = LoadBarrier(plan_.id);
    compress.task.sequence = sequence + 1;
    builder_->AddTask(std::move(compress));
  }

  std::vector<PlannedTask> CopiesOfChunk(const Group& group, const EffectiveCompression* compression) const {
    const int64_t start = group.starts.front();
    const int64_t end = EndOf(start);
    const int64_t pieces = PiecesOfChunk(start, group.compressed);
    std::vector<int64_t> bounds = profile_.Cut(start, end, pieces, hypertable_.time().step());
    bounds.insert(bounds.begin(), start);
    bounds.push_back(end);
    std::vector<PlannedTask> copies;
    for (size_t piece = 0; piece + 1 < bounds.size(); ++piece) {
      copies.push_back(MakeTimeCopy(bounds[piece], bounds[piece + 1], compression));
    }
    return copies;
  }

  // A COPY for each chunk: so the rows of each come in its own order, one chunk after the other.
  PlannedTask CopyOfGroup(const Group& group, const EffectiveCompression* compression) const {
    PlannedTask copy = MakeTimeCopy(group.starts.front(), EndOf(group.starts.back()), compression);
    v1::CopyWork* work = copy.work.mutable_copy();
    work->clear_source_sql();
    for (int64_t start : group.starts) {
      work->add_source_sql(SourceCopySql(*hypertable_.table, ShapeOf(start, EndOf(start), compression)));
    }
    return copy;
  }

  CopyShape ShapeOf(int64_t start, int64_t end, const EffectiveCompression* compression) const {
    const std::string time = QuoteIdentifier(hypertable_.config->time_column_name);
    CopyShape shape;
    shape.where = absl::StrCat(time, " >= ", TimeLiteral(hypertable_.time_type, start), " AND ", time, " < ",
                               TimeLiteral(hypertable_.time_type, end));
    if (compression != nullptr) shape.order_by = CompressionOrderBy(*hypertable_.table, *compression);
    return shape;
  }

  PlannedTask MakeTimeCopy(int64_t start, int64_t end, const EffectiveCompression* compression) const {
    PlannedTask copy = MakeCopy(
        *hypertable_.table, plan_.id, ShapeOf(start, end, compression),
        absl::StrCat(TimeDisplay(hypertable_.time_type, start), " to ", TimeDisplay(hypertable_.time_type, end)));
    copy.task.estimated_bytes = static_cast<int64_t>(BytesOf(start, end));
    SetRewritableFields(hypertable_, copy.work.mutable_copy());
    if (compression != nullptr) {
      AddSetting(copy.work.mutable_copy()->mutable_source_settings(), "work_mem",
                 absl::StrCat(WorkMemKilobytes(), "kB"));
    }
    return copy;
  }

  // Makes the interval's chunks, and compresses them while they are empty when the copies will fill them compressed:
  // only so do they end fully compressed and in order. Idempotent: both calls accept what is already there.
  PlannedTask MakePrepare(const Group& group, bool compress_empty) const {
    PlannedTask planned;
    planned.task.table = plan_.id;
    planned.task.kind = TaskKind::KIND_PREPARE_CHUNK;
    planned.description = DescriptionOf(group);
    v1::StatementWork* work = planned.work.mutable_statements();
    for (int64_t start : group.starts) {
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
    }
    planned.chunks = work->statements_size();
    AddSetting(work->mutable_settings(), "client_min_messages", "error");
    return planned;
  }

  PlannedTask MakeCompress(const Group& group) const {
    PlannedTask planned;
    planned.task.table = plan_.id;
    planned.task.kind = TaskKind::KIND_COMPRESS;
    planned.description = DescriptionOf(group);
    planned.chunks = static_cast<int>(group.starts.size() * ChunksPerInterval());
    v1::CompressWork* work = planned.work.mutable_compress();
    work->set_hypertable_schema(hypertable_.table->name.schema);
    work->set_hypertable_name(hypertable_.table->name.name);
    work->set_range_start(TimeSlice(hypertable_, group.starts.front()).start);
    work->set_range_end(TimeSlice(hypertable_, group.starts.back()).end);
    return planned;
  }

  std::string DescriptionOf(const Group& group) const {
    return absl::StrCat("chunk from ", TimeDisplay(hypertable_.time_type, group.starts.front()),
                        group.starts.size() == 1 ? "" : absl::StrCat(" and ", group.starts.size() - 1, " more"));
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
