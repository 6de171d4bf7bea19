// What follows a table's rows: indexes, constraints, foreign keys, triggers, sequences, materialised views, statistics,
// verification, compression policies — as tasks, each with what it waits for.
//
// Pure. Indexes of an ordinary table run side by side; everything that alters a table runs one after the other, and on
// a hypertable indexes too. A failing step stops what depends on it and nothing else.
#ifndef HYPERSHIFT_COORDINATOR_FINISHING_PLANNER_H_
#define HYPERSHIFT_COORDINATOR_FINISHING_PLANNER_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "coordinator/planner.h"

namespace hypershift {

void PlanFinishing(const PlannerInput& input, const std::map<Oid, int>& table_ids, PlanBuilder* builder,
                   std::vector<std::string>* left_out);

// Plans a verification for every range or table that copy tasks load, as they pass by.
class VerificationPlanner {
 public:
  // Both outlive it.
  VerificationPlanner(const std::vector<TablePlan>& tables, PlanBuilder* builder);
  // Other tasks are passed over.
  void Add(const PlannedTask& copy);

 private:
  std::map<int, const TablePlan*> tables_;
  PlanBuilder* builder_;
  std::map<int, std::set<std::string>> seen_;  // Range keys by table.
};

// The same for what PlanLoad plans, which the builder's tables must come from. It is planned once more, because the
// builder need not have kept it.
void PlanVerifications(const PlannerInput& input, const std::map<Oid, int>& table_ids, const std::set<int>* only,
                       PlanBuilder* builder);

// The condition under which a copy's rows are read back: its range, or everything ('') where the rows' places on the
// target say nothing of their range. The range_key of the verification, too.
std::string VerifyRangeKey(const TablePlan& table, const std::string& copy_range_key);

// The task that reads rows back: of one range, or of the table. `copy` is a copy task of the table.
PlannedTask MakeVerification(const TablePlan& table, const v1::CopyWork& copy, const std::string& range_key,
                             const std::string& description);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_FINISHING_PLANNER_H_
