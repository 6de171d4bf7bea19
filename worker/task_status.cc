#include "worker/task_status.h"

#include "absl/strings/cord.h"
#include "absl/types/optional.h"
#include "common/pg_status.h"

namespace hypershift {
namespace {

constexpr char kRetryableUrl[] = "hypershift.dev/retryable";

absl::Status Mark(absl::Status status, const char* verdict) {
  if (!status.ok()) status.SetPayload(kRetryableUrl, absl::Cord(verdict));
  return status;
}

}  // namespace

absl::Status MarkRetryable(absl::Status status) { return Mark(std::move(status), "yes"); }

absl::Status MarkPermanent(absl::Status status) { return Mark(std::move(status), "no"); }

bool TaskIsRetryable(const absl::Status& status) {
  const absl::optional<absl::Cord> verdict = status.GetPayload(kRetryableUrl);
  if (verdict.has_value()) return *verdict == "yes";
  return IsRetryable(status);
}

}  // namespace hypershift
