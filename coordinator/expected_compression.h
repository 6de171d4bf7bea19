// How a hypertable that isn't there yet will be compressed, as far as its configuration tells.
//
// Pure. For showing a plan; what runs goes by what the target's catalog says once the hypertable has been made.
#ifndef HYPERSHIFT_COORDINATOR_EXPECTED_COMPRESSION_H_
#define HYPERSHIFT_COORDINATOR_EXPECTED_COMPRESSION_H_

#include "coordinator/hypertable_spec.h"
#include "coordinator/target_facts.h"

namespace hypershift {

struct ExpectedCompression {
  EffectiveCompression settings;
  // The last order-by column is one that nobody asked for, and that TimescaleDB is expected to add.
  bool assumed = false;
};

// Of a hypertable with `compress` in its configuration.
ExpectedCompression ExpectCompression(const HypertableSpec& hypertable);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_EXPECTED_COMPRESSION_H_
