// A hypertable whose source has an index led by the time column: chunk by chunk, each made ahead of its copies and
// compressed behind them.
//
// Pure.
#ifndef HYPERSHIFT_COORDINATOR_CHUNK_PLANNER_H_
#define HYPERSHIFT_COORDINATOR_CHUNK_PLANNER_H_

#include "coordinator/planner.h"

namespace hypershift {

// Chunks, copies and compressions. `plan` is the table's own.
void PlanChunks(const PlannerInput& input, const HypertableSpec& hypertable, const TablePlan& plan,
                PlanBuilder* builder);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_CHUNK_PLANNER_H_
