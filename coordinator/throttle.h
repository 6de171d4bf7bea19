// Whether what was measured of the servers holds leasing back, and why.
//
// A limit holds from the first measurement above it until none has been above it for three seconds. A server that gives
// no answer holds nobody back for ever: its last one counts for half a minute, then the limit is left out, and a
// warning says so. Pure: now is passed in. Not thread-safe.
#ifndef HYPERSHIFT_COORDINATOR_THROTTLE_H_
#define HYPERSHIFT_COORDINATOR_THROTTLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

enum class Gauge {
  kSourceLoad,      // Active sessions of others.
  kReplicationLag,  // Milliseconds, of the slowest stand-by.
  kTargetWal,       // Bytes since the last checkpoint.
};

class Throttle {
 public:
  // `where`: of a lag, whose it is. An error: no answer.
  void TakeIn(Gauge gauge, const absl::StatusOr<int64_t>& measured, const std::string& where, absl::Time now);
  // It is not measured any more.
  void Forget(Gauge gauge) { gauges_.erase(gauge); }

  // Why nothing is leased, in one line without a full stop; empty: nothing holds.
  std::string Reason(const v1::Limits& limits, absl::Time now);
  // Limits that can't hold, since nobody answers.
  std::vector<std::string> Warnings(const v1::Limits& limits, absl::Time now) const;

 private:
  struct State {
    std::optional<int64_t> value;
    absl::Time answered_at = absl::InfinitePast();
    absl::Time asked_since = absl::InfiniteFuture();
    absl::Time above_at = absl::InfinitePast();
    absl::Status error;
    std::string where;
  };
  std::map<Gauge, State> gauges_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_THROTTLE_H_
