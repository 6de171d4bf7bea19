#include "coordinator/direct_compress.h"

#include "coordinator/copy_planning.h"

namespace hypershift {
namespace {

// TimescaleDB 2.28 fixed wrong order with NULLs in order-by columns.
constexpr int kNullOrderFixedRelease = 2028;

}  // namespace

bool MaySendSorted(const TargetFacts& target, const HypertableSpec& hypertable,
                   const EffectiveCompression& compression) {
  if (!target.client_sorted) return false;
  for (const EffectiveOrderBy& order : compression.orderby) {
    const Column* column = hypertable.table->FindColumn(order.column);
    if (column == nullptr) return false;
    // The source sorts by bytes; the target orders a segment as the column is collated.
    const std::string& collation = column->collation == "default" ? target.collation : column->collation;
    if (!collation.empty() && collation != "C" && collation != "POSIX") return false;
    const bool is_time = order.column == hypertable.config->time_column_name;
    if (!column->not_null && !is_time && target.timescaledb_release() < kNullOrderFixedRelease) return false;
  }
  return !compression.orderby.empty();
}

void AddDirectCompressSettings(const TargetFacts& target, bool sorted, v1::CopyWork* copy) {
  AddSetting(copy->mutable_target_settings(), "timescaledb.enable_direct_compress_copy", "on");
  if (sorted)
    AddSetting(copy->mutable_target_settings(), "timescaledb.enable_direct_compress_copy_client_sorted", "on");
  if (target.compressor_batch_limit) {
    AddSetting(copy->mutable_target_settings(), "timescaledb.enable_compressor_batch_limit", "on");
  }
}

}  // namespace hypershift
