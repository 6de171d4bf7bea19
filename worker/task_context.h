// What the functions that run a task are given besides the work itself.
#ifndef HYPERSHIFT_WORKER_TASK_CONTEXT_H_
#define HYPERSHIFT_WORKER_TASK_CONTEXT_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "hypershift/v1/types.pb.h"
#include "worker/buffer_ring.h"
#include "worker/rate_limit.h"
#include "worker/round_trips.h"
#include "worker/slot_connections.h"

namespace hypershift {

// How far an attempt is, and whether it should go on. Any thread.
struct TaskProgress {
  std::atomic<int64_t> rows{0};
  std::atomic<int64_t> bytes{0};
  std::atomic<bool> cancelled{false};

  // kCancelled once somebody has asked for it.
  absl::Status CheckCancelled() const {
    if (!cancelled.load(std::memory_order_relaxed)) return absl::OkStatus();
    return absl::CancelledError("the attempt was cancelled");
  }
};

// Pointers are the slot's and outlive the attempt.
struct TaskContext {
  int64_t id = 0;
  int32_t attempt = 0;
  v1::TaskKind::Kind kind = v1::TaskKind::KIND_UNSPECIFIED;
  SlotConnections* connections = nullptr;
  BufferRing* ring = nullptr;
  TaskProgress* progress = nullptr;
  RateLimit* rate_limit = nullptr;    // The worker's; null = none.
  RoundTrips* round_trips = nullptr;  // The worker's; null = nobody asks.

  // For failpoints.
  const std::string& kind_name() const { return v1::TaskKind::Kind_Name(kind); }
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_TASK_CONTEXT_H_
