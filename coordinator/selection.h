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
  std::set<Oid> tables;     // Ordinary, partitioned and foreign tables to be there on the target.
  std::set<Oid> sequences;  // Whose values are set.
  bool everything = true;   // No filter at all.
};

Selection SelectTables(const Config& config, const Catalog& catalog);

struct SelectedEntries {
  std::vector<SchemaEntry> entries;
  std::vector<std::string> left_out;  // "view public.v: it needs public.t, which is not migrated".
  std::set<int> dropped;              // Dump ids, for the next section.
};

// Of one section's entries, those to be restored. `dropped` are the dump ids that an earlier section left out.
SelectedEntries SelectEntries(const std::vector<SchemaEntry>& entries, const Config& config, const Catalog& catalog,
                              const Selection& selection, const std::set<int>& dropped);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_SELECTION_H_
