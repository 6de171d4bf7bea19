#include "cli/pause_command.h"

#include <cstdio>

#include "cli/control_call.h"
#include "coordinator/exit_status.h"

namespace hypershift {

int RunPauseCommand(const std::string& coordinator, const TransportSecurity& security) {
  v1::PauseResponse response;
  const absl::Status paused =
      ControlClient(coordinator, security).Ask(&v1::MigrationService::Stub::Pause, {}, &response);
  if (!paused.ok()) return RefuseCommand(paused);
  std::puts("Paused: running tasks finish, nothing else begins until `hypershift resume`. The snapshot stays held.");
  return kExitDone;
}

int RunResumeCommand(const std::string& coordinator, const TransportSecurity& security) {
  v1::ResumeResponse response;
  const absl::Status resumed =
      ControlClient(coordinator, security).Ask(&v1::MigrationService::Stub::Resume, {}, &response);
  if (!resumed.ok()) return RefuseCommand(resumed);
  std::puts("The migration goes on.");
  return kExitDone;
}

}  // namespace hypershift
