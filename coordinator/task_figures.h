// What metrics and the web page say of a migration's tasks: counts, durations, errors, ranges along time.
//
// Pure: made from the messages that MigrationService gives, one task after the other.
#ifndef HYPERSHIFT_COORDINATOR_TASK_FIGURES_H_
#define HYPERSHIFT_COORDINATOR_TASK_FIGURES_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/metrics_text.h"
#include "coordinator/range_map.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

struct TaskFigures {
  struct OfKind {
    int64_t pending = 0;
    int64_t leased = 0;
    int64_t failed = 0;
    int64_t done = 0;
    int64_t retries = 0;
    DurationHistogram durations;
  };

  // Tasks in the order of their ids.
  void Add(const v1::TaskInfo& task);
  // Once, after the last one.
  void Finish();

  std::map<v1::TaskKind::Kind, OfKind> kinds;
  // By the table's name as TaskInfo has it; tables that are split by time only.
  std::map<std::string, RangeMap> ranges;
  // Failed tasks first, then those that will be tried again; a bounded number.
  std::vector<v1::TaskInfo> errors;
  int64_t errors_total = 0;

 private:
  std::vector<v1::TaskInfo> retried_;
  std::pair<std::string, RangeMap*> last_;  // A table's tasks mostly follow each other.
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_TASK_FIGURES_H_
