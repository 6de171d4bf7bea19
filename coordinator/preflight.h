// The checks before anything is written: every finding with its place and its remedy.
//
// Pure: decides from what the readers found. A FAIL ends the run with exit status 2 and nothing changed.
#ifndef HYPERSHIFT_COORDINATOR_PREFLIGHT_H_
#define HYPERSHIFT_COORDINATOR_PREFLIGHT_H_

#include <map>
#include <string>
#include <vector>

#include "common/config.h"
#include "coordinator/catalog.h"
#include "coordinator/hypertable_spec.h"
#include "coordinator/selection.h"
#include "coordinator/target_facts.h"
#include "coordinator/time_profile.h"

namespace hypershift {

enum class FindingLevel { kWarn, kFail };

struct Finding {
  FindingLevel level = FindingLevel::kFail;
  std::string message;  // One line: place, what is wrong, remedy.
};

struct PreflightInput {
  const Config& config;
  const Catalog& catalog;
  const TargetFacts& target;
  const Selection& selection;
  const std::vector<HypertableSpec>& hypertables;
  const std::map<Oid, TimeProfile>& profiles;
  int pg_dump_major = 0;
  bool fail_on_value_rewrite = false;
  std::string finished_migration;  // The last one into the target, if it is done: its id.
};

std::vector<Finding> RunPreflight(const PreflightInput& input);

// Columns of a compressed hypertable whose values compression may rewrite into equal ones.
std::vector<const Column*> RewritableColumns(const HypertableSpec& hypertable);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_PREFLIGHT_H_
