#include <gtest/gtest.h>

#include <map>

#include "coordinator/task_state.h"

namespace hypershift {
namespace {

constexpr std::array kStates = {TaskState::STATE_PENDING, TaskState::STATE_LEASED, TaskState::STATE_DONE,
                                TaskState::STATE_FAILED};
constexpr std::array kEvents = {TaskEvent::kLease, TaskEvent::kFinish, TaskEvent::kRelease,
                                TaskEvent::kFail,  TaskEvent::kRetry,  TaskEvent::kRedo};

// Promise: exactly these transitions exist; every other pair of state and event is refused.
TEST(TaskStateTest, FullProductOfStatesAndEvents) {
  const std::map<std::pair<TaskState::State, TaskEvent>, TaskState::State> expected = {
      {{TaskState::STATE_PENDING, TaskEvent::kLease}, TaskState::STATE_LEASED},
      {{TaskState::STATE_LEASED, TaskEvent::kFinish}, TaskState::STATE_DONE},
      {{TaskState::STATE_LEASED, TaskEvent::kRelease}, TaskState::STATE_PENDING},
      {{TaskState::STATE_LEASED, TaskEvent::kFail}, TaskState::STATE_FAILED},
      {{TaskState::STATE_FAILED, TaskEvent::kRetry}, TaskState::STATE_PENDING},
      {{TaskState::STATE_FAILED, TaskEvent::kRedo}, TaskState::STATE_PENDING},
      {{TaskState::STATE_DONE, TaskEvent::kRedo}, TaskState::STATE_PENDING},
      {{TaskState::STATE_PENDING, TaskEvent::kRedo}, TaskState::STATE_PENDING},
  };
  for (TaskState::State state : kStates) {
    for (TaskEvent event : kEvents) {
      const auto found = expected.find({state, event});
      const std::optional<TaskState::State> next = NextTaskState(state, event);
      EXPECT_EQ(next.has_value(), found != expected.end()) << TaskStateName(state) << " " << static_cast<int>(event);
      if (next.has_value() && found != expected.end()) {
        EXPECT_EQ(*next, found->second);
      }
    }
  }
}

// Promise: what is done stays done but for an explicit redo, so no lease can double its rows.
TEST(TaskStateTest, DoneIsLeftOnlyByRedo) {
  for (TaskEvent event : kEvents) {
    EXPECT_EQ(NextTaskState(TaskState::STATE_DONE, event).has_value(), event == TaskEvent::kRedo);
  }
}

TEST(TaskStateTest, NamesInTheJournalRoundTrip) {
  for (TaskState::State state : kStates) EXPECT_EQ(*ParseTaskState(TaskStateName(state)), state);
  for (int kind = TaskKind::KIND_PREPARE_CHUNK; kind <= TaskKind::KIND_VERIFY; ++kind) {
    EXPECT_EQ(*ParseTaskKind(TaskKindName(static_cast<TaskKind::Kind>(kind))), kind);
  }
  EXPECT_EQ(ParseTaskState("lost").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ParseTaskKind("dance").status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace hypershift
