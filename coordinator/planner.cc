#include "coordinator/planner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "coordinator/copy_sql.h"
#include "coordinator/finishing_planner.h"
#include "coordinator/preflight.h"
#include "coordinator/split_key.h"

namespace hypershift {
namespace {

constexpr int64_t kBlockBytes = 8192;
constexpr int64_t kMebibyte = int64_t{1} << 20;
// A cut chunk compresses worse when a sub-range has fewer rows per segment than one compressed batch.
constexpr double kRowsPerSegment = 1000;
constexpr char kForeignRows[] = "a foreign table: its rows stay where they are";
// Ranges are to be no larger than this part of what each slot has to do of the table, so that all slots end at about
// the same time; but not smaller than is worth a transaction.
constexpr int64_t kRangesPerSlot = 4;
constexpr int64_t kSmallestRangeBytes = 16 * kMebibyte;
// How many chunks are made ahead of the copies that need them.
constexpr int64_t kPrepareAhead = 8;
constexpr int64_t kSequenceStep = 1000;

// TimescaleDB 2.28 fixed wrong order with NULLs in order-by columns.
constexpr int kNullOrderFixedRelease = 2028;

class LoadPlanner {
 public:
  LoadPlanner(const PlannerInput& input, PlanBuilder* builder) : in_(input), builder_(builder) {}

  void PlanOrdinary(const Table& table, int id) {
    TablePlan plan = Describe(table, id);
    if (table.kind == 'f') plan.not_copied = kForeignRows;
    if (table.kind == 'p') plan.not_copied = "a partitioned table: its partitions are copied";
    if (!plan.not_copied.empty()) {
      plan.method = SplitMethod::kNone;
      plan.estimated_bytes = plan.estimated_rows = 0;
      builder_->plan.tables.push_back(std::move(plan));
      return;
    }
    const Ranges ranges = RangesOf(table);
    const SplitMethod method = in_.keys.count(table.oid) > 0 ? SplitMethod::kKey : SplitMethod::kCtid;
    plan.method = ranges.size() > 1 ? method : SplitMethod::kWhole;
    int64_t sequence = 0;
    for (const auto& [where, description] : ranges) {
      PlannedTask copy = MakeCopy(table, id, {nullptr, where, ""}, description);
      copy.task.barrier = LoadBarrier(id);
      copy.task.sequence = ++sequence * kSequenceStep;
      copy.task.estimated_bytes = plan.estimated_bytes / static_cast<int64_t>(ranges.size());
      builder_->AddTask(std::move(copy));
    }
    builder_->plan.tables.push_back(std::move(plan));
  }

  void PlanHypertable(const HypertableSpec& hypertable, int id) {
    TablePlan plan = Describe(*hypertable.table, id);
    plan.hypertable = true;
    plan.compressed = hypertable.config->compress.has_value();
    for (const Column* column : RewritableColumns(hypertable)) plan.rewritable_columns.push_back(column->name);
    if (hypertable.time_index != nullptr) {
      plan.method = SplitMethod::kTime;
      PlanChunks(hypertable, id, plan);
    } else {
      plan.method = SplitMethod::kCtid;
      PlanWithoutTimeIndex(hypertable, id, plan);
    }
    builder_->plan.tables.push_back(std::move(plan));
  }

 private:
  TablePlan Describe(const Table& table, int id) const {
    TablePlan plan;
    plan.id = id;
    plan.name = table.name;
    plan.source_oid = table.oid;
    plan.format = CopyFormatFor(table);
    plan.estimated_rows = static_cast<int64_t>(table.rows);
    plan.estimated_bytes = table.total_bytes;
    plan.source_writes = table.writes;
    plan.priority = PriorityOf(table);
    return plan;
  }

  // Its own, or that of the nearest partitioned table above it.
  int PriorityOf(const Table& table) const {
    const auto found = in_.config.table_priorities.find(table.name);
    if (found != in_.config.table_priorities.end()) return found->second;
    const auto parent = in_.catalog.tables.find(table.parent);
    return table.is_partition && parent != in_.catalog.tables.end() ? PriorityOf(parent->second) : 0;
  }

  // What one range of a table of that size aims at.
  int64_t RangeBytes(int64_t table_bytes) const {
    if (table_bytes < in_.config.parallel_min_table_size_mib * kMebibyte) return in_.target_task_bytes;
    const int64_t for_slots = table_bytes / (kRangesPerSlot * std::max(1, in_.config.parallel));
    return std::min(in_.target_task_bytes, std::max(for_slots, kSmallestRangeBytes));
  }

