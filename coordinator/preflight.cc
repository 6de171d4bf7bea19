#include "coordinator/preflight.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace hypershift {
namespace {

// PostgreSQL before 12 lacks generated columns in its catalog; TimescaleDB before 2.0 another API.
constexpr int kOldestSource = 120000;
constexpr int kOldestTimescale = 2000;
// Locks that a key over a hypertable takes per chunk, measured: 3,028 for 500 chunks.
constexpr int64_t kLocksPerChunk = 7;
// Measured with 40 chunks made in one transaction: 248, and 652 when they were compressed as well.
constexpr int64_t kLocksPerNewChunk = 6;
constexpr int64_t kLocksPerChunkCompressedEmpty = 16;

class Preflight {
 public:
  explicit Preflight(const PreflightInput& input) : in_(input) {}

  std::vector<Finding> Run() {
    CheckServers();
    CheckFilters();
    CheckTargetIsEmpty();
    CheckExtensions();
    if (!in_.hypertables.empty()) CheckTimescale();
    for (const HypertableSpec& hypertable : in_.hypertables) CheckHypertable(hypertable);
    CheckConstraints();
    CheckLocks();
    return std::move(findings_);
  }

 private:
  template <typename... Parts>
  void Fail(const Parts&... parts) {
    findings_.push_back({FindingLevel::kFail, absl::StrCat(parts...)});
  }
  template <typename... Parts>
  void Warn(const Parts&... parts) {
    findings_.push_back({FindingLevel::kWarn, absl::StrCat(parts...)});
  }

  void CheckServers() {
    const int source_major = in_.catalog.server_version / 10000;
    if (in_.catalog.server_version < kOldestSource) {
      Fail("source: PostgreSQL ", source_major, " is too old: this program reads PostgreSQL 12 and later");
    }
    if (in_.pg_dump_major < source_major) {
      Fail("pg_dump: version ", in_.pg_dump_major, " is older than the source's PostgreSQL ", source_major,
           ": install postgresql-client-", source_major, " or newer and put it first in PATH");
    }
    if (!in_.catalog.hypertables.empty()) {
      Fail("source: ", in_.catalog.hypertables.front().Display(), " is a hypertable already (",
           in_.catalog.hypertables.size(), " in all): a source with hypertables is not supported yet");
    }
    const auto tables = static_cast<int64_t>(in_.catalog.tables.size());
    if (tables > in_.catalog.max_locks) {
      Warn("source: pg_dump locks each of the ", tables, " tables at once, the server has room for ",
           in_.catalog.max_locks,
           " locks: should it fail by that, raise max_locks_per_transaction there and restart it");
    }
    if (in_.catalog.in_recovery && !in_.catalog.hot_standby_feedback && !in_.catalog.waits_for_queries) {
      Fail(
          "source: the server is a stand-by that ends long transactions when they hinder replay, and with them the "
          "snapshot: set hot_standby_feedback = on, or max_standby_streaming_delay and max_standby_archive_delay = -1 "
          "there, or use the primary");
    }
    if (in_.target.in_recovery) Fail("target: the server is a stand-by and takes no writes: connect to the primary");
    if (!in_.target.may_create) {
      Fail("target: the role may not create schemas there: GRANT CREATE ON DATABASE … TO it, or connect as the owner");
    }
    if (in_.catalog.encoding == "SQL_ASCII") {
      Warn(
          "source: encoding SQL_ASCII does not say what its bytes mean: rows that are no valid UTF-8 will be refused "
          "by the "
          "target");
    }
  }

  void CheckFilters() {
    for (const QualifiedName& name : in_.config.filter.include_tables) CheckTableName("include_tables", name);
    for (const QualifiedName& name : in_.config.filter.exclude_tables) CheckTableName("exclude_tables", name);
    for (const auto& [name, priority] : in_.config.table_priorities) CheckTableName("table_priorities", name);
    for (const HypertableSpec& hypertable : in_.hypertables) CheckLeavesAreWanted(*hypertable.table);
    CheckSchemaNames("include_schemas", in_.config.filter.include_schemas);
    CheckSchemaNames("exclude_schemas", in_.config.filter.exclude_schemas);
    for (const HypertableSpec& hypertable : in_.hypertables) {
      if (in_.selection.tables.count(hypertable.table->oid) == 0) {
        Fail("hypertable_configs: ", hypertable.table->name.Display(),
             ": the filters leave this table out: remove the entry or change the filter");
      }
    }
    if (in_.selection.tables.empty()) Warn("source: no table is left to migrate: check the filters and the database");
  }

  void CheckTableName(const std::string& key, const QualifiedName& name) {
    if (in_.catalog.FindTable(name) != nullptr) return;
    std::vector<std::string> candidates;
    for (const auto& [oid, table] : in_.catalog.tables) candidates.push_back(table.name.Display());
    const std::string nearest = NearestName(name.Display(), candidates);
    Fail(key, ": ", name.Display(), ": the source has no such table",
         nearest.empty() ? "" : absl::StrCat(" (did you mean '", nearest, "'?)"));
  }

