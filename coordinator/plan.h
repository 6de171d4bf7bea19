// A plan: the tasks of a migration, before anything runs. Made by the planner, written to the journal, and from then on
// the journal's.
#ifndef HYPERSHIFT_COORDINATOR_PLAN_H_
#define HYPERSHIFT_COORDINATOR_PLAN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "coordinator/catalog.h"
#include "coordinator/scheduler.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

enum class SplitMethod { kTime, kCtid, kKey, kWhole, kNone };
std::string SplitMethodName(SplitMethod method);
SplitMethod ParseSplitMethod(const std::string& name);

// What the plan says of one table; kept in the journal as JSON.
struct TablePlan {
  int id = 0;
  QualifiedName name;
  Oid source_oid = 0;
  SplitMethod method = SplitMethod::kWhole;
  v1::CopyFormat format = v1::COPY_FORMAT_BINARY;
  bool hypertable = false;
  bool compressed = false;
  int priority = 0;  // The highest first.
  int64_t estimated_rows = 0;
  int64_t estimated_bytes = 0;
  int64_t source_writes = 0;  // The statistics' counters when the snapshot was taken.
  std::vector<std::string> rewritable_columns;
  // A table of no task but data: why its data is not copied (foreign table); empty = copied.
  std::string not_copied;

  std::string ToJson() const;
  // kDataLoss: not what ToJson wrote.
  static absl::StatusOr<TablePlan> FromJson(const std::string& json);
};

struct PlannedTask {
  Task task;
  std::string description;
  v1::TaskWork work;
  int chunks = 0;  // As many as it prepares or compresses, where that is known; not for the journal.
};

// Takes planned tasks, one after the other. A million of them, each with its SQL, would take gigabytes.
using TaskSink = std::function<void(PlannedTask)>;

struct Plan {
  std::vector<TablePlan> tables;
  std::vector<Barrier> barriers;
  std::vector<PlannedTask> tasks;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_PLAN_H_