  // (condition, description) of each range.
  using Ranges = std::vector<std::pair<std::string, std::string>>;

  // One range without a condition when the table is not split.
  Ranges RangesOf(const Table& table) const {
    if (!IsWorthCutting(table, in_.config)) return {{"", "whole table"}};
    const int64_t range_bytes = RangeBytes(table.total_bytes);
    const int64_t count = (table.total_bytes + range_bytes - 1) / range_bytes;
    const auto key = in_.keys.find(table.oid);
    if (key != in_.keys.end()) return KeyRanges(key->second, count);
    return ScansCtidRanges(in_.catalog) ? CtidRanges(table, count) : Ranges{{"", "whole table"}};
  }

  // A key is never NULL. The first and the last range are open-ended: no value lies outside, infinities neither.
  static Ranges KeyRanges(const KeyProfile& key, int64_t count) {
    const TimeColumn& column = key.column;
    const std::vector<int64_t> cuts =
        key.profile.empty ? std::vector<int64_t>()
                          : key.profile.Cut(key.profile.minimum, key.profile.maximum, count, column.step());
    if (cuts.empty()) return {{"", "whole table"}};
    const std::string name = QuoteIdentifier(column.name);
    Ranges ranges;
    for (size_t i = 0; i <= cuts.size(); ++i) {
      const bool first = i == 0;
      const bool last = i == cuts.size();
      const std::string from = first ? "" : absl::StrCat(name, " >= ", TimeLiteral(column.type, cuts[i - 1]));
      const std::string to = last ? "" : absl::StrCat(name, " < ", TimeLiteral(column.type, cuts[i]));
      ranges.emplace_back(absl::StrCat(from, first || last ? "" : " AND ", to),
                          absl::StrCat(column.name, " ", first ? "start" : TimeDisplay(column.type, cuts[i - 1]),
                                       " to ", last ? "end" : TimeDisplay(column.type, cuts[i])));
    }
    return ranges;
  }

  // The last one is open-ended, so the ranges cover the table whatever its size has become.
  static Ranges CtidRanges(const Table& table, int64_t wanted) {
    const int64_t blocks = table.heap_bytes / kBlockBytes;
    if (blocks < 2) return {{"", "whole table"}};
    const int64_t count = std::clamp<int64_t>(wanted, 1, blocks);
    Ranges ranges;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t begin = blocks * i / count;
      const int64_t end = blocks * (i + 1) / count;
      std::string where = absl::StrCat("ctid >= '(", begin, ",0)'::tid");
      if (i + 1 < count) absl::StrAppend(&where, " AND ctid < '(", end, ",0)'::tid");
      ranges.emplace_back(where, absl::StrCat("blocks ", begin, " to ", i + 1 < count ? absl::StrCat(end) : "end"));
    }
    return ranges;
  }

  PlannedTask MakeCopy(const Table& table, int id, const CopyShape& shape, const std::string& description) const {
    PlannedTask planned;
    planned.task.table = id;
    planned.task.kind = TaskKind::KIND_COPY;
    // Every leaf has the same blocks.
    planned.task.range_key =
        shape.leaf == nullptr ? shape.where : absl::StrCat(shape.leaf->name.Quoted(), " ", shape.where);
    planned.description = description;
    v1::CopyWork* copy = planned.work.mutable_copy();
    copy->set_source_sql(SourceCopySql(table, shape));
    copy->set_target_sql(TargetCopySql(table));
    copy->set_format(CopyFormatFor(table));
    const Table& read = shape.leaf != nullptr ? *shape.leaf : table;
    copy->set_source_oid(read.oid);
    copy->set_source_filenode(read.filenode);
    copy->set_source_partitions(read.source_partitions);
    copy->set_field_count(static_cast<int>(CopiedColumns(table).size()));
    return planned;
  }

  void SetRewritableFields(const HypertableSpec& hypertable, v1::CopyWork* copy) const {
    const std::vector<const Column*> rewritable = RewritableColumns(hypertable);
    const std::vector<const Column*> copied = CopiedColumns(*hypertable.table);
    for (size_t i = 0; i < copied.size(); ++i) {
      if (std::find(rewritable.begin(), rewritable.end(), copied[i]) != rewritable.end()) {
        copy->add_rewritable_fields(static_cast<int>(i));
      }
    }
  }

