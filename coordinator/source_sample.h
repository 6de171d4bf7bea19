// How fast the source is read, measured for a few seconds: what can be said of a migration's time before it writes.
//
// Reads the beginnings of some tables in read-only transactions, by one session, as a copy would but unsorted.
#ifndef HYPERSHIFT_COORDINATOR_SOURCE_SAMPLE_H_
#define HYPERSHIFT_COORDINATOR_SOURCE_SAMPLE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/connection_string.h"
#include "coordinator/catalog.h"

namespace hypershift {

struct SourceSample {
  std::vector<QualifiedName> tables;
  int64_t rows = 0;
  int64_t copy_bytes = 0;   // As COPY sent them.
  int64_t table_bytes = 0;  // What they take in their tables: the unit of the plan's estimates.
  absl::Duration elapsed;

  // 0 = too little was there to measure by.
  double TableBytesPerSecond() const;
};

// Of these tables one after the other, each for its share of `limit`. Errors as for PgSession::Open, or by SQLSTATE: a
// lock or a time limit too.
absl::StatusOr<SourceSample> SampleSource(const ConnectionString& source, const std::vector<const Table*>& tables,
                                          absl::Duration limit);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_SOURCE_SAMPLE_H_
