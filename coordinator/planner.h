// The planner: from what source and target are, to the tasks of the migration.
//
// Pure. For each table: ranges that are disjoint and cover every row the snapshot holds, the SQL that reads and writes
// them, chunks to be made ahead and compressed behind, and what finishes the table. Order comes from barriers:
//
//   prepared(chunk) <- copies of the chunk     copied(chunk) <- its compression
//   copied(range) <- compressions of the chunks it is expected to hold, where chunks are not copied one by one
//   load(table) holds all of these; index(table) contains load(table); keys(table) contains index(table);
//   all_keys contains every keys(table); foreign_keys contains every table's own foreign keys
#ifndef HYPERSHIFT_COORDINATOR_PLANNER_H_
#define HYPERSHIFT_COORDINATOR_PLANNER_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/config.h"
#include "coordinator/catalog.h"
#include "coordinator/hypertable_spec.h"
#include "coordinator/plan.h"
#include "coordinator/selection.h"
#include "coordinator/target_facts.h"
#include "coordinator/time_profile.h"

namespace hypershift {

// Barriers that belong to no chunk. Per table, from its id; the first few are the migration's own.
inline constexpr BarrierId kAllKeysBarrier = 1;
inline constexpr BarrierId kForeignKeysBarrier = 2;
inline constexpr BarrierId kViewsBarrier = 3;
inline constexpr BarrierId kAttachedBarrier = 4;  // Partitions' indexes are attached to their parents'.
inline constexpr BarrierId kOthersBarrier = 5;    // Triggers, rules, late views, comments, …
constexpr BarrierId LoadBarrier(int table) { return table * 8 + 1; }
constexpr BarrierId IndexBarrier(int table) { return table * 8 + 2; }
constexpr BarrierId KeysBarrier(int table) { return table * 8 + 3; }
constexpr BarrierId TableForeignKeysBarrier(int table) { return table * 8 + 4; }

// A table that is cut by its key.
struct KeyProfile {
  TimeColumn column;
  TimeProfile profile;
};

struct PlannerInput {
  const Config& config;
  const Catalog& catalog;
  const TargetFacts& target;
  const Selection& selection;
  const std::vector<HypertableSpec>& hypertables;
  const std::map<Oid, TimeProfile>& profiles;
  const std::map<Oid, KeyProfile>& keys;
  const std::map<Oid, EffectiveCompression>& compression;  // Of compressed hypertables, as the target has it.
  const std::vector<SchemaEntry>& post_data;               // As selected.
  const std::set<Oid>& restored_relations;                 // What pre-data has made.
  int64_t source_now_microseconds = 0;
  int64_t sort_budget_bytes = int64_t{1} << 30;
  int64_t target_task_bytes = int64_t{512} << 20;
};

// Hands out ids and collects what is planned.
class PlanBuilder {
 public:
  // With a sink, tasks go there as they are planned, and the plan holds none.
  PlanBuilder(TaskId first_task, BarrierId first_barrier, TaskSink sink = nullptr)
      : next_task_(first_task), next_barrier_(first_barrier), sink_(std::move(sink)) {}

  BarrierId AddBarrier(BarrierId parent);
  void AddFixedBarrier(BarrierId id, BarrierId parent);
  // Sets the id. Sequence 0 = after what was added before.
  void AddTask(PlannedTask task);

  Plan plan;

 private:
  TaskId next_task_;
  BarrierId next_barrier_;
  const TaskSink sink_;
};

// Ids of tables, in the order of their names.
std::map<Oid, int> AssignTableIds(const Catalog& catalog, const Selection& selection);

// The whole plan, its tasks in the sink if there is one. `left_out` gains what can't be done.
Plan MakePlan(const PlannerInput& input, TaskId first_task, std::vector<std::string>* left_out,
              const TaskSink& sink = nullptr);

// Copies, chunks and compression of one table: what a table that starts again from nothing needs. `only` = these
// tables.
void PlanLoad(const PlannerInput& input, const std::map<Oid, int>& table_ids, const std::set<int>* only,
              PlanBuilder* builder);

// The part of one chunk that is old enough to be compressed: internal time; everything when there is no `after`.
int64_t CompressionCutoff(const HypertableSpec& hypertable, const TimeProfile& profile,
                          int64_t source_now_microseconds);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_PLANNER_H_