  static void AddSetting(google::protobuf::RepeatedPtrField<v1::Setting>* settings, const std::string& name,
                         const std::string& value) {
    v1::Setting* setting = settings->Add();
    setting->set_name(name);
    setting->set_value(value);
  }

  // Whether rows may be sent as sorted. In every other case ORDER BY could silently be wrong afterwards.
  bool MaySendSorted(const HypertableSpec& hypertable, const EffectiveCompression& compression) const {
    if (!in_.target.client_sorted) return false;
    for (const EffectiveOrderBy& order : compression.orderby) {
      const Column* column = hypertable.table->FindColumn(order.column);
      if (column == nullptr) return false;
      // The source sorts by bytes; the target orders a segment as the column is collated.
      const std::string& collation = column->collation == "default" ? in_.target.collation : column->collation;
      if (!collation.empty() && collation != "C" && collation != "POSIX") return false;
      const bool is_time = order.column == hypertable.config->time_column_name;
      if (!column->not_null && !is_time && in_.target.timescaledb_release() < kNullOrderFixedRelease) return false;
    }
    return !compression.orderby.empty();
  }

  void AddDirectCompressSettings(v1::CopyWork* copy, bool sorted) const {
    AddSetting(copy->mutable_target_settings(), "timescaledb.enable_direct_compress_copy", "on");
    if (sorted)
      AddSetting(copy->mutable_target_settings(), "timescaledb.enable_direct_compress_copy_client_sorted", "on");
    if (in_.target.compressor_batch_limit) {
      AddSetting(copy->mutable_target_settings(), "timescaledb.enable_compressor_batch_limit", "on");
    }
  }

  int64_t WorkMemKilobytes() const {
    return std::max<int64_t>(4096, in_.sort_budget_bytes / 1024 / std::max(1, in_.config.parallel));
  }

  // Into how many pieces one chunk is cut.
  int64_t PiecesOf(const HypertableSpec& hypertable, const EffectiveCompression* compression, double rows,
                   double bytes) const {
    const auto range_bytes = static_cast<double>(RangeBytes(hypertable.table->total_bytes));
    int64_t pieces = static_cast<int64_t>(std::ceil(bytes / range_bytes));
    if (compression != nullptr) {
      // Disjoint pieces keep the order of a segment only if the segment is ordered by time first.
      if (compression->orderby.empty() || compression->orderby.front().column != hypertable.config->time_column_name)
        return 1;
      double segments = 1;
      for (const std::string& name : compression->segmentby) {
        const Column* column = hypertable.table->FindColumn(name);
        segments *= column != nullptr && column->distinct >= 1 ? column->distinct : 1;
      }
      pieces = std::min(pieces, static_cast<int64_t>(rows / (kRowsPerSegment * segments)));
    }
    return std::clamp<int64_t>(pieces, 1, std::min<int64_t>(hypertable.chunk_interval, 1000));
  }

  void PlanChunks(const HypertableSpec& hypertable, int id, const TablePlan& plan) {
    const TimeProfile& profile = in_.profiles.at(hypertable.table->oid);
    const int64_t cutoff = CompressionCutoff(hypertable, profile, in_.source_now_microseconds);
    int64_t sequence = 0;
    for (int64_t start : ChunkOrder(hypertable, plan, profile, cutoff)) {
      sequence += kSequenceStep;
      const int64_t end = start + hypertable.chunk_interval;
      const bool compressed = plan.compressed && end <= cutoff;
      PlanChunk(hypertable, id, plan, profile, start, compressed, sequence);
    }
  }

  // By time, so that chunks are complete early. But one that can't be cut and keeps a slot busy for long goes first: at
  // the end the others would have nothing to do beside it.
  std::vector<int64_t> ChunkOrder(const HypertableSpec& hypertable, const TablePlan& plan, const TimeProfile& profile,
                                  int64_t cutoff) const {
    std::vector<int64_t> starts = profile.chunk_starts;
    const auto too_large = 2 * static_cast<double>(RangeBytes(hypertable.table->total_bytes));
    std::stable_partition(starts.begin(), starts.end(), [&](int64_t start) {
      const int64_t end = start + hypertable.chunk_interval;
      const double bytes =
          profile.ShareOf(start, end, hypertable.chunk_interval) * static_cast<double>(plan.estimated_bytes);
      if (bytes <= too_large) return false;
      const int64_t pieces = PiecesOfChunk(hypertable, plan, profile, start, plan.compressed && end <= cutoff);
      return bytes / static_cast<double>(pieces) > too_large;
    });
    return starts;
  }

