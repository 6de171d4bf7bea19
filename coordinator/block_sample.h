// A look at some blocks of a table, evenly over all of it: which times lie where.
#ifndef HYPERSHIFT_COORDINATOR_BLOCK_SAMPLE_H_
#define HYPERSHIFT_COORDINATOR_BLOCK_SAMPLE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/pg_session.h"
#include "coordinator/block_order.h"
#include "coordinator/time_column.h"

namespace hypershift {

// The most blocks that are read of one hypertable's source, which is 64 MiB.
inline constexpr int64_t kMostSampledBlocks = 8192;

// Which blocks of so many to look at: ascending, the first and the last among them; one in 2 MiB, but no fewer than 256
// where there are so many, and no more than `most`. Pure.
std::vector<int64_t> SampledBlocks(int64_t blocks, int64_t most);

// Whether the statistics say that the order of the column has nothing to do with that of the blocks, so that there is
// no need to look. False without statistics.
absl::StatusOr<bool> IsKnownUnordered(PgSession* session, const TimeColumn& column, const Table& table);

// Some rows of each of these blocks, in their order, as the session's snapshot sees them; NULL and infinite times left
// out. A block whose first rows are dead gives none. Reads these blocks and no others. The session must be in a
// transaction.
absl::StatusOr<std::vector<BlockSample>> SampleBlocks(PgSession* session, const TimeColumn& column, const Table& table,
                                                      const std::vector<int64_t>& blocks);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_BLOCK_SAMPLE_H_
