// By which column a large table is cut whose rows can't be cut by where they lie on the disk.
//
// Pure.
#ifndef HYPERSHIFT_COORDINATOR_SPLIT_KEY_H_
#define HYPERSHIFT_COORDINATOR_SPLIT_KEY_H_

#include <optional>

#include "common/config.h"
#include "coordinator/catalog.h"
#include "coordinator/time_column.h"

namespace hypershift {

// PostgreSQL 14 came with scans of ctid ranges; before it, each range by ctid would read the whole table.
bool ScansCtidRanges(const Catalog& catalog);

// Large enough to be cut at all.
bool IsWorthCutting(const Table& table, const Config& config);

// The first column of the primary key, if it is an integer or a time; nullopt where there is no such key, or where ctid
// ranges do.
std::optional<TimeColumn> FindSplitKey(const Catalog& catalog, const Table& table, const Config& config);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_SPLIT_KEY_H_