  // Its rows are read through the partitioned table.
  void CheckLeavesAreWanted(const Table& table) {
    const auto& excluded = in_.config.filter.exclude_tables;
    for (Oid leaf : table.leaves) {
      const QualifiedName& name = in_.catalog.tables.at(leaf).name;
      if (std::find(excluded.begin(), excluded.end(), name) == excluded.end()) continue;
      Fail("exclude_tables: ", name.Display(), ": it is a partition of ", table.name.Display(),
           ", which becomes one hypertable with all its rows: detach it on the source, or don't leave it out");
    }
  }

  void CheckSchemaNames(const std::string& key, const std::vector<std::string>& names) {
    std::vector<std::string> there;
    for (const auto& [oid, table] : in_.catalog.tables) there.push_back(table.name.schema);
    for (const std::string& name : names) {
      if (std::find(there.begin(), there.end(), name) != there.end()) continue;
      const std::string nearest = NearestName(name, there);
      Fail(key, ": ", name, ": the source has no table in such a schema",
           nearest.empty() ? "" : absl::StrCat(" (did you mean '", nearest, "'?)"));
    }
  }

  void CheckTargetIsEmpty() {
    std::vector<std::string> there;
    for (Oid oid : in_.selection.tables) {
      const Table& table = in_.catalog.tables.at(oid);
      if (in_.target.relations.count(table.name) > 0) there.push_back(table.name.Display());
    }
    if (there.empty()) return;
    const size_t count = there.size();
    if (there.size() > 3) there.resize(3);
    // Whoever repeats a command whose last run was killed at its very end must learn that nothing is left to do.
    Fail("target: ", absl::StrJoin(there, ", "), count > 3 ? absl::StrCat(" and ", count - 3, " more") : "",
         count == 1 ? " exists there already" : " exist there already",
         in_.finished_migration.empty() ? "" : absl::StrCat(", and migration ", in_.finished_migration, " is done"),
         ": use an empty database, drop them, or leave them out with exclude_tables");
  }

  void CheckExtensions() {
    for (const auto& [name, schema] : in_.catalog.extensions) {
      if (name == "timescaledb" || in_.target.available_extensions.count(name) > 0) continue;
      Fail("target: extension ", name,
           ", which the source uses, is not available there: install its package on the target");
    }
  }

  void CheckTimescale() {
    const TargetFacts& target = in_.target;
    if (!target.timescaledb_available) {
      Fail(
          "target: TimescaleDB is not available there, but hypertable_configs asks for hypertables: install the "
          "extension, "
          "use another target, or remove hypertable_configs");
      return;
    }
    if (!target.timescaledb_problem.empty()) {
      Fail("target: TimescaleDB can't be created there: ", target.timescaledb_problem,
           ": create it as a superuser, or add it to shared_preload_libraries and restart the server");
      return;
    }
    if (target.timescaledb_release() < kOldestTimescale) {
      Fail("target: TimescaleDB ", target.timescaledb_version, " is too old: 2.0 or later is needed");
    }
    const bool compresses = std::any_of(in_.hypertables.begin(), in_.hypertables.end(),
                                        [](const HypertableSpec& h) { return h.config->compress.has_value(); });
    if (compresses && target.timescaledb_license == "apache") {
      Fail(
          "target: timescaledb.license is 'apache', which has no compression: set it to 'timescale', or remove "
          "`compress` from "
          "hypertable_configs");
    }
    if (compresses && target.timescaledb_license != "apache" && !target.direct_compress &&
        !target.timescaledb_license.empty()) {
      Warn("target: TimescaleDB ",
           target.timescaledb_version.empty() ? target.timescaledb_default_version : target.timescaledb_version,
           " can't compress while rows arrive (2.21 and later can): each chunk is compressed once it is complete");
    }
  }

  void CheckHypertable(const HypertableSpec& hypertable) {
    const Table& table = *hypertable.table;
    const std::string name = table.name.Display();
    const std::string& time = hypertable.config->time_column_name;
    if (hypertable.time_index == nullptr) {
      if (!in_.config.ignore_missing_time_index) {
        Fail("source: ", name, ": no index is led by its time column: CREATE INDEX ON ", table.name.Quoted(), " (",
             QuoteIdentifier(time), "), or go on without by --ignore-missing-time-index (slower)");
      } else {
        Warn("source: ", name,
             ": no index is led by its time column: its chunks are sorted and compressed after the copy");
      }
    }
    if (table.has_rules) Fail("source: ", name, " has rules, which a hypertable can't have: drop them");
    if (table.row_security && hypertable.config->compress.has_value()) {
      Fail("source: ", name,
           " has row-level security, which a compressed hypertable can't have: remove `compress` or the security");
    }
    if (table.persistence == 'u') {
      Fail("source: ", name, " is unlogged, which a hypertable can't be: ALTER TABLE ", table.name.Quoted(),
           " SET LOGGED");
    }
    for (const auto& [oid, trigger] : in_.catalog.triggers) {
      if (trigger.table == table.oid && trigger.transition_tables) {
        Fail("source: ", name, ": trigger ", trigger.name,
             " uses transition tables, which a hypertable can't have: drop it");
      }
    }
    CheckTimeValues(hypertable);
    CheckRewrites(hypertable);
  }

