// Promise: what status shows of a task is that task's, however many there are and in whatever order they come.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "coordinator/task_details.h"

namespace hypershift {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1000);

TaskRow MakeRow(TaskId id, TaskState::State state = TaskState::STATE_PENDING) {
  TaskRow row;
  row.task.id = id;
  row.task.state = state;
  // Some longer than a block.
  row.description = std::string(static_cast<size_t>(id % 100 == 0 ? 300'000 : id % 50), 'a') + std::to_string(id);
  row.started_at = state == TaskState::STATE_DONE ? kNow : absl::InfinitePast();
  row.finished_at = state == TaskState::STATE_DONE ? kNow + absl::Seconds(id) : absl::InfinitePast();
  row.digest.set_rows(id);
  return row;
}

TEST(TaskDetailsTest, KeepsEachTasksOwn) {
  std::vector<TaskRow> rows;
  for (TaskId id = 2; id <= 2000; id += 2) {
    rows.push_back(MakeRow(id, id % 3 == 0 ? TaskState::STATE_DONE : TaskState::STATE_PENDING));
  }
  std::shuffle(rows.begin(), rows.end(), std::mt19937(1));
  const TaskDetails details(rows);
  for (const TaskRow& row : rows) {
    const TaskId id = row.task.id;
    EXPECT_EQ(details.Description(id), row.description);
    EXPECT_EQ(details.StartedAt(id), row.started_at);
    EXPECT_EQ(details.FinishedAt(id), row.finished_at);
    EXPECT_EQ(details.DigestOf(id).rows(), row.task.state == TaskState::STATE_DONE ? id : 0);
    EXPECT_EQ(details.Description(id + 1), "");
    EXPECT_EQ(details.StartedAt(id - 1), absl::InfinitePast());
  }
}

TEST(TaskDetailsTest, ProgressEndsWithTheAttempt) {
  TaskDetails details(std::vector<TaskRow>{MakeRow(1), MakeRow(2)});
  details.Start(1, kNow);
  details.SetProgress(1, {10, 100});
  EXPECT_EQ(details.ProgressOf(1).bytes, 100);
  EXPECT_EQ(details.ProgressOf(2).bytes, 0);
  details.Start(1, kNow + absl::Seconds(5));
  EXPECT_EQ(details.ProgressOf(1).rows, 0);
  EXPECT_EQ(details.StartedAt(1), kNow + absl::Seconds(5));
  details.SetProgress(1, {20, 200});
  details.Finish(MakeRow(1, TaskState::STATE_DONE));
  EXPECT_EQ(details.ProgressOf(1).rows, 0);
  EXPECT_EQ(details.FinishedAt(1), kNow + absl::Seconds(1));
  EXPECT_EQ(details.DigestOf(1).rows(), 1);
}

TEST(TaskDetailsTest, ForgetsDigestsThatNobodyCompares) {
  TaskDetails details;
  details.KeepDigests(false);
  details.Add(MakeRow(1, TaskState::STATE_DONE));
  EXPECT_EQ(details.DigestOf(1).rows(), 0);
  EXPECT_EQ(details.FinishedAt(1), kNow + absl::Seconds(1));
}

}  // namespace
}  // namespace hypershift
