// What holds up the copies of a worker, by what its sessions on both servers wait for.
//
// Pure; not thread-safe. A COPY on the source that waits to send (ClientWrite) has rows that nobody takes; one on the
// target that waits to be sent some (ClientRead) could take more. If both wait, it is what lies between: the links, the
// worker itself, or a limit on bytes per second.
#ifndef HYPERSHIFT_COORDINATOR_BOTTLENECK_H_
#define HYPERSHIFT_COORDINATOR_BOTTLENECK_H_

#include <deque>

#include "hypershift/v1/types.pb.h"

namespace hypershift {

// COPY sessions of one worker at one moment, and how many of them wait for the worker.
struct CopySessions {
  int source = 0;
  int source_waits = 0;
  int target = 0;
  int target_waits = 0;
};

// What was seen at the last moments at which anything was copied.
class CopyLooks {
 public:
  void Add(const CopySessions& sessions);
  // `limited`: the worker takes as many bytes per second as it may. Unspecified until enough was seen.
  v1::Bottleneck::Part Judge(bool limited) const;

  CopyLooks& operator+=(const CopyLooks& other);

 private:
  std::deque<CopySessions> looks_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_BOTTLENECK_H_
