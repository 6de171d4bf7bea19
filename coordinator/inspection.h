// What source and target are, read before anything is written: what the check and the planner decide from.
//
// One unit for those who set a migration up and those who only show its plan, so that the two can't disagree. Nothing
// here writes, on neither side. Not thread-safe.
#ifndef HYPERSHIFT_COORDINATOR_INSPECTION_H_
#define HYPERSHIFT_COORDINATOR_INSPECTION_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/coordinator.h"
#include "coordinator/hypertable_spec.h"
#include "coordinator/journal.h"
#include "coordinator/planner.h"
#include "coordinator/preflight.h"
#include "coordinator/schema_archive.h"
#include "coordinator/selection.h"

namespace hypershift {

// Filled step by step, in the order of its members. Its parts point at each other.
struct Inspection {
  Inspection() = default;
  Inspection(const Inspection&) = delete;
  Inspection& operator=(const Inspection&) = delete;

  Catalog catalog;
  Selection selection;
  std::vector<HypertableSpec> hypertables;
  std::map<Oid, TimeProfile> profiles;
  std::map<Oid, KeyProfile> keys;
  TargetFacts target;
  std::vector<SchemaEntry> pre_data;  // As selected.
  std::vector<SchemaEntry> post_data;
  std::set<Oid> restored_relations;
  std::vector<std::string> left_out;
  std::map<Oid, EffectiveCompression> compression;
};

// Whether the target database is there. False: it is not, but create_db asks for it. Errors as for PgSession::Open.
absl::StatusOr<bool> FindTargetDatabase(Journal* journal, const Config& config);

// Catalog, selection, hypertables and the bounds of their times, in whatever transaction `source` is in; `config` must
// live as long as the inspection. What of hypertable_configs can't be resolved is in `problems`, a line each.
absl::Status InspectSource(PgSession* source, const Config& config, Inspection* inspection,
                           std::vector<std::string>* problems);

// kFailedPrecondition: a pooler that neither settings nor snapshots survive.
absl::Status InspectTarget(const ConnectionString& target, Inspection* inspection);

// What the check finds in what has been read. `journal`: for the last migration into the target; null = no target yet.
absl::StatusOr<std::vector<Finding>> CheckBothSides(const CoordinatorOptions& options, Journal* journal,
                                                    const Inspection& inspection);

// What of the source's schema is restored, and what is left out.
absl::Status SelectSchema(const std::string& archive, const Config& config, Inspection* inspection);

// Where rows lie: the chunks of hypertables with a time index, the keys of tables that are cut by them, and a sample of
// the blocks of hypertables that are copied by blocks.
absl::Status InspectRanges(PgSession* source, const Config& config, Inspection* inspection);

// All of it but the compression, which depends on whether the hypertables are there yet.
PlannerInput MakePlannerInput(const CoordinatorOptions& options, const Inspection& inspection,
                              int64_t source_now_microseconds);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_INSPECTION_H_
