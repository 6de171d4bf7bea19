// What the web page is told, as JSON. Its form is the page's (coordinator/web/app.js) alone and no interface for
// others: they have MigrationService and `hypershift status --json`.
//
// Pure; any thread.
#ifndef HYPERSHIFT_COORDINATOR_WEB_JSON_H_
#define HYPERSHIFT_COORDINATOR_WEB_JSON_H_

#include <string>

#include "coordinator/migration_reader.h"

namespace hypershift {

// How the migration, its tables and workers stand. `read_only`: why nothing can be steered from the page; empty = it
// can.
std::string StateJson(const MigrationOverview& overview, const TaskFigures& tasks, const ThroughputHistory& throughput,
                      const std::string& read_only);
// The chart's points.
std::string HistoryJson(const ThroughputHistory& throughput);
// The ranges of one table in at most `limit` pieces.
std::string RangesJson(const std::string& table, const RangeMap& ranges, size_t limit);
std::string ErrorJson(const std::string& message);

// The share of the migration's rows that has been copied, from 0 to 1, and the estimated bytes that are left.
struct Progress {
  double share = 0;
  double bytes_left = 0;
};
Progress ProgressOf(const MigrationOverview& overview);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_WEB_JSON_H_