  int64_t PiecesOfChunk(const HypertableSpec& hypertable, const TablePlan& plan, const TimeProfile& profile,
                        int64_t start, bool compressed) const {
    const EffectiveCompression* compression = compressed ? &in_.compression.at(hypertable.table->oid) : nullptr;
    // Unsorted rows of one chunk in several transactions would be compressed in several orders: one piece.
    if (compressed && in_.target.direct_compress && !MaySendSorted(hypertable, *compression)) return 1;
    const double share = profile.ShareOf(start, start + hypertable.chunk_interval, hypertable.chunk_interval);
    return PiecesOf(hypertable, compression, share * static_cast<double>(plan.estimated_rows),
                    share * static_cast<double>(plan.estimated_bytes));
  }

  void PlanChunk(const HypertableSpec& hypertable, int id, const TablePlan& plan, const TimeProfile& profile,
                 int64_t start, bool compressed, int64_t sequence) {
    const EffectiveCompression* compression = compressed ? &in_.compression.at(hypertable.table->oid) : nullptr;
    const bool direct = compressed && in_.target.direct_compress;
    const bool sorted = direct && MaySendSorted(hypertable, *compression);
    const BarrierId prepared = builder_->AddBarrier(LoadBarrier(id));
    const BarrierId copied = builder_->AddBarrier(LoadBarrier(id));

    PlannedTask prepare = MakePrepare(hypertable, id, start, direct);
    prepare.task.barrier = prepared;
    prepare.task.sequence = sequence - kPrepareAhead * kSequenceStep;
    builder_->AddTask(std::move(prepare));

    const int64_t pieces = PiecesOfChunk(hypertable, plan, profile, start, compressed);
    const int64_t end = start + hypertable.chunk_interval;
    std::vector<int64_t> bounds = profile.Cut(start, end, pieces, hypertable.time().step());
    bounds.insert(bounds.begin(), start);
    bounds.push_back(end);
    for (size_t piece = 0; piece + 1 < bounds.size(); ++piece) {
      PlannedTask copy = MakeTimeCopy(hypertable, id, bounds[piece], bounds[piece + 1], compression);
      if (direct) AddDirectCompressSettings(copy.work.mutable_copy(), sorted);
      copy.task.gates = {prepared};
      copy.task.barrier = copied;
      copy.task.sequence = sequence + 1 + std::min<int64_t>(static_cast<int64_t>(piece), kSequenceStep / 2);
      copy.task.estimated_bytes =
          static_cast<int64_t>(profile.ShareOf(bounds[piece], bounds[piece + 1], hypertable.chunk_interval) *
                               static_cast<double>(plan.estimated_bytes));
      builder_->AddTask(std::move(copy));
    }
    if (!compressed) return;
    PlannedTask compress = MakeCompress(hypertable, id, start);
    compress.task.gates = {copied};
    compress.task.barrier = LoadBarrier(id);
    compress.task.sequence = sequence + kSequenceStep - 1;
    builder_->AddTask(std::move(compress));
  }

  PlannedTask MakeTimeCopy(const HypertableSpec& hypertable, int id, int64_t start, int64_t end,
                           const EffectiveCompression* compression) const {
    const std::string time = QuoteIdentifier(hypertable.config->time_column_name);
    CopyShape shape;
    shape.where = absl::StrCat(time, " >= ", TimeLiteral(hypertable.time_type, start), " AND ", time, " < ",
                               TimeLiteral(hypertable.time_type, end));
    if (compression != nullptr) shape.order_by = CompressionOrderBy(*hypertable.table, *compression);
    PlannedTask copy = MakeCopy(
        *hypertable.table, id, shape,
        absl::StrCat(TimeDisplay(hypertable.time_type, start), " to ", TimeDisplay(hypertable.time_type, end)));
    SetRewritableFields(hypertable, copy.work.mutable_copy());
    if (compression != nullptr) {
      AddSetting(copy.work.mutable_copy()->mutable_source_settings(), "work_mem",
                 absl::StrCat(WorkMemKilobytes(), "kB"));
    }
    return copy;
  }

