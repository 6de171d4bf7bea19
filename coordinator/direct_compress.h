// The settings under which a COPY fills a compressed chunk, and whether its rows may be declared sorted.
//
// Pure.
#ifndef HYPERSHIFT_COORDINATOR_DIRECT_COMPRESS_H_
#define HYPERSHIFT_COORDINATOR_DIRECT_COMPRESS_H_

#include "coordinator/hypertable_spec.h"
#include "coordinator/target_facts.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

// Whether rows may be sent as sorted. In every other case ORDER BY could silently be wrong afterwards.
bool MaySendSorted(const TargetFacts& target, const HypertableSpec& hypertable,
                   const EffectiveCompression& compression);

void AddDirectCompressSettings(const TargetFacts& target, bool sorted, v1::CopyWork* copy);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_DIRECT_COMPRESS_H_
