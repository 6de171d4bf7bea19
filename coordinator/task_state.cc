#include "coordinator/task_state.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace hypershift {
namespace {

// "STATE_PENDING" -> "pending".
std::string WithoutPrefix(const std::string& name, size_t prefix_length) {
  return absl::AsciiStrToLower(name.substr(prefix_length));
}

}  // namespace

std::string TaskStateName(TaskState::State state) { return WithoutPrefix(TaskState::State_Name(state), 6); }

std::string TaskKindName(TaskKind::Kind kind) { return WithoutPrefix(TaskKind::Kind_Name(kind), 5); }

absl::StatusOr<TaskState::State> ParseTaskState(absl::string_view name) {
  TaskState::State state;
  if (TaskState::State_Parse(absl::StrCat("STATE_", absl::AsciiStrToUpper(name)), &state)) return state;
  return absl::DataLossError(absl::StrCat("the journal holds an unknown task state '", name, "'"));
}

absl::StatusOr<TaskKind::Kind> ParseTaskKind(absl::string_view name) {
  TaskKind::Kind kind;
  if (TaskKind::Kind_Parse(absl::StrCat("KIND_", absl::AsciiStrToUpper(name)), &kind)) return kind;
  return absl::DataLossError(absl::StrCat("the journal holds an unknown kind of task '", name, "'"));
}

}  // namespace hypershift
