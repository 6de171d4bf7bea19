// Renews a coordinator's lead while it sets a migration up.
//
// A dump, a restored schema or a large plan can take longer than a lead lasts, and a stand-by must not depose a
// coordinator that lives. Once ranges run, every turn of the run loop renews the lead, so that a run loop that hangs is
// deposed.
//
// Owns a thread and a session. Errors are nobody's concern: whoever has lost the lead learns it from its next write.
#ifndef HYPERSHIFT_COORDINATOR_LEAD_RENEWAL_H_
#define HYPERSHIFT_COORDINATOR_LEAD_RENEWAL_H_

#include <cstdint>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "common/connection_string.h"
#include "common/mutex.h"
#include "common/pg_session.h"

namespace hypershift {

// $1 epoch, $2 seconds. Hits no row once another coordinator has taken the lead.
inline constexpr char kRenewLeadSql[] = R"sql(
UPDATE _hypershift.leader SET expires_at = clock_timestamp() + make_interval(secs => $2)
 WHERE epoch = $1
)sql";

class LeadRenewal {
 public:
  // Begins at once.
  LeadRenewal(ConnectionString target, int64_t epoch, absl::Duration lease);
  // Waits for a renewal under way.
  ~LeadRenewal();
  LeadRenewal(const LeadRenewal&) = delete;
  LeadRenewal& operator=(const LeadRenewal&) = delete;

 private:
  void Loop();
  // Whether there is anything left to renew.
  bool Renew();

  const ConnectionString target_;
  const int64_t epoch_;
  const absl::Duration lease_;
  std::unique_ptr<PgSession> session_;  // The thread's.
  Mutex mutex_;
  CondVar changed_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_LEAD_RENEWAL_H_