  void CheckTimeValues(const HypertableSpec& hypertable) {
    auto found = in_.profiles.find(hypertable.table->oid);
    if (found == in_.profiles.end()) return;
    const std::string place = absl::StrCat("source: ", hypertable.table->name.Display(), ": time column '",
                                           hypertable.config->time_column_name, "' ");
    const TimeProfile& profile = found->second;
    const std::string remedy =
        ": a hypertable can't hold such rows: delete or change them, or leave the table an ordinary one";
    if (profile.has_null) Fail(place, "holds NULL", remedy);
    if (profile.has_negative_infinity) Fail(place, "holds -infinity", remedy);
    if (profile.has_positive_infinity) Fail(place, "holds infinity", remedy);
  }

  void CheckRewrites(const HypertableSpec& hypertable) {
    const std::vector<const Column*> columns = RewritableColumns(hypertable);
    if (columns.empty()) return;
    std::vector<std::string> names;
    for (const Column* column : columns) names.push_back(absl::StrCat(column->name, " (", column->type_name, ")"));
    const std::string message = absl::StrCat(hypertable.table->name.Display(),
                                             ": compression may replace values by equal but not identical ones in ",
                                             absl::StrJoin(names, ", "));
    if (in_.fail_on_value_rewrite) {
      Fail(message, ": remove `compress` for this table, or go on without --fail-on-value-rewrite");
    } else {
      Warn(message, "; verify compares these columns apart");
    }
  }

  void CheckConstraints() {
    if (in_.config.drop_incompatible_hypertable_constraints) return;
    for (const IncompatibleConstraint& bad : FindIncompatibleConstraints(in_.hypertables, in_.catalog)) {
      const Table& table = in_.catalog.tables.at(bad.constraint->table);
      if (in_.selection.tables.count(table.oid) == 0) continue;
      Fail("source: ", table.name.Display(), ": constraint ", bad.constraint->name, ": ", bad.reason,
           ": change it, or leave it out with drop_incompatible_hypertable_constraints: true");
    }
    for (const HypertableSpec& hypertable : in_.hypertables) {
      for (const auto& [index, missing] : FindIncompatibleIndexes(hypertable, in_.catalog)) {
        Fail("source: ", hypertable.table->name.Display(), ": unique index ", index->name,
             ": a hypertable's unique indexes must contain ", missing,
             ": change it, or leave it out with drop_incompatible_hypertable_constraints: true");
      }
    }
  }

  // All chunks of an interval are made, and compressed while empty, in one transaction; each slot may be at that.
  void CheckLocksOfPartitions(const HypertableSpec& hypertable) {
    const int64_t per_chunk =
        hypertable.config->compress.has_value() ? kLocksPerChunkCompressedEmpty : kLocksPerNewChunk;
    const int64_t locks = hypertable.chunks_per_interval() * per_chunk;
    if (hypertable.partitioning_column == nullptr || locks * in_.config.parallel <= in_.target.max_locks) return;
    Warn("target: ", hypertable.table->name.Display(), ": making the ", hypertable.chunks_per_interval(),
         " chunks of an interval takes some ", locks, " locks, in up to ", in_.config.parallel,
         " slots at once; the server has ", in_.target.max_locks,
         ": raise max_locks_per_transaction, or lower number_partitions or parallel");
  }

  void CheckLocks() {
    for (const HypertableSpec& hypertable : in_.hypertables) {
      CheckLocksOfPartitions(hypertable);
      auto found = in_.profiles.find(hypertable.table->oid);
      if (found == in_.profiles.end() || found->second.empty) continue;
      const int64_t span = found->second.maximum - found->second.minimum;
      const int64_t chunks = (span / hypertable.chunk_interval + 1) * hypertable.chunks_per_interval();
      if (chunks * kLocksPerChunk > in_.target.max_locks) {
        Warn("target: ", hypertable.table->name.Display(), " will have up to ", chunks,
             " chunks; keys and indexes over them may "
             "need ",
             chunks * kLocksPerChunk, " locks, the server has ", in_.target.max_locks,
             ": raise max_locks_per_transaction or chunk_time_interval",
             hypertable.chunks_per_interval() > 1 ? ", or lower number_partitions" : "");
      }
    }
  }

  const PreflightInput& in_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> RunPreflight(const PreflightInput& input) { return Preflight(input).Run(); }

std::vector<const Column*> RewritableColumns(const HypertableSpec& hypertable) {
  std::vector<const Column*> columns;
  if (!hypertable.config->compress.has_value()) return columns;
  const auto& segments = hypertable.config->compress->segmentby;
  for (const Column& column : hypertable.table->columns) {
    const bool segment = std::find(segments.begin(), segments.end(), column.name) != segments.end();
    if (column.traits.compression_rewrites || (segment && column.traits.segmentby_rewrites)) columns.push_back(&column);
  }
  return columns;
}

}  // namespace hypershift
