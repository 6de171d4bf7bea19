// What metrics and the web page know of a migration: read through MigrationService alone, like any other client, and
// kept for as long as reading it anew would be too dear.
//
// Thread-safe. Owns a thread that samples the throughput once a second.
#ifndef HYPERSHIFT_COORDINATOR_MIGRATION_READER_H_
#define HYPERSHIFT_COORDINATOR_MIGRATION_READER_H_

#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/mutex.h"
#include "coordinator/paced_cache.h"
#include "coordinator/task_figures.h"
#include "coordinator/throughput_history.h"
#include "hypershift/v1/migration.grpc.pb.h"

namespace hypershift {

// Made anew at least once a second while somebody asks.
struct MigrationOverview {
  absl::Time read_at;
  v1::MigrationInfo migration;
  std::vector<v1::TableInfo> tables;
  std::vector<v1::WorkerInfo> workers;
};

class MigrationReader {
 public:
  using Stub = v1::MigrationService::StubInterface;

  explicit MigrationReader(std::unique_ptr<Stub> stub);
  ~MigrationReader();

  absl::StatusOr<std::shared_ptr<const MigrationOverview>> Overview() { return overview_.Get(); }
  absl::StatusOr<std::shared_ptr<const TaskFigures>> Tasks() { return tasks_.Get(); }
  // What is kept is out of date.
  void Expire() {
    overview_.Expire();
    tasks_.Expire();
  }
  // How long it took to read both, the last time.
  absl::Duration cost() const { return overview_.cost() + tasks_.cost(); }
  ThroughputHistory Throughput() const;

  // Steering. Errors are the service's.
  absl::Status Pause();
  absl::Status Resume();
  absl::StatusOr<int64_t> RetryTable(const std::string& table);

 private:
  absl::StatusOr<MigrationOverview> ReadOverview();
  absl::StatusOr<TaskFigures> ReadTasks();
  void SampleLoop();

  const std::unique_ptr<Stub> stub_;
  PacedCache<MigrationOverview> overview_;
  PacedCache<TaskFigures> tasks_;

  mutable Mutex mutex_;
  CondVar changed_;
  ThroughputHistory throughput_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread sampler_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_MIGRATION_READER_H_
