// The coordinator's metrics: docs/metrics.md lists them.
//
// Pure: from what MigrationService says to families of metrics.
#ifndef HYPERSHIFT_COORDINATOR_MIGRATION_METRICS_H_
#define HYPERSHIFT_COORDINATOR_MIGRATION_METRICS_H_

#include <prometheus/collectable.h>

#include <vector>

#include "absl/time/time.h"
#include "coordinator/migration_reader.h"

namespace hypershift {

class MigrationMetrics final : public prometheus::Collectable {
 public:
  // Series of single tables and workers, at most; the tables beyond are summed in one series.
  static constexpr size_t kMaxTables = 1000;
  static constexpr size_t kMaxWorkers = 1000;

  // Both must outlive this. `cost`: how long it took to read them.
  MigrationMetrics(const MigrationOverview& overview, const TaskFigures& tasks, double bytes_per_second,
                   absl::Duration cost)
      : overview_(overview), tasks_(tasks), bytes_per_second_(bytes_per_second), cost_(cost) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const MigrationOverview& overview_;
  const TaskFigures& tasks_;
  const double bytes_per_second_;
  const absl::Duration cost_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_MIGRATION_METRICS_H_
