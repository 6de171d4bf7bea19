// The reading half of a copy: runs the source's COPYs one after the other, looks at their rows, and puts their bytes
// into the ring, a part for each.
//
// Run() belongs to a thread of its own; Stop() to the thread that made it. What came of a part may be read by the
// ring's consumer once the ring has said that the part ended.
#ifndef HYPERSHIFT_WORKER_SOURCE_READ_H_
#define HYPERSHIFT_WORKER_SOURCE_READ_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "common/copy_connection.h"
#include "common/mutex.h"
#include "hypershift/v1/types.pb.h"
#include "worker/task_context.h"
#include "worker/tuple_digest.h"

namespace hypershift {

// One COPY: of the only one of a task, or of one of several tasks or chunks that share their transactions.
struct CopyPart {
  const v1::CopyWork* work = nullptr;
  const std::string* source_sql = nullptr;
  TaskProgress* progress = nullptr;  // Of its task: several parts add to the same one.
};

// What came of it.
struct PartRead {
  Digest digest;
  bool has_rewritable_fields = false;
  int64_t bytes = 0;
};

class SourceRead {
 public:
  // `source` has a transaction open on the snapshot. Arguments must outlive this.
  SourceRead(const std::vector<CopyPart>& parts, const TaskContext& task, CopyConnection* source);

  // Reads to the end, checks that the tables are still the ones that were planned, and finishes the ring with the
  // outcome. Ends the source transaction when all went well.
  void Run();

  // Makes Run() return soon, whatever the source is doing, and waits until it has.
  void Stop();

  const std::vector<PartRead>& results() const { return results_; }
  // libpq keeps buffers of twice this size for the rest of the connection's life.
  size_t largest_message_bytes() const { return largest_message_bytes_; }

 private:
  absl::Status StreamAll();
  absl::Status Stream(const CopyPart& part, PartRead* result);
  // Is held back by the worker's share of max_bytes_per_second, for as long as it takes.
  absl::Status Pay(const CopyPart& part, int64_t bytes);
  absl::Status CheckNotRewritten();
  absl::Status CheckPartitions(const v1::CopyWork& work);

  const std::vector<CopyPart>& parts_;
  const TaskContext& task_;
  CopyConnection* const source_;
  std::vector<PartRead> results_;  // One for each part, from the beginning.
  size_t largest_message_bytes_ = 0;
  int64_t unpaid_bytes_ = 0;
  std::atomic<bool> stopping_{false};

  Mutex mutex_;
  CondVar ended_changed_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_SOURCE_READ_H_
