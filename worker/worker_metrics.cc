#include "worker/worker_metrics.h"

#include "common/version.h"

namespace hypershift {
namespace {

std::string OutcomeLabel(WorkerMetrics::Outcome outcome) {
  if (outcome == WorkerMetrics::Outcome::kDone) return "done";
  return outcome == WorkerMetrics::Outcome::kFailed ? "failed" : "revoked";
}

}  // namespace

void WorkerMetrics::BeginSlot(const std::vector<Progress>& attempts) {
  MutexLock lock(&mutex_);
  running_.insert(attempts.begin(), attempts.end());
  ++busy_slots_;
}

void WorkerMetrics::EndSlot(const std::vector<Progress>& attempts, absl::Duration waited_for_room,
                            absl::Duration waited_for_rows) {
  MutexLock lock(&mutex_);
  for (const Progress& progress : attempts) running_.erase(progress);
  --busy_slots_;
  waited_for_room_ += waited_for_room;
  waited_for_rows_ += waited_for_rows;
}

void WorkerMetrics::CountAttempt(const Progress& progress, v1::TaskKind::Kind kind, Outcome outcome,
                                 absl::Duration duration) {
  MutexLock lock(&mutex_);
  ++ended_[{kind, outcome}];
  // A verification reads the target.
  const bool copy = kind == v1::TaskKind::KIND_COPY;
  if (copy) bytes_streamed_ += progress->bytes;
  if (outcome != Outcome::kDone) return;
  durations_[kind].Add(duration);
  if (!copy) return;
  rows_ += progress->rows;
  bytes_ += progress->bytes;
}

void WorkerMetrics::SetConnected(bool connected) {
  MutexLock lock(&mutex_);
  connected_ = connected;
}

void WorkerMetrics::SetHoldsSnapshot(bool holds) {
  MutexLock lock(&mutex_);
  holds_snapshot_ = holds;
}

void WorkerMetrics::AddCopies(MetricFamilies* out) const {
  out->Counter("hypershift_worker_rows_copied_total", "Rows of copies that have committed", static_cast<double>(rows_));
  out->Counter("hypershift_worker_bytes_copied_total", "Their bytes", static_cast<double>(bytes_));
  out->Counter("hypershift_worker_bytes_streamed_total", "Bytes read from the source by copies that have ended",
               static_cast<double>(bytes_streamed_));
  int64_t in_flight = 0;
  for (const Progress& progress : running_) in_flight += progress->bytes;
  out->Gauge("hypershift_worker_bytes_in_flight", "Bytes read by tasks that run", static_cast<double>(in_flight));
  out->Counter("hypershift_worker_waited_for_room_seconds_total", "How long readers have waited for the target",
               absl::ToDoubleSeconds(waited_for_room_));
  out->Counter("hypershift_worker_waited_for_rows_seconds_total", "How long writers have waited for the source",
               absl::ToDoubleSeconds(waited_for_rows_));
}

std::vector<prometheus::MetricFamily> WorkerMetrics::Collect() const {
  MetricFamilies out;
  MutexLock lock(&mutex_);
  out.Gauge("hypershift_build_info", "The program", 1, {{"version", kVersion}, {"program", "worker"}});
  out.Gauge("hypershift_worker_info", "The worker", 1, {{"worker", name_}, {"zone", zone_}});
  out.Gauge("hypershift_worker_coordinator_connected", "1 while a coordinator answers", connected_);
  out.Gauge("hypershift_worker_snapshot_held", "1 while its keeper holds the source's snapshot", holds_snapshot_);
  out.Gauge("hypershift_worker_slots_configured", "Tasks that it can run at a time", slots_);
  out.Gauge("hypershift_worker_slots_busy", "Slots that run a task", busy_slots_);
  AddCopies(&out);
  out.BeginCounter("hypershift_worker_tasks_total", "Attempts that have ended");
  for (const auto& [key, count] : ended_) {
    out.Add(static_cast<double>(count), {{"kind", KindLabel(key.first)}, {"outcome", OutcomeLabel(key.second)}});
  }
  out.BeginHistogram("hypershift_worker_task_duration_seconds", "Of attempts that are done");
  for (const auto& [kind, histogram] : durations_) out.Add(histogram, {{"kind", KindLabel(kind)}});
  return out.Take();
}

}  // namespace hypershift
