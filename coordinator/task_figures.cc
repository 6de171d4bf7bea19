#include "coordinator/task_figures.h"

#include <algorithm>

#include "common/proto_time.h"
#include "coordinator/task_state.h"

namespace hypershift {
namespace {

constexpr size_t kMaxErrors = 100;

}  // namespace

void TaskFigures::Add(const v1::TaskInfo& task) {
  OfKind& kind = kinds[task.kind()];
  kind.retries += std::max(task.attempt() - 1, 0);
  switch (task.state()) {
    case TaskState::STATE_LEASED:
      ++kind.leased;
      break;
    case TaskState::STATE_DONE:
      ++kind.done;
      if (task.has_started_at() && task.has_finished_at()) {
        kind.durations.Add(FromProto(task.finished_at()) - FromProto(task.started_at()));
      }
      break;
    case TaskState::STATE_FAILED:
      ++kind.failed;
      break;
    default:
      ++kind.pending;
  }
  if (task.has_range_start()) {
    if (last_.second == nullptr || last_.first != task.table()) last_ = {task.table(), &ranges[task.table()]};
    last_.second->Add(task);
  }
  if (task.error().empty() || task.state() == TaskState::STATE_DONE) return;
  ++errors_total;
  std::vector<v1::TaskInfo>& list = task.state() == TaskState::STATE_FAILED ? errors : retried_;
  if (list.size() < kMaxErrors) list.push_back(task);
}

void TaskFigures::Finish() {
  for (auto& [table, map] : ranges) map.Finish();
  for (v1::TaskInfo& task : retried_) {
    if (errors.size() < kMaxErrors) errors.push_back(std::move(task));
  }
  retried_.clear();
  last_.second = nullptr;
}

}  // namespace hypershift
