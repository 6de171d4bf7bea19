#include "cli/plan_command.h"

#include <unistd.h>

#include <cstdio>
#include <string>

#include "cli/control_call.h"
#include "cli/format.h"
#include "cli/plan_format.h"
#include "cli/progress_display.h"
#include "common/log.h"
#include "coordinator/exit_status.h"
#include "coordinator/plan_preview.h"

namespace hypershift {

int RunPlanCommand(const Command& command) {
  const Config& config = command.coordinator.config;
  InitLog({config.log_format, config.verbose ? LogLevel::kDebug : LogLevel::kWarning, {}});
  const absl::StatusOr<PlanPreview> preview = PreviewPlan(command.coordinator);
  if (!preview.ok()) return RefuseCommand(preview.status());
  std::fputs((command.json ? PlanAsJson(*preview) : FormatPlan(*preview, TerminalColumns(STDOUT_FILENO))).c_str(),
             stdout);
  std::fflush(stdout);
  for (const std::string& refusal : preview->refusals) RefuseCommand(absl::FailedPreconditionError(refusal));
  return preview->refusals.empty() ? kExitDone : kExitBadInput;
}

}  // namespace hypershift
