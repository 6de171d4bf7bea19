// The configuration of a migration: what hypershift.yml says, with the command line's and the environment's values laid
// over it by the caller.
//
// Value types and pure functions; only LoadConfigFile reads a file. Keys and their meaning are a public surface (the
// README's table): an old hypershift.yml must keep working unchanged.
#ifndef HYPERSHIFT_COMMON_CONFIG_H_
#define HYPERSHIFT_COMMON_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/names.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

// 7d, 4w, 12h, 30m, 45s; or a plain integer: microseconds for a time column, the column's own unit for an integer one.
struct Interval {
  int64_t value = 0;      // Microseconds, or the plain integer.
  bool has_unit = false;  // Written with a unit.
  std::string text;       // As written.
  bool operator==(const Interval&) const = default;
};

// kInvalidArgument: not of that form, not positive, or out of range.
absl::StatusOr<Interval> ParseInterval(absl::string_view text);

struct OrderByColumn {
  std::string column;
  bool descending = false;
  bool nulls_first = false;  // By default as in SQL: last when ascending, first when descending.
  bool operator==(const OrderByColumn&) const = default;
};

// "date desc", "\"Mixed\" asc nulls first". kInvalidArgument names the word that doesn't fit.
absl::StatusOr<OrderByColumn> ParseOrderBy(absl::string_view text);

struct CompressConfig {
  std::optional<Interval> after;
  std::vector<std::string> segmentby;
  std::vector<OrderByColumn> orderby;
};

struct HypertableConfig {
  QualifiedName table;
  std::string time_column_name;
  Interval chunk_time_interval;
  // The hash dimension: by which column, and into how many partitions. Both or neither; empty and 0 = none.
  std::string partitioning_column;
  int number_partitions = 0;
  std::optional<CompressConfig> compress;
  int line = 0;  // Where it stands in the file, for errors found later.
};

enum class ForeignKeysPriority { kImmediate, kDeferred, kUnchecked, kDisabled };
enum class LogFormat { kText, kJson };

struct TableFilter {
  std::vector<QualifiedName> include_tables;
  std::vector<QualifiedName> exclude_tables;
  std::vector<std::string> include_schemas;
  std::vector<std::string> exclude_schemas;

  // Whether a table's data is copied.
  bool Includes(const QualifiedName& table) const;
};

struct Config {
  std::string source;  // As written: may hold a password. Never log it.
  std::string target;
  int parallel = 8;
  bool verify = false;
  TableFilter filter;
  std::vector<HypertableConfig> hypertables;
  int64_t parallel_min_table_size_mib = 128;
  int64_t target_task_size_mib = 512;  // What one range aims at.
  // Tables that are copied before or after the others: higher first, 0 where none is given. Of a partitioned table:
  // all its partitions'.
  std::map<QualifiedName, int> table_priorities;
  ForeignKeysPriority foreign_keys_priority = ForeignKeysPriority::kUnchecked;
  LogFormat log_format = LogFormat::kText;
  bool create_db = false;
  bool drop_incompatible_hypertable_constraints = false;
  bool ignore_missing_time_index = false;
  bool hide_progress = false;
  bool verbose = false;
  // What a migration begins with; later `hypershift set` decides.
  v1::Limits limits;
  // Whose lag max_replication_lag is about. As written, like `source`.
  std::vector<std::string> source_standbys;

  // What a resumed run must have in common with the run that began: filters, hypertables, keys' treatment — not
  // `parallel`, `verify` or what is merely shown. Canonical JSON; the same configuration gives the same text.
  std::string Fingerprint() const;
};

// `file_name` is for messages. Every error is one line: "hypershift.yml:12: unknown key 'segment_by' (did you mean
// 'segmentby'?)". kInvalidArgument. An empty document is the default configuration.
absl::StatusOr<Config> ParseConfig(absl::string_view yaml, absl::string_view file_name);

// kNotFound or kPermissionDenied when the file can't be read.
absl::StatusOr<Config> LoadConfigFile(const std::string& path);

// What must hold between keys, after the command line has been laid over the file: include_tables against
// exclude_tables and so on. kInvalidArgument.
absl::Status ValidateConfig(const Config& config);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_CONFIG_H_
