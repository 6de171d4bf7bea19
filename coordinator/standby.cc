#include "coordinator/standby.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

// Says each thing once, in the log and as the status.
class Announcer {
 public:
  explicit Announcer(MigrationState* state) : state_(state) {}
  void Say(const std::string& what, const std::string& detail) {
    state_->SetPhase(v1::MigrationPhase::PHASE_CHECK, absl::StrCat("stands by: ", what, detail));
    if (what == last_) return;
    LogInfo("stands by", {{"reason", what}});
    last_ = what;
  }

 private:
  MigrationState* state_;
  std::string last_;
};

// Whether the migration that was waited for (empty: none yet) is done, or was cancelled.
bool HasEnded(const std::optional<MigrationRecord>& unfinished, const std::string& migration) {
  if (migration.empty()) return false;
  return !unfinished.has_value() || (unfinished->id == migration && unfinished->steering.cancelled());
}

}  // namespace

absl::StatusOr<StandbyResult> WaitForLead(Journal* journal, MigrationState* state, absl::Duration leader_lease) {
  const absl::Duration pause = std::clamp(leader_lease / 10, absl::Milliseconds(100), absl::Seconds(1));
  Announcer announcer(state);
  std::string migration;
  state->SetStandby(true);
  while (!state->stop_requested()) {
    const absl::StatusOr<std::optional<MigrationRecord>> unfinished = journal->FindUnfinished();
    if (absl::IsUnavailable(unfinished.status()) || absl::IsNotFound(unfinished.status())) {
      announcer.Say("the target can't be reached", "");
    } else if (!unfinished.ok()) {
      return unfinished.status();
    } else if (HasEnded(*unfinished, migration)) {
      return StandbyResult::kEnded;
    } else if (unfinished->has_value()) {
      migration = (*unfinished)->id;
      const absl::StatusOr<std::optional<LeaderInfo>> leader = journal->FindLeader();
      if (leader.ok() && (!leader->has_value() || (*leader)->expires_in <= absl::ZeroDuration())) {
        state->SetStandby(false);
        return StandbyResult::kTakeOver;
      }
      if (leader.ok()) {
        announcer.Say(absl::StrCat("coordinator ", (*leader)->holder, " leads migration ", migration),
                      absl::StrCat(", for ", absl::ToInt64Seconds((*leader)->expires_in) + 1, " s unless it renews"));
      }
    } else {
      announcer.Say("no migration has begun", "");
    }
    state->TakeReports(pause);
  }
  return StandbyResult::kStopped;
}

}  // namespace hypershift
