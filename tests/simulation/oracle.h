// Watches every commit on the simulated server and says when a promise is broken. It knows the plan, what was committed
// and which faults were injected, and nothing of the product's own reasoning.
#ifndef HYPERSHIFT_TESTS_SIMULATION_ORACLE_H_
#define HYPERSHIFT_TESTS_SIMULATION_ORACLE_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/rows.h"

namespace hypershift::simulation {

struct RowChange {
  JournalRow before;
  JournalRow after;
};

enum class InjectedFailure { kOutage, kContended, kTransient, kFinal };
// What the server says then; the simulation has each for this reason only, but for those of outages and locks.
absl::string_view SqlStateOf(InjectedFailure failure);

class Oracle {
 public:
  Oracle(SimulatedPlan plan, int retry_limit);

  // --- what happens ---
  void OnCommit(absl::Time now, const Author& author, const std::vector<RowChange>& changes,
                const std::vector<TaskId>& effects, const LeaderRow& leader_before, const LeaderRow& leader_after);
  void OnSnapshotReleased();
  void OnFinished();
  // A worker was told to run an attempt.
  void OnHandedOut(TaskId id, int attempt, const std::string& worker);
  // An attempt is about to fail, for this reason.
  void OnFailure(TaskId id, int attempt, InjectedFailure failure) { failures_[{id, attempt}] = failure; }

  template <typename... Args>
  void Violated(const Args&... args) {
    if (violation_.empty()) violation_ = absl::StrCat(args...);
  }
  // The first; empty: every promise was kept.
  const std::string& violation() const { return violation_; }

  bool AllDone() const { return done_.size() == plan_.tasks.size(); }
  bool GatesOpen(TaskId id) const;

 private:
  using Key = std::pair<TaskId, int>;  // Task and attempt.

  void CheckChange(const Author& author, const JournalRow& before, const JournalRow& after);
  void CheckCoordinatorsChange(const Author& author, const JournalRow& before, const JournalRow& after);
  void CheckWorkersChange(const Author& author, const JournalRow& before, const JournalRow& after);
  void CheckFailures(const Author& author, const JournalRow& before, const JournalRow& after);
  void CheckLeader(absl::Time now, const Author& author, const LeaderRow& before, const LeaderRow& after);
  void CheckEffects(const std::vector<TaskId>& effects);

  const SimulatedPlan plan_;
  const int retry_limit_;
  std::map<BarrierId, std::set<BarrierId>> below_;    // A barrier and all below it.
  std::map<BarrierId, std::vector<TaskId>> counted_;  // Tasks by barrier.
  std::map<TaskId, int> effects_;
  std::set<TaskId> done_;
  std::map<Key, std::string> leased_to_;
  std::map<Key, std::string> claimed_by_;
  std::map<Key, InjectedFailure> failures_;
  std::string violation_;
};

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_ORACLE_H_
