// A hypertable whose source has no index led by the time column: by blocks, as the rows lie.
//
// Pure.
#ifndef HYPERSHIFT_COORDINATOR_BLOCK_PLANNER_H_
#define HYPERSHIFT_COORDINATOR_BLOCK_PLANNER_H_

#include "coordinator/planner.h"

namespace hypershift {

// Copies and compressions. `plan` is the table's own.
void PlanBlocks(const PlannerInput& input, const HypertableSpec& hypertable, const TablePlan& plan,
                PlanBuilder* builder);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_BLOCK_PLANNER_H_
