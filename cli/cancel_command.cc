#include "cli/cancel_command.h"

#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/control_call.h"
#include "cli/format.h"
#include "coordinator/exit_status.h"

namespace hypershift {
namespace {

// On a terminal: asks. Elsewhere nobody can answer.
bool Confirmed() {
  if (isatty(STDIN_FILENO) != 1) {
    std::fputs("hypershift: nothing was cancelled: say --yes if you mean it\n", stderr);
    return false;
  }
  std::fputs("Cancel it? Type yes: ", stdout);
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  if (absl::StripAsciiWhitespace(answer) == "yes") return true;
  std::fputs("hypershift: nothing was cancelled\n", stderr);
  return false;
}

}  // namespace

std::string DescribeCancel(const v1::MigrationInfo& migration) {
  return absl::StrCat("Migration ", SafeText(migration.id()), " would end for good and could not be resumed.\n",
                      "  rolled back  ", FormatCount(migration.tasks_running()), " running tasks, ",
                      FormatBytes(migration.bytes_running()), "\n", "  stays        the schema and ",
                      FormatCount(migration.rows_done()), " rows (", FormatCount(migration.ranges_done()), " of ",
                      FormatCount(migration.ranges_total()), " ranges), on ", SafeText(migration.target()), "\n",
                      "  released     the snapshot of the source\n",
                      "To go on later, stop it instead (Ctrl-C, or SIGTERM), or pause it.\n");
}

int RunCancelCommand(const std::string& coordinator, const TransportSecurity& security, bool yes) {
  ControlClient client(coordinator, security);
  if (!yes) {
    v1::GetMigrationResponse response;
    const absl::Status asked = client.Ask(&v1::MigrationService::Stub::GetMigration, {}, &response);
    if (!asked.ok()) return RefuseCommand(asked);
    std::fputs(DescribeCancel(response.migration()).c_str(), stdout);
    if (!Confirmed()) return kExitBadInput;
  }
  v1::CancelResponse response;
  const absl::Status cancelled = client.Ask(&v1::MigrationService::Stub::Cancel, {}, &response);
  if (!cancelled.ok()) return RefuseCommand(cancelled);
  std::puts(
      "Cancelled: running tasks are rolled back, the snapshot is released. What has committed stays on the target; "
      "`hypershift cleanup` removes the journal.");
  return kExitDone;
}

}  // namespace hypershift
