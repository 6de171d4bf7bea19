#include "coordinator/expected_compression.h"

#include <algorithm>

namespace hypershift {

ExpectedCompression ExpectCompression(const HypertableSpec& hypertable) {
  const CompressConfig& config = *hypertable.config->compress;
  const std::string& time = hypertable.config->time_column_name;
  ExpectedCompression expected;
  expected.settings.segmentby = config.segmentby;
  for (const OrderByColumn& column : config.orderby) {
    expected.settings.orderby.push_back({column.column, column.descending, column.nulls_first});
  }
  const auto& order = expected.settings.orderby;
  const bool has_time =
      std::any_of(order.begin(), order.end(), [&](const EffectiveOrderBy& column) { return column.column == time; });
  // Without any order the statement that makes the hypertable says this one itself.
  if (!has_time) {
    expected.assumed = !order.empty();
    expected.settings.orderby.push_back({time, true, true});
  }
  return expected;
}

}  // namespace hypershift
