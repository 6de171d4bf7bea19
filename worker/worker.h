// A worker: leases tasks from a coordinator and runs them against source and target, `slots` at a time, while its
// keeper holds the migration's snapshot open. With no slots it is nothing but a keeper.
//
// Owns its threads and connections; ends them in Run(). Run() is called once; Stop() from any thread.
#ifndef HYPERSHIFT_WORKER_WORKER_H_
#define HYPERSHIFT_WORKER_WORKER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/connection_string.h"
#include "common/transport_security.h"

namespace hypershift {

class WorkerMetrics;

struct WorkerOptions {
  // Tried in turn. Beside these, a worker that has lost its coordinator asks the journal on the target for the leader.
  std::vector<std::string> coordinators;
  TransportSecurity security;
  // What is empty is asked of the coordinator.
  ConnectionString source;
  ConnectionString target;
  std::string name;
  std::string zone;
  int slots = 4;
  // Empty: learnt from the coordinator. Who knows it already need not have reached one to know when it is over.
  std::string migration;
  // How long to go on without a coordinator (holding the snapshot) before giving up. The coordinator's answer to
  // Register replaces it.
  absl::Duration keeper_grace = absl::Minutes(15);
  // Buffers per slot between reading and writing: this many, of this size.
  int buffers_per_slot = 8;
  int64_t buffer_bytes = 1 << 20;
  // Told of everything that is counted; null = nobody counts. Outlives the worker.
  WorkerMetrics* metrics = nullptr;
};

class Worker {
 public:
  virtual ~Worker() = default;

  static std::unique_ptr<Worker> Create(WorkerOptions options);

  // Runs until the coordinator says the migration has ended (OK), Stop() was called (OK), or no coordinator has been
  // reached for the grace time (kUnavailable).
  virtual absl::Status Run() = 0;

  // Takes no more tasks and ends when the running ones have ended; at_once: cancels and rolls them back.
  virtual void Stop(bool at_once) = 0;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_WORKER_H_
