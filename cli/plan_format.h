// How a plan is shown: to people, and to programs.
//
// Pure; any thread.
#ifndef HYPERSHIFT_CLI_PLAN_FORMAT_H_
#define HYPERSHIFT_CLI_PLAN_FORMAT_H_

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "coordinator/plan_preview.h"

namespace hypershift {

// What a sample lets expect of reading the whole source.
struct ExpectedReading {
  int sessions = 1;
  absl::Duration at_best;   // Each session is as fast as the sampled one.
  absl::Duration at_worst;  // All of them together are.
};
// Unset: nothing was measured.
std::optional<ExpectedReading> ExpectReading(const PlanPreview& preview);

// Safe for a terminal; ends with a line break. `columns`: 0 = as wide as it needs. Of a plan that would be refused the
// warnings alone.
std::string FormatPlan(const PlanPreview& preview, int columns);

// One object with every field; ends with a line break. What isn't known is null.
std::string PlanAsJson(const PlanPreview& preview);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_PLAN_FORMAT_H_
