// The reading half of a copy task: runs the source's COPY, looks at its rows, and puts its bytes into the ring.
//
// Run() belongs to a thread of its own; Stop() to the thread that made it. The results may be read by the ring's
// consumer once the ring has said that the stream ended well.
#ifndef HYPERSHIFT_WORKER_SOURCE_READ_H_
#define HYPERSHIFT_WORKER_SOURCE_READ_H_

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "common/copy_connection.h"
#include "common/mutex.h"
#include "hypershift/v1/types.pb.h"
#include "worker/stream_digest.h"
#include "worker/task_context.h"

namespace hypershift {

class SourceRead {
 public:
  // `source` has a transaction open on the snapshot. Arguments must outlive this.
  SourceRead(const v1::CopyWork& work, const TaskContext& task, CopyConnection* source);

  // Reads to the end, checks that the table is still the one that was planned, and finishes the ring with the outcome.
  // Ends the source transaction when all went well.
  void Run();

  // Makes Run() return soon, whatever the source is doing, and waits until it has.
  void Stop();

  int64_t rows() const { return digest_.digest().rows; }
  int64_t bytes() const { return bytes_; }
  const StreamDigest& digest() const { return digest_; }
  // libpq keeps buffers of twice this size for the rest of the connection's life.
  size_t largest_message_bytes() const { return largest_message_bytes_; }

 private:
  absl::Status Stream();
  // Is held back by the worker's share of max_bytes_per_second, for as long as it takes.
  absl::Status Pay(int64_t bytes);
  absl::Status CheckNotRewritten();

  const v1::CopyWork& work_;
  const TaskContext& task_;
  CopyConnection* const source_;
  StreamDigest digest_;
  int64_t bytes_ = 0;
  size_t largest_message_bytes_ = 0;
  int64_t unpaid_bytes_ = 0;
  std::atomic<bool> stopping_{false};

  Mutex mutex_;
  CondVar ended_changed_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_SOURCE_READ_H_
