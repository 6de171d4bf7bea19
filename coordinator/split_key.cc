#include "coordinator/split_key.h"

namespace hypershift {
namespace {

constexpr int kFirstCtidRangeVersion = 140000;
constexpr int64_t kMebibyte = int64_t{1} << 20;

}  // namespace

bool ScansCtidRanges(const Catalog& catalog) { return catalog.server_version >= kFirstCtidRangeVersion; }

bool IsWorthCutting(const Table& table, const Config& config) {
  return table.total_bytes >= config.parallel_min_table_size_mib * kMebibyte;
}

std::optional<TimeColumn> FindSplitKey(const Catalog& catalog, const Table& table, const Config& config) {
  if (table.kind != 'r' || ScansCtidRanges(catalog) || !IsWorthCutting(table, config)) return std::nullopt;
  for (const Constraint* constraint : catalog.ConstraintsOf(table.oid)) {
    if (constraint->type != 'p') continue;
    // As the index has its columns, not the constraint's list: these are ascending by number.
    const auto index = catalog.indexes.find(constraint->index);
    if (index == catalog.indexes.end() || index->second.key_columns.empty()) continue;
    const Column* column = table.FindColumn(index->second.key_columns.front());
    const std::optional<TimeType> type = column == nullptr ? std::nullopt : TimeTypeOf(column->base_type);
    if (type.has_value()) return TimeColumn{&table, column->name, *type};
  }
  return std::nullopt;
}

}  // namespace hypershift
