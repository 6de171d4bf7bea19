#include "coordinator/plan_outline.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/copy_sql.h"
#include "coordinator/expected_compression.h"
#include "coordinator/preflight.h"

namespace hypershift {
namespace {

std::string WithType(const Column& column) { return absl::StrCat(column.name, " (", column.type_name, ")"); }

ColumnNames TextColumns(const Table& table) {
  ColumnNames names;
  for (const Column* column : CopiedColumns(table)) {
    if (!column->traits.binary_safe) names.push_back(WithType(*column));
  }
  return names;
}

const HypertableSpec* FindSpec(const PlannerInput& input, Oid table) {
  for (const HypertableSpec& hypertable : input.hypertables) {
    if (hypertable.table->oid == table) return &hypertable;
  }
  return nullptr;
}

bool HasSetting(const v1::CopyWork& copy, absl::string_view name) {
  return std::any_of(copy.target_settings().begin(), copy.target_settings().end(),
                     [name](const v1::Setting& setting) { return setting.name() == name; });
}

// As people write it, without what is the default.
std::string InWords(const EffectiveOrderBy& order) {
  const absl::string_view nulls = order.nulls_first == order.descending ? ""
                                  : order.nulls_first                   ? " NULLS FIRST"
                                                                        : " NULLS LAST";
  return absl::StrCat(order.column, order.descending ? " DESC" : "", nulls);
}

HypertableOutline Outline(const HypertableSpec& spec) {
  HypertableOutline outline;
  const HypertableConfig& config = *spec.config;
  outline.time_column = config.time_column_name;
  outline.chunk_interval = config.chunk_time_interval.text;
  outline.partitioning_column = config.partitioning_column;
  outline.number_partitions = config.number_partitions;
  outline.time_index = spec.time_index != nullptr;
  if (outline.time_index) outline.chunks = 0;
  outline.compress = config.compress.has_value();
  if (!outline.compress) return outline;
  if (config.compress->after.has_value()) outline.compress_after = config.compress->after->text;
  const ExpectedCompression expected = ExpectCompression(spec);
  outline.segmentby = expected.settings.segmentby;
  for (const EffectiveOrderBy& order : expected.settings.orderby) outline.orderby.push_back(InWords(order));
  outline.orderby_assumed = expected.assumed;
  for (const Column* column : RewritableColumns(spec)) outline.rewritable_columns.push_back(WithType(*column));
  return outline;
}

TableOutline Outline(const PlannerInput& input, const TablePlan& plan) {
  TableOutline outline;
  outline.name = plan.name;
  outline.method = plan.method;
  outline.not_copied = plan.not_copied;
  outline.estimated_bytes = plan.estimated_bytes;
  outline.format = plan.format;
  const Table& table = input.catalog.tables.at(plan.source_oid);
  if (plan.estimated_rows > 0 || table.heap_bytes == 0 || !plan.not_copied.empty()) {
    outline.estimated_rows = plan.estimated_rows;
  }
  if (plan.format == v1::COPY_FORMAT_TEXT) outline.text_columns = TextColumns(table);
  const HypertableSpec* spec = plan.hypertable ? FindSpec(input, plan.source_oid) : nullptr;
  if (spec != nullptr) outline.hypertable = Outline(*spec);
  return outline;
}

void Count(const PlannedTask& task, TableOutline* table) {
  if (task.task.kind == TaskKind::KIND_COPY) ++table->ranges;
  if (!table->hypertable.has_value()) return;
  HypertableOutline& hypertable = *table->hypertable;
  switch (task.task.kind) {
    case TaskKind::KIND_COPY:
      hypertable.direct |= HasSetting(task.work.copy(), "timescaledb.enable_direct_compress_copy");
      hypertable.sorted |= HasSetting(task.work.copy(), "timescaledb.enable_direct_compress_copy_client_sorted");
      break;
    case TaskKind::KIND_PREPARE_CHUNK:
      if (hypertable.chunks.has_value()) *hypertable.chunks += task.chunks;
      break;
    case TaskKind::KIND_COMPRESS:
      // Whether directly or not is known when all copies have been seen.
      (hypertable.time_index ? hypertable.chunks_compressed_afterwards : hypertable.chunks_compressed_early) +=
          task.chunks;
      break;
    default:
      break;
  }
}

void Finish(HypertableOutline* hypertable) {
  if (hypertable->direct) std::swap(hypertable->chunks_compressed_directly, hypertable->chunks_compressed_afterwards);
  hypertable->chunks_uncompressed = hypertable->chunks.value_or(0) - hypertable->chunks_compressed_directly -
                                    hypertable->chunks_compressed_afterwards;
}

}  // namespace

PlanOutline OutlinePlan(const PlannerInput& input, const Plan& plan) {
  PlanOutline outline;
  std::map<int, TableOutline> tables;  // By id, which follows the names.
  for (const TablePlan& table : plan.tables) tables[table.id] = Outline(input, table);
  for (const PlannedTask& task : plan.tasks) {
    ++outline.tasks[task.task.kind];
    auto table = tables.find(task.task.table);
    if (table != tables.end()) Count(task, &table->second);
  }
  for (auto& [id, table] : tables) {
    if (table.hypertable.has_value()) Finish(&*table.hypertable);
    outline.tables.push_back(std::move(table));
  }
  return outline;
}

}  // namespace hypershift
