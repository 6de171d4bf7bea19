// Renews a coordinator's lead while its main thread is busy for longer than a lease lasts: with a dump, a plan, a large
// transaction. Without it a stand-by would take over, be as busy with the same, and lose the lead in turn, without end.
//
// Owns a thread and a session to the target, opened again after a loss. Errors are nobody's concern: whoever lost the
// lead finds out at its next write.
#ifndef HYPERSHIFT_COORDINATOR_LEAD_KEEPER_H_
#define HYPERSHIFT_COORDINATOR_LEAD_KEEPER_H_

#include <cstdint>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "common/connection_string.h"
#include "common/mutex.h"
#include "common/pg_session.h"

namespace hypershift {

class LeadKeeper {
 public:
  // Begins at once.
  LeadKeeper(ConnectionString target, int64_t epoch, absl::Duration leader_lease);
  // From here on the lead is not renewed any more. Waits for a renewal that is under way.
  ~LeadKeeper();
  LeadKeeper(const LeadKeeper&) = delete;
  LeadKeeper& operator=(const LeadKeeper&) = delete;

 private:
  void Loop();
  void Renew();

  const ConnectionString target_;
  const int64_t epoch_;
  const absl::Duration leader_lease_;
  std::unique_ptr<PgSession> session_;  // Of the thread.
  Mutex mutex_;
  CondVar changed_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_LEAD_KEEPER_H_
