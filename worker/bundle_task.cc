#include "worker/bundle_task.h"

#include "common/copy_connection.h"
#include "common/status_macros.h"
#include "worker/copy_task.h"
#include "worker/task_journal.h"

namespace hypershift {
namespace {

// Whoever waits for a lock keeps all the others waiting, so not for long.
constexpr char kLockTimeout[] = "1s";

void SetLockTimeout(google::protobuf::RepeatedPtrField<v1::Setting>* settings) {
  v1::Setting* const setting = settings->Add();
  setting->set_name("lock_timeout");
  setting->set_value(kLockTimeout);
}

bool HasSettings(const v1::TaskWork& work) {
  const v1::CopyWork& copy = work.copy();
  return !copy.source_settings().empty() || !copy.target_settings().empty() || !copy.target_prologue().empty() ||
         !work.statements().settings().empty();
}

}  // namespace

absl::Status CheckBundle(const Bundle& bundle) {
  for (const v1::TaskWork* work : bundle.works) {
    if (work->work_case() != bundle.works.front()->work_case() || (!work->has_copy() && !work->has_statements())) {
      return absl::InvalidArgumentError("tasks of these kinds can't share a transaction");
    }
    if (HasSettings(*work)) return absl::InvalidArgumentError("a task with settings can't share a transaction");
  }
  return absl::OkStatus();
}

absl::Status RunCopyBundle(const Bundle& bundle, const v1::Snapshot& snapshot) {
  std::vector<const v1::CopyWork*> works;
  for (const v1::TaskWork* work : bundle.works) works.push_back(&work->copy());
  // Its settings are those of the transactions.
  v1::CopyWork first = *works.front();
  SetLockTimeout(first.mutable_source_settings());
  SetLockTimeout(first.mutable_target_settings());
  works.front() = &first;
  return RunCopyTasks(works, snapshot, bundle.tasks);
}

absl::Status RunStatementBundle(const Bundle& bundle) {
  HS_ASSIGN_OR_RETURN(CopyConnection* const target, ClaimTasks(bundle.tasks));
  StatementList statements;
  for (const v1::TaskWork* work : bundle.works) statements.MergeFrom(work->statements().statements());
  SettingList settings;
  SetLockTimeout(&settings);
  // In the same round trip.
  HS_RETURN_IF_ERROR(BeginTarget(target, settings, statements));
  return FinishTasks(bundle.tasks, target, std::vector<TaskOutcome>(bundle.tasks.size()));
}

}  // namespace hypershift
