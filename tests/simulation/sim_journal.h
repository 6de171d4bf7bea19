// The coordinator's journal as coordinator/journal has it, statement by statement, on the simulated server.
//
// Its calls take time and block the coordinator's fiber.
#ifndef HYPERSHIFT_TESTS_SIMULATION_SIM_JOURNAL_H_
#define HYPERSHIFT_TESTS_SIMULATION_SIM_JOURNAL_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/turn.h"
#include "tests/simulation/database.h"

namespace hypershift::simulation {

class SimJournal final : public TurnJournal {
 public:
  // Nothing is owned. `clock`: the coordinator's.
  SimJournal(Database* database, Process* process, const Clock* clock)
      : database_(database), process_(process), clock_(clock) {}

  // Whether the migration has ended.
  absl::StatusOr<bool> IsFinished();
  // Empty holder: nobody has led yet.
  absl::StatusOr<std::pair<std::string, absl::Duration>> FindLeader();
  absl::Status TakeLead(const std::string& holder, absl::Duration leader_lease);
  absl::Status RenewLead();
  absl::Status GiveUpLead();
  absl::Status ExtendLeases(absl::Duration lease);
  absl::Status RetryFailed(std::optional<int> table);
  absl::Status MarkSnapshotReleased();
  absl::Status Finish();
  absl::StatusOr<std::vector<TaskRow>> LoadAllTasks();

  absl::StatusOr<std::vector<TaskRow>> LoadTasks(const std::vector<TaskId>& ids) override;
  absl::Status TerminateSessions(const std::vector<TaskId>& ids) override;
  absl::StatusOr<AppliedBatch> Apply(const JournalBatch& batch, absl::Duration lease) override;

  // Tasks that were taken back and leased in one write, since it was last asked.
  int64_t TakeHandOvers() { return std::exchange(hand_overs_, 0); }

  // For the oracle: what the coordinator's circumstances forgive.
  void set_forgives(bool all, bool copies) {
    forgives_all_ = all;
    forgives_copies_ = copies;
  }

 private:
  using Body = std::function<absl::Status(const SessionPtr&)>;

  absl::StatusOr<SessionPtr> Session();
  absl::Status AsLeader(const Body& body);
  absl::StatusOr<int64_t> Execute(const SessionPtr& session, Statement statement) {
    return database_->Execute(process_, session, std::move(statement));
  }
  Statement LockLeader(const SessionPtr& session) const;
  Statement Terminate(const SessionPtr& session, const std::vector<TaskId>& ids) const;
  Statement Change(const SessionPtr& session, const TaskChange& change) const;
  TaskRow ToTaskRow(const JournalRow& row) const;

  Database* const database_;
  Process* const process_;
  const Clock* const clock_;
  SessionPtr session_;
  int64_t own_session_ = 0;  // The last one's id.
  int64_t epoch_ = 0;
  std::string holder_;
  absl::Duration leader_lease_;
  bool forgives_all_ = false;
  bool forgives_copies_ = false;
  int64_t hand_overs_ = 0;
};

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_SIM_JOURNAL_H_
