// What a worker counts of itself for Prometheus: docs/metrics.md lists it.
//
// Thread-safe. Counts from the start of the process.
#ifndef HYPERSHIFT_WORKER_WORKER_METRICS_H_
#define HYPERSHIFT_WORKER_WORKER_METRICS_H_

#include <prometheus/collectable.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "common/metrics_text.h"
#include "common/mutex.h"
#include "hypershift/v1/types.pb.h"
#include "worker/task_context.h"

namespace hypershift {

class WorkerMetrics final : public prometheus::Collectable {
 public:
  enum class Outcome { kDone, kFailed, kRevoked };
  using Progress = std::shared_ptr<const TaskProgress>;

  WorkerMetrics(std::string name, std::string zone, int slots)
      : name_(std::move(name)), zone_(std::move(zone)), slots_(slots) {}

  // A slot begins with attempts, several if they share a transaction, and is free again. The waits are those of its
  // buffers.
  void BeginSlot(const std::vector<Progress>& attempts);
  void EndSlot(const std::vector<Progress>& attempts, absl::Duration waited_for_room, absl::Duration waited_for_rows);
  // An attempt has ended; `duration`: its share of what the slot took.
  void CountAttempt(const Progress& progress, v1::TaskKind::Kind kind, Outcome outcome, absl::Duration duration);
  void SetConnected(bool connected);
  void SetHoldsSnapshot(bool holds);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  void AddCopies(MetricFamilies* out) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string name_;
  const std::string zone_;
  const int slots_;

  mutable Mutex mutex_;
  std::set<Progress> running_ ABSL_GUARDED_BY(mutex_);
  int busy_slots_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::pair<v1::TaskKind::Kind, Outcome>, int64_t> ended_ ABSL_GUARDED_BY(mutex_);
  std::map<v1::TaskKind::Kind, DurationHistogram> durations_ ABSL_GUARDED_BY(mutex_);
  int64_t rows_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t bytes_streamed_ ABSL_GUARDED_BY(mutex_) = 0;  // By attempts that have ended.
  absl::Duration waited_for_room_ ABSL_GUARDED_BY(mutex_);
  absl::Duration waited_for_rows_ ABSL_GUARDED_BY(mutex_);
  bool connected_ ABSL_GUARDED_BY(mutex_) = false;
  bool holds_snapshot_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_WORKER_METRICS_H_
