// Which parts of the source a migration takes: tables by the configuration's filters, and with them the entries of the
// schema archive. What a filter drags along (a view on an excluded table) is named, never dropped silently.
//
// Pure functions.
#ifndef HYPERSHIFT_COORDINATOR_SELECTION_H_
#define HYPERSHIFT_COORDINATOR_SELECTION_H_

#include <set>
#include <string>
#include <vector>

#include "common/config.h"
#include "coordinator/catalog.h"
#include "coordinator/schema_archive.h"

namespace hypershift {

struct Selection {
  // Ordinary, partitioned and foreign tables to be there on the target; without the partitions of what becomes a
  // hypertable.
  std::set<Oid> tables;
  std::set<Oid> sequences;  // Whose values are set.
  bool everything = true;   // Nothing is left out.
};

Selection SelectTables(const Config& config, const Catalog& catalog);

struct SelectedEntries {
  std::vector<SchemaEntry> pre_data;  // In the order given.
  std::vector<SchemaEntry> post_data;
  std::vector<std::string> left_out;  // "VIEW public.v: it needs TABLE public.t, which is not migrated".
};

// The entries to be restored: what the filters let through, and whatever else that needs (types, functions, extensions,
// schemas), but no relation that the filters leave out: what needs such a one is left out as well.
SelectedEntries SelectEntries(const std::vector<SchemaEntry>& pre_data, const std::vector<SchemaEntry>& post_data,
                              const Config& config, const Catalog& catalog, const Selection& selection);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_SELECTION_H_
