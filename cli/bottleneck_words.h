// What holds copies up, and how far servers are away, in words for the status and the list of workers.
//
// Pure functions; any thread.
#ifndef HYPERSHIFT_CLI_BOTTLENECK_WORDS_H_
#define HYPERSHIFT_CLI_BOTTLENECK_WORDS_H_

#include <string>

#include "hypershift/v1/types.pb.h"

namespace hypershift {

// "source read", "link", "target write", "limit"; empty if it is not known.
std::string BottleneckInWords(v1::Bottleneck::Part part);
// A round trip to the source and to the target: "0.3 / 51 ms"; "-" for one that is not known, empty if neither is.
std::string LatenciesInWords(const v1::WorkerInfo& worker);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_BOTTLENECK_WORDS_H_
