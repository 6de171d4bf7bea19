#include "coordinator/table_ranges.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "coordinator/split_key.h"

namespace hypershift {
namespace {

constexpr int64_t kMebibyte = int64_t{1} << 20;
// Ranges are to be no larger than this part of what each slot has to do of the table, so that all slots end at about
// the same time; but not smaller than is worth a transaction.
constexpr int64_t kRangesPerSlot = 4;
constexpr int64_t kSmallestRangeBytes = 16 * kMebibyte;

// A key is never NULL. The first and the last range are open-ended: no value lies outside, infinities neither.
Ranges KeyRanges(const KeyProfile& key, int64_t count) {
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
    ranges.push_back({absl::StrCat(from, first || last ? "" : " AND ", to),
                      absl::StrCat(column.name, " ", first ? "start" : TimeDisplay(column.type, cuts[i - 1]), " to ",
                                   last ? "end" : TimeDisplay(column.type, cuts[i]))});
  }
  return ranges;
}

// The last one is open-ended, so the ranges cover the table whatever its size has become.
Ranges CtidRanges(const Table& table, int64_t wanted) {
  const int64_t blocks = table.heap_bytes / kBlockBytes;
  if (blocks < 2) return {{"", "whole table"}};
  const int64_t count = std::clamp<int64_t>(wanted, 1, blocks);
  Ranges ranges;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = blocks * i / count;
    const int64_t end = blocks * (i + 1) / count;
    std::string where = absl::StrCat("ctid >= '(", begin, ",0)'::tid");
    if (i + 1 < count) absl::StrAppend(&where, " AND ctid < '(", end, ",0)'::tid");
    ranges.push_back({where, absl::StrCat("blocks ", begin, " to ", i + 1 < count ? absl::StrCat(end) : "end"), begin});
  }
  return ranges;
}

}  // namespace

int64_t ShareOfSlot(const PlannerInput& input, int64_t table_bytes) {
  return table_bytes / (kRangesPerSlot * std::max(1, input.config.parallel));
}

int64_t RangeBytes(const PlannerInput& input, int64_t table_bytes) {
  if (table_bytes < input.config.parallel_min_table_size_mib * kMebibyte) return input.target_task_bytes;
  return std::min(input.target_task_bytes, std::max(ShareOfSlot(input, table_bytes), kSmallestRangeBytes));
}

Ranges RangesOf(const PlannerInput& input, const Table& table) {
  if (!IsWorthCutting(table, input.config)) return {{"", "whole table"}};
  const int64_t range_bytes = RangeBytes(input, table.total_bytes);
  const int64_t count = (table.total_bytes + range_bytes - 1) / range_bytes;
  const auto key = input.keys.find(table.oid);
  if (key != input.keys.end()) return KeyRanges(key->second, count);
  return ScansCtidRanges(input.catalog) ? CtidRanges(table, count) : Ranges{{"", "whole table"}};
}

}  // namespace hypershift
