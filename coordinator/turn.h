// One turn of the coordinator: takes in what workers reported, asks the journal what is true, takes back what has
// expired, leases, writes all decisions in one transaction, and only then hands tasks out.
//
// The Dispatcher decides; this does, in that order, and nothing else: no waiting and no recovery. One thread.
#ifndef HYPERSHIFT_COORDINATOR_TURN_H_
#define HYPERSHIFT_COORDINATOR_TURN_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "coordinator/dispatcher.h"
#include "coordinator/journal_rows.h"

namespace hypershift {

class MigrationState;
struct Reports;

// What a turn needs of the journal. Each call is one transaction; kAborted without an SQLSTATE: this coordinator leads
// no more.
class TurnJournal {
 public:
  virtual ~TurnJournal() = default;
  virtual absl::StatusOr<std::vector<TaskRow>> LoadTasks(const std::vector<TaskId>& ids) = 0;
  // Terminates the target sessions of these tasks' last attempts, as far as the journal knows them and they live.
  virtual absl::Status TerminateSessions(const std::vector<TaskId>& ids) = 0;
  virtual absl::StatusOr<AppliedBatch> Apply(const JournalBatch& batch, absl::Duration lease) = 0;
};

class Turn {
 public:
  // Nothing is owned; all outlive it.
  Turn(const DispatchSettings& settings, const Clock* clock, MigrationState* state, TurnJournal* journal);

  // Any error: what was decided may or may not stand in the journal, so load the scheduler from there before the next
  // turn. The reports are kept until then.
  absl::Status Run(Reports reports, const Circumstances& circumstances);

 private:
  absl::Status TakeInReports();
  absl::Status EndLostSessions();
  absl::Status TakeIn(const std::vector<TaskId>& ids, const std::vector<FailureReport>& failures);
  absl::Status TakeBackExpired();
  absl::Status HandOverTail();
  absl::Status WriteAndHandOut();
  void HandOut(const std::vector<Leased>& leased);
  void LogChanges(const std::vector<TaskRow>& rows, size_t first) const;

  const DispatchSettings settings_;
  const Clock* const clock_;
  MigrationState* const state_;
  TurnJournal* const journal_;
  Dispatcher dispatcher_;
  // Reports whose consequences are not yet in the journal.
  std::set<TaskId> completed_;
  std::vector<FailureReport> failed_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_TURN_H_