  // Makes the chunk, and compresses it while it is empty when the copy will fill it compressed: only so does it end
  // fully compressed and in order. Idempotent: both calls accept what is already there.
  PlannedTask MakePrepare(const HypertableSpec& hypertable, int id, int64_t start, bool compress_empty) const {
    PlannedTask planned;
    planned.task.table = id;
    planned.task.kind = TaskKind::KIND_PREPARE_CHUNK;
    planned.description = absl::StrCat("chunk from ", TimeDisplay(hypertable.time_type, start));
    const std::string slices = absl::StrCat("{", JsonString(hypertable.config->time_column_name), ": [", start, ", ",
                                            start + hypertable.chunk_interval, "]}");
    const std::string create =
        absl::StrCat(FunctionsSchema(), ".create_chunk(", QuoteLiteral(hypertable.table->name.Quoted()), "::regclass, ",
                     QuoteLiteral(slices), "::jsonb)");
    v1::StatementWork* work = planned.work.mutable_statements();
    if (compress_empty) {
      work->add_statements(absl::StrCat(
          "SELECT ", QuoteIdentifier(in_.target.timescaledb_schema),
          ".compress_chunk(format('%I.%I', c.schema_name, c.table_name)::regclass, true) FROM ", create, " c"));
    } else {
      work->add_statements(absl::StrCat("SELECT chunk_id FROM ", create));
    }
    AddSetting(work->mutable_settings(), "client_min_messages", "error");
    return planned;
  }

  PlannedTask MakeCompress(const HypertableSpec& hypertable, int id, int64_t start) const {
    PlannedTask planned;
    planned.task.table = id;
    planned.task.kind = TaskKind::KIND_COMPRESS;
    planned.description = absl::StrCat("chunk from ", TimeDisplay(hypertable.time_type, start));
    v1::CompressWork* work = planned.work.mutable_compress();
    work->set_hypertable_schema(hypertable.table->name.schema);
    work->set_hypertable_name(hypertable.table->name.name);
    work->set_range_start(start);
    return planned;
  }

  // Rows come in physical order, so a range touches any chunk: compressed unsorted where that works, and every chunk
  // once more when all ranges are in.
  void PlanWithoutTimeIndex(const HypertableSpec& hypertable, int id, const TablePlan& plan) {
    const bool direct = plan.compressed && in_.target.direct_compress && !hypertable.compress_after.has_value();
    const BarrierId copied = builder_->AddBarrier(LoadBarrier(id));
    int64_t sequence = 0;
    const auto plan_blocks = [&](const Table& table, const Table* leaf) {
      const Ranges ranges = RangesOf(table);
      for (const auto& [where, description] : ranges) {
        PlannedTask copy =
            MakeCopy(*hypertable.table, id, {leaf, where, ""},
                     leaf == nullptr ? description : absl::StrCat(leaf->name.Display(), ": ", description));
        SetRewritableFields(hypertable, copy.work.mutable_copy());
        if (direct) AddDirectCompressSettings(copy.work.mutable_copy(), false);
        copy.task.barrier = copied;
        copy.task.sequence = ++sequence * kSequenceStep;
        copy.task.estimated_bytes = table.total_bytes / static_cast<int64_t>(ranges.size());
        builder_->AddTask(std::move(copy));
      }
    };
    if (hypertable.table->kind == 'p') {
      for (Oid leaf : hypertable.table->leaves) plan_blocks(in_.catalog.tables.at(leaf), &in_.catalog.tables.at(leaf));
    } else {
      plan_blocks(*hypertable.table, nullptr);
    }
    if (!plan.compressed) return;
    PlannedTask compress;
    compress.task.table = id;
    compress.task.kind = TaskKind::KIND_COMPRESS;
    compress.description = "every chunk that is old enough";
    v1::CompressWork* work = compress.work.mutable_compress();
    work->set_hypertable_schema(hypertable.table->name.schema);
    work->set_hypertable_name(hypertable.table->name.name);
    work->set_all_chunks(true);
    work->set_ends_until(
        CompressionCutoff(hypertable, in_.profiles.at(hypertable.table->oid), in_.source_now_microseconds));
    compress.task.gates = {copied};
    compress.task.barrier = LoadBarrier(id);
    compress.task.sequence = (sequence + 1) * kSequenceStep;
    builder_->AddTask(std::move(compress));
  }

