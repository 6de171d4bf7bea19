#include "cli/drain_command.h"

#include <cstdio>

#include "cli/control_call.h"
#include "cli/format.h"
#include "coordinator/exit_status.h"

namespace hypershift {

int RunDrainCommand(const std::string& coordinator, const TransportSecurity& security, const std::string& worker) {
  v1::DrainWorkerRequest request;
  request.set_worker(worker);
  v1::DrainWorkerResponse response;
  const absl::Status drains =
      ControlClient(coordinator, security).Ask(&v1::MigrationService::Stub::DrainWorker, request, &response);
  if (!drains.ok()) return RefuseCommand(drains);
  const std::string name = SafeText(worker);
  if (response.running() == 0) {
    std::printf("Worker %s runs nothing: it ends now.\n", name.c_str());
  } else {
    std::printf("Worker %s drains: it gets nothing more, and ends with what it runs (%s).\n", name.c_str(),
                response.running() == 1 ? "1 task" : (FormatCount(response.running()) + " tasks").c_str());
  }
  return kExitDone;
}

}  // namespace hypershift
