#include "coordinator/copy_planning.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/preflight.h"

namespace hypershift {
namespace {

// Its own, or that of the nearest partitioned table above it.
int PriorityOf(const PlannerInput& input, const Table& table) {
  const auto found = input.config.table_priorities.find(table.name);
  if (found != input.config.table_priorities.end()) return found->second;
  const auto parent = input.catalog.tables.find(table.parent);
  return table.is_partition && parent != input.catalog.tables.end() ? PriorityOf(input, parent->second) : 0;
}

}  // namespace

TablePlan DescribeTable(const PlannerInput& input, const Table& table, int id) {
  TablePlan plan;
  plan.id = id;
  plan.name = table.name;
  plan.source_oid = table.oid;
  plan.format = CopyFormatFor(table);
  plan.estimated_rows = static_cast<int64_t>(table.rows);
  plan.estimated_bytes = table.total_bytes;
  plan.source_writes = table.writes;
  plan.priority = PriorityOf(input, table);
  return plan;
}

bool IsSmall(const PlannerInput& input, const Table& table) {
  constexpr int64_t kMostBytes = int64_t{1} << 20;
  constexpr size_t kMostColumns = 100;  // Their names are in every task's SQL, and a message holds hundreds of tasks.
  if (table.kind != 'r' || table.total_bytes > kMostBytes || table.columns.size() > kMostColumns) return false;
  return std::none_of(input.hypertables.begin(), input.hypertables.end(),
                      [&](const HypertableSpec& hypertable) { return hypertable.table->oid == table.oid; });
}

PlannedTask MakeCopy(const Table& table, int id, const CopyShape& shape, const std::string& description) {
  PlannedTask planned;
  planned.task.table = id;
  planned.task.kind = TaskKind::KIND_COPY;
  // Every leaf has the same blocks.
  planned.task.range_key =
      shape.leaf == nullptr ? shape.where : absl::StrCat(shape.leaf->name.Quoted(), " ", shape.where);
  planned.description = description;
  v1::CopyWork* copy = planned.work.mutable_copy();
  copy->add_source_sql(SourceCopySql(table, shape));
  copy->set_target_sql(TargetCopySql(table));
  copy->set_format(CopyFormatFor(table));
  const Table& read = shape.leaf != nullptr ? *shape.leaf : table;
  copy->set_source_oid(read.oid);
  copy->set_source_filenode(read.filenode);
  copy->set_source_partitions(read.source_partitions);
  copy->set_field_count(static_cast<int>(CopiedColumns(table).size()));
  return planned;
}

void SetRewritableFields(const HypertableSpec& hypertable, v1::CopyWork* copy) {
  const std::vector<const Column*> rewritable = RewritableColumns(hypertable);
  const std::vector<const Column*> copied = CopiedColumns(*hypertable.table);
  for (size_t i = 0; i < copied.size(); ++i) {
    if (std::find(rewritable.begin(), rewritable.end(), copied[i]) != rewritable.end()) {
      copy->add_rewritable_fields(static_cast<int>(i));
    }
  }
}

void AddSetting(google::protobuf::RepeatedPtrField<v1::Setting>* settings, const std::string& name,
                const std::string& value) {
  v1::Setting* setting = settings->Add();
  setting->set_name(name);
  setting->set_value(value);
}

}  // namespace hypershift
