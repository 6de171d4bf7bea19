// The life of a task: one transition table, and the pure function that reads it.
//
//   pending --lease--> leased --finish--> done
//      ^                 |  \--fail------> failed --retry--> pending
//      \----release------/   (release: a retryable error, an expired lease, a stopping worker)
//
// done is final but for `redo` (a table that is started again from nothing, or a verification that is repeated).
// No I/O, no clock, no threads.
#ifndef HYPERSHIFT_COORDINATOR_TASK_STATE_H_
#define HYPERSHIFT_COORDINATOR_TASK_STATE_H_

#include <array>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

using v1::TaskKind;
using v1::TaskState;

enum class TaskEvent { kLease, kFinish, kRelease, kFail, kRetry, kRedo };

struct TaskTransition {
  TaskState::State from;
  TaskEvent event;
  TaskState::State to;
};

inline constexpr std::array<TaskTransition, 8> kTaskTransitions = {{
    {TaskState::STATE_PENDING, TaskEvent::kLease, TaskState::STATE_LEASED},
    {TaskState::STATE_LEASED, TaskEvent::kFinish, TaskState::STATE_DONE},
    {TaskState::STATE_LEASED, TaskEvent::kRelease, TaskState::STATE_PENDING},
    {TaskState::STATE_LEASED, TaskEvent::kFail, TaskState::STATE_FAILED},
    {TaskState::STATE_FAILED, TaskEvent::kRetry, TaskState::STATE_PENDING},
    {TaskState::STATE_FAILED, TaskEvent::kRedo, TaskState::STATE_PENDING},
    {TaskState::STATE_DONE, TaskEvent::kRedo, TaskState::STATE_PENDING},
    {TaskState::STATE_PENDING, TaskEvent::kRedo, TaskState::STATE_PENDING},
}};

constexpr std::optional<TaskState::State> NextTaskState(TaskState::State from, TaskEvent event) {
  for (const TaskTransition& transition : kTaskTransitions) {
    if (transition.from == from && transition.event == event) return transition.to;
  }
  return std::nullopt;
}

// Names as the journal has them: "pending", "leased", "done", "failed"; "copy", "prepare_chunk", ….
std::string TaskStateName(TaskState::State state);
std::string TaskKindName(TaskKind::Kind kind);
// kDataLoss: the journal holds a name this version does not know.
absl::StatusOr<TaskState::State> ParseTaskState(absl::string_view name);
absl::StatusOr<TaskKind::Kind> ParseTaskKind(absl::string_view name);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_TASK_STATE_H_
