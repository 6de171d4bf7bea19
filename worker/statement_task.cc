#include "worker/statement_task.h"

#include "common/pg_status.h"
#include "common/status_macros.h"
#include "worker/task_journal.h"

namespace hypershift {

absl::Status RunStatementTask(const v1::StatementWork& work, const TaskContext& task) {
  HS_ASSIGN_OR_RETURN(CopyConnection* const target, ClaimTask(task));
  HS_RETURN_IF_ERROR(BeginTarget(target, work.settings(), {}));
  for (const std::string& statement : work.statements()) {
    HS_RETURN_IF_ERROR(task.progress->CheckCancelled());
    HS_RETURN_IF_ERROR(WithContext(target->Execute(statement).status(), "target"));
  }
  return FinishTask(task, target, {});
}

}  // namespace hypershift