  // TimescaleDB moved its functions there in 2.12.
  std::string FunctionsSchema() const {
    constexpr int kFunctionsSchemaRelease = 2012;
    return in_.target.timescaledb_release() >= kFunctionsSchemaRelease ? "_timescaledb_functions"
                                                                       : "_timescaledb_internal";
  }

  static std::string JsonString(const std::string& text) {
    std::string quoted = "\"";
    for (char c : text) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c;
    }
    return quoted + "\"";
  }

  const PlannerInput& in_;
  PlanBuilder* builder_;
};

const HypertableSpec* FindSpec(const PlannerInput& input, Oid table) {
  for (const HypertableSpec& hypertable : input.hypertables) {
    if (hypertable.table->oid == table) return &hypertable;
  }
  return nullptr;
}

}  // namespace

BarrierId PlanBuilder::AddBarrier(BarrierId parent) {
  plan.barriers.push_back({next_barrier_, parent});
  return next_barrier_++;
}

void PlanBuilder::AddFixedBarrier(BarrierId id, BarrierId parent) { plan.barriers.push_back({id, parent}); }

void PlanBuilder::AddTask(PlannedTask task) {
  task.task.id = next_task_++;
  if (sink_) return sink_(std::move(task));
  plan.tasks.push_back(std::move(task));
}

std::map<Oid, int> AssignTableIds(const Catalog& catalog, const Selection& selection) {
  std::vector<std::pair<QualifiedName, Oid>> names;
  for (Oid oid : selection.tables) names.emplace_back(catalog.tables.at(oid).name, oid);
  std::sort(names.begin(), names.end());
  std::map<Oid, int> ids;
  int id = 0;
  for (const auto& [name, oid] : names) ids[oid] = ++id;
  return ids;
}

void PlanLoad(const PlannerInput& input, const std::map<Oid, int>& table_ids, const std::set<int>* only,
              PlanBuilder* builder) {
  LoadPlanner planner(input, builder);
  for (const auto& [oid, id] : table_ids) {
    if (only != nullptr && only->count(id) == 0) continue;
    const HypertableSpec* hypertable = FindSpec(input, oid);
    if (hypertable != nullptr) {
      planner.PlanHypertable(*hypertable, id);
    } else {
      planner.PlanOrdinary(input.catalog.tables.at(oid), id);
    }
  }
}

Plan MakePlan(const PlannerInput& input, TaskId first_task, std::vector<std::string>* left_out, const TaskSink& sink) {
  const std::map<Oid, int> ids = AssignTableIds(input.catalog, input.selection);
  PlanBuilder builder(first_task, KeysBarrier(static_cast<int>(ids.size())) + 8, sink);
  builder.AddFixedBarrier(kAllKeysBarrier, 0);
  builder.AddFixedBarrier(kForeignKeysBarrier, 0);
  builder.AddFixedBarrier(kViewsBarrier, 0);
  builder.AddFixedBarrier(kAttachedBarrier, 0);
  builder.AddFixedBarrier(kOthersBarrier, 0);
  for (const auto& [oid, id] : ids) {
    builder.AddFixedBarrier(KeysBarrier(id), kAllKeysBarrier);
    builder.AddFixedBarrier(IndexBarrier(id), KeysBarrier(id));
    builder.AddFixedBarrier(LoadBarrier(id), IndexBarrier(id));
    builder.AddFixedBarrier(TableForeignKeysBarrier(id), kForeignKeysBarrier);
  }
  PlanLoad(input, ids, nullptr, &builder);
  for (const auto& [oid, id] : ids) {
    const Table& table = input.catalog.tables.at(oid);
    if (table.kind != 'f') continue;
    left_out->push_back(absl::StrCat("rows of ", table.name.Display(), ": ", kForeignRows));
  }
  PlanFinishing(input, ids, &builder, left_out);
  return std::move(builder.plan);
}

int64_t CompressionCutoff(const HypertableSpec& hypertable, const TimeProfile& profile,
                          int64_t source_now_microseconds) {
  if (!hypertable.compress_after.has_value()) return INT64_MAX;
  // An integer column has no now(): its own maximum stands for it.
  const int64_t now = hypertable.time_type == TimeType::kInteger ? profile.maximum : source_now_microseconds;
  return now - *hypertable.compress_after;
}

}  // namespace hypershift
