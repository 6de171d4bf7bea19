#include "coordinator/planner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/block_planner.h"
#include "coordinator/chunk_planner.h"
#include "coordinator/copy_planning.h"
#include "coordinator/finishing_planner.h"
#include "coordinator/preflight.h"
#include "coordinator/table_ranges.h"

namespace hypershift {
namespace {

constexpr char kForeignRows[] = "a foreign table: its rows stay where they are";

void PlanOrdinary(const PlannerInput& input, const Table& table, int id, PlanBuilder* builder) {
  TablePlan plan = DescribeTable(input, table, id);
  if (table.kind == 'f') plan.not_copied = kForeignRows;
  if (table.kind == 'p') plan.not_copied = "a partitioned table: its partitions are copied";
  if (!plan.not_copied.empty()) {
    plan.method = SplitMethod::kNone;
    plan.estimated_bytes = plan.estimated_rows = 0;
    builder->plan.tables.push_back(std::move(plan));
    return;
  }
  const Ranges ranges = RangesOf(input, table);
  const SplitMethod method = input.keys.count(table.oid) > 0 ? SplitMethod::kKey : SplitMethod::kCtid;
  plan.method = ranges.size() > 1 ? method : SplitMethod::kWhole;
  int64_t sequence = 0;
  for (const TableRange& range : ranges) {
    PlannedTask copy = MakeCopy(table, id, {nullptr, range.where, ""}, range.description);
    copy.task.small = ranges.size() == 1 && IsSmall(input, table);
    copy.task.barrier = LoadBarrier(id);
    copy.task.sequence = ++sequence * kSequenceStep;
    copy.task.estimated_bytes = plan.estimated_bytes / static_cast<int64_t>(ranges.size());
    builder->AddTask(std::move(copy));
  }
  builder->plan.tables.push_back(std::move(plan));
}

void PlanHypertable(const PlannerInput& input, const HypertableSpec& hypertable, int id, PlanBuilder* builder) {
  TablePlan plan = DescribeTable(input, *hypertable.table, id);
  plan.hypertable = true;
  plan.compressed = hypertable.config->compress.has_value();
  for (const Column* column : RewritableColumns(hypertable)) plan.rewritable_columns.push_back(column->name);
  if (hypertable.time_index != nullptr) {
    plan.method = SplitMethod::kTime;
    PlanChunks(input, hypertable, plan, builder);
  } else {
    plan.method = SplitMethod::kCtid;
    PlanBlocks(input, hypertable, plan, builder);
  }
  builder->plan.tables.push_back(std::move(plan));
}

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
  for (const auto& [oid, id] : table_ids) {
    if (only != nullptr && only->count(id) == 0) continue;
    const HypertableSpec* hypertable = FindSpec(input, oid);
    if (hypertable != nullptr) {
      PlanHypertable(input, *hypertable, id, builder);
    } else {
      PlanOrdinary(input, input.catalog.tables.at(oid), id, builder);
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
