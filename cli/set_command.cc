#include "cli/set_command.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "cli/control_call.h"
#include "cli/format.h"
#include "common/limits.h"
#include "common/names.h"
#include "common/status_macros.h"
#include "coordinator/exit_status.h"

namespace hypershift {

absl::StatusOr<v1::Limits> ParseSetWords(const std::vector<std::string>& words) {
  v1::Limits limits;
  for (size_t i = 0; i < words.size(); i += 2) {
    if (i + 1 == words.size()) {
      v1::Limits known;
      HS_RETURN_IF_ERROR(ParseLimit(words[i], "0", &known));
      return absl::InvalidArgumentError(absl::StrCat(InQuotes(words[i]), " has no value: say `set NAME VALUE`"));
    }
    HS_RETURN_IF_ERROR(ParseLimit(words[i], words[i + 1], &limits));
  }
  return limits;
}

std::string FormatLimits(const v1::Limits& limits) {
  std::string text;
  for (const std::string& name : LimitNames()) {
    absl::StrAppend(&text, PadRight(name, 22), FormatLimit(limits, name), "\n");
  }
  return text;
}

int RunSetCommand(const std::string& coordinator, const TransportSecurity& security, const v1::Limits& changes,
                  bool change) {
  ControlClient client(coordinator, security);
  if (!change) {
    v1::GetMigrationResponse response;
    const absl::Status asked = client.Ask(&v1::MigrationService::Stub::GetMigration, {}, &response);
    if (!asked.ok()) return RefuseCommand(asked);
    std::fputs(FormatLimits(response.migration().limits()).c_str(), stdout);
    return kExitDone;
  }
  v1::SetLimitsRequest request;
  *request.mutable_limits() = changes;
  v1::SetLimitsResponse response;
  const absl::Status set = client.Ask(&v1::MigrationService::Stub::SetLimits, request, &response);
  if (!set.ok()) return RefuseCommand(set);
  std::fputs(FormatLimits(response.limits()).c_str(), stdout);
  return kExitDone;
}

}  // namespace hypershift
