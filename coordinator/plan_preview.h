// The plan that a migration would begin with, without beginning it: what `hypershift plan` shows.
//
// Nothing is written, on neither side. What TimescaleDB offers is learnt as the check of a migration learns it: by
// creating it in a transaction that is rolled back.
#ifndef HYPERSHIFT_COORDINATOR_PLAN_PREVIEW_H_
#define HYPERSHIFT_COORDINATOR_PLAN_PREVIEW_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/coordinator.h"
#include "coordinator/plan_outline.h"
#include "coordinator/source_sample.h"

namespace hypershift {

struct PlanPreview {
  std::string source;  // Without passwords.
  std::string target;
  int source_version = 0;  // 150004.
  int target_version = 0;
  std::string timescaledb_version;  // That is there, or would be created; empty = none.
  int parallel = 0;

  std::vector<std::string> refusals;  // Why a migration would be refused. With any, only `warnings` is filled below.
  std::vector<std::string> warnings;
  std::vector<std::string> left_out;
  PlanOutline plan;
  SourceSample sample;
  std::string sample_problem;  // Why there is none.
};

// Errors are those of a migration that can't even be checked: a server that can't be reached, an unfinished migration
// on the target, …
absl::StatusOr<PlanPreview> PreviewPlan(const CoordinatorOptions& options);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_PLAN_PREVIEW_H_
