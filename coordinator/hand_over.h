// Whether the last ranges are in the wrong hands: a migration must not wait for its slowest worker while another one
// has nothing to do and would be done sooner.
//
// Pure. Handing over is safe since the old attempt can't commit any more once the new one is leased.
#ifndef HYPERSHIFT_COORDINATOR_HAND_OVER_H_
#define HYPERSHIFT_COORDINATOR_HAND_OVER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace hypershift {

// A range that somebody copies.
struct RunningCopy {
  int64_t id = 0;
  int attempt = 0;
  std::string worker;
  absl::Duration running;
  int64_t bytes_done = 0;
  int64_t bytes_total = 0;  // An estimate.
};

// A worker with free slots, and what one of its slots copies.
struct Helper {
  std::string worker;
  int free_slots = 0;
  double slot_bytes_per_second = 0;  // 0: not known.
};

struct HandOver {
  int64_t id = 0;
  int attempt = 0;
  std::string from;
  std::string to;
};

// For when nothing waits for a free slot any more. The range with most time left goes to the fastest helper, and so on;
// only if the helper, who begins it anew, is done in much less than that time.
std::vector<HandOver> ChooseHandOvers(const std::vector<RunningCopy>& copies, std::vector<Helper> helpers);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_HAND_OVER_H_
