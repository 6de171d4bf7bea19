#include "worker/task_journal.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/failpoint.h"
#include "common/journal_sql.h"
#include "common/log.h"
#include "common/names.h"
#include "common/pg_status.h"
#include "common/status_macros.h"
#include "worker/task_status.h"

namespace hypershift {
namespace {

// A target that restarts is back within this time, or the coordinator finds out from the journal itself.
constexpr int kInDoubtTries = 12;
constexpr absl::Duration kInDoubtFirstDelay = absl::Milliseconds(100);
constexpr absl::Duration kInDoubtMaxDelay = absl::Seconds(10);

std::vector<std::string> Key(const TaskContext& task) { return {absl::StrCat(task.id), absl::StrCat(task.attempt)}; }

absl::Status StaleError(const std::vector<TaskContext>& tasks) {
  const TaskContext& task = tasks.front();
  return absl::AbortedError(absl::StrCat("attempt ", task.attempt, " of task ", task.id,
                                         tasks.size() == 1 ? "" : ", or that of one that shares its transaction,",
                                         " no longer holds the lease; nothing was committed"));
}

// As an array's text. Values need no escapes.
template <typename Rows, typename ValueOf>
std::string Array(const Rows& rows, const ValueOf& value_of) {
  return absl::StrCat(
      "{",
      absl::StrJoin(rows, ",",
                    [&](std::string* out, const auto& row) { absl::StrAppend(out, "\"", value_of(row), "\""); }),
      "}");
}

std::vector<std::string> Keys(const std::vector<TaskContext>& tasks) {
  return {Array(tasks, [](const TaskContext& task) { return task.id; }),
          Array(tasks, [](const TaskContext& task) { return task.attempt; })};
}

absl::Status CheckNoneCancelled(const std::vector<TaskContext>& tasks) {
  for (const TaskContext& task : tasks) HS_RETURN_IF_ERROR(task.progress->CheckCancelled());
  return absl::OkStatus();
}

// Whether the attempt has committed; asked on a connection made after the COMMIT was sent.
absl::StatusOr<bool> AskJournal(const TaskContext& task) {
  HS_ASSIGN_OR_RETURN(CopyConnection* const target, task.connections->Target());
  HS_ASSIGN_OR_RETURN(const std::vector<std::optional<std::string>> row, target->Execute(kTaskIsDoneSql, Key(task)));
  return !row.empty();
}

absl::Status ResolveInDoubt(const TaskContext& task, const absl::Status& commit_error) {
  LogWarning("the answer to COMMIT was lost, asking the journal",
             {{"task", task.id}, {"attempt", task.attempt}, {"error", commit_error.message()}});
  task.connections->CloseTarget();
  absl::Duration delay = kInDoubtFirstDelay;
  for (int attempt = 0; attempt < kInDoubtTries; ++attempt) {
    const absl::StatusOr<bool> done = AskJournal(task);
    if (done.ok() && *done) return absl::OkStatus();
    if (done.ok()) return MarkRetryable(WithContext(commit_error, "the COMMIT did not take effect"));
    if (!TaskIsRetryable(done.status())) return done.status();
    if (task.progress->cancelled) break;
    absl::SleepFor(delay);
    delay = std::min(delay * 2, kInDoubtMaxDelay);
  }
  return MarkRetryable(WithContext(commit_error, "whether the COMMIT took effect is not known yet"));
}

}  // namespace

std::string SetLocalSql(const SettingList& settings) {
  std::string sql;
  for (const v1::Setting& setting : settings) {
    absl::StrAppend(&sql, sql.empty() ? "SELECT " : ", ", "pg_catalog.set_config(", QuoteLiteral(setting.name()), ", ",
                    QuoteLiteral(setting.value()), ", true)");
  }
  return sql;
}

absl::StatusOr<CopyConnection*> ClaimTask(const TaskContext& task) { return ClaimTasks({task}); }

absl::StatusOr<CopyConnection*> ClaimTasks(const std::vector<TaskContext>& tasks) {
  HS_RETURN_IF_ERROR(CheckNoneCancelled(tasks));
  const TaskContext& task = tasks.front();
  // Twice: a connection kept from the task before may have died unnoticed, and a claim can be repeated.
  for (bool last : {false, true}) {
    HS_ASSIGN_OR_RETURN(CopyConnection* const target, task.connections->Target());
    int64_t claimed = 0;
    const absl::Status status = AtFailpoint(Failpoint::kWorkerClaim, task.kind_name(), [&] {
      return target->Execute(kClaimTasksSql, Keys(tasks), &claimed).status();
    });
    if (status.ok() && claimed == static_cast<int64_t>(tasks.size())) return target;
    if (status.ok()) return StaleError(tasks);
    if (last || !target->broken()) return WithContext(status, "target");
  }
  return absl::InternalError("unreachable");
}

absl::Status BeginTarget(CopyConnection* target, const SettingList& settings, const StatementList& statements) {
  std::string sql = "BEGIN";
  if (!settings.empty()) absl::StrAppend(&sql, ";\n", SetLocalSql(settings));
  // A newline first: the statement before may end with a comment.
  for (const std::string& statement : statements) absl::StrAppend(&sql, "\n;\n", statement);
  return WithContext(target->Execute(sql).status(), "target");
}

absl::Status FinishTask(const TaskContext& task, CopyConnection* target, const TaskOutcome& outcome) {
  return FinishTasks({task}, target, {outcome});
}

absl::Status FinishTasks(const std::vector<TaskContext>& tasks, CopyConnection* target,
                         const std::vector<TaskOutcome>& outcomes) {
  HS_RETURN_IF_ERROR(CheckNoneCancelled(tasks));
  const TaskContext& task = tasks.front();
  if (target->broken()) return absl::UnavailableError("target: the connection was lost");
  // Outside a transaction the entry would commit by itself, without the rows.
  if (PQtransactionStatus(target->raw()) != PQTRANS_INTRANS) {
    return absl::InternalError("no target transaction is open to finish the task in");
  }
  std::vector<std::string> parameters = Keys(tasks);
  parameters.push_back(Array(outcomes, [](const TaskOutcome& outcome) { return outcome.rows; }));
  parameters.push_back(Array(outcomes, [](const TaskOutcome& outcome) { return outcome.bytes; }));
  parameters.push_back(Array(outcomes, [](const TaskOutcome& outcome) { return outcome.digest; }));
  parameters.push_back(Array(outcomes, [](const TaskOutcome& outcome) { return outcome.rewritable_digest; }));
  int64_t finished = 0;
  const absl::Status updated = AtFailpoint(Failpoint::kWorkerJournalWrite, task.kind_name(), [&] {
    return target->Execute(kFinishTasksSql, parameters, &finished).status();
  });
  if (!updated.ok()) return WithContext(updated, "target");
  if (finished != static_cast<int64_t>(tasks.size())) {
    (void)target->Execute("ROLLBACK");
    return StaleError(tasks);
  }
  absl::Status committed =
      AtFailpoint(Failpoint::kWorkerCommitSent, task.kind_name(), [&] { return target->Execute("COMMIT").status(); });
  if (committed.ok()) committed = AtFailpoint(Failpoint::kWorkerCommitAnswered, task.kind_name());
  if (committed.ok()) return committed;
  if (target->broken() || absl::IsUnavailable(committed)) return ResolveInDoubt(task, committed);
  return WithContext(committed, "target");
}

}  // namespace hypershift
