// What the target can do: versions, TimescaleDB and its licence, settings, and what is already there.
//
// Plain data, read by ReadTargetFacts; preflight and planning are pure functions of it.
#ifndef HYPERSHIFT_COORDINATOR_TARGET_FACTS_H_
#define HYPERSHIFT_COORDINATOR_TARGET_FACTS_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/names.h"
#include "common/pg_session.h"

namespace hypershift {

// One column that compression sorts by, as the target has it.
struct EffectiveOrderBy {
  std::string column;
  bool descending = false;
  bool nulls_first = false;
};

// What the target's catalog says of a hypertable's compression, whatever the configuration asked for.
struct EffectiveCompression {
  std::vector<std::string> segmentby;
  std::vector<EffectiveOrderBy> orderby;
};

struct TargetFacts {
  int server_version = 0;
  bool in_recovery = false;
  std::string encoding;
  std::string collation;
  bool timescaledb_available = false;
  std::string timescaledb_default_version;
  std::string timescaledb_version;  // Empty = not created in this database.
  std::string timescaledb_schema;   // Where its functions are; empty = not created.
  std::string timescaledb_license;  // Empty = the library isn't loaded.
  std::string timescaledb_problem;  // Why it can't be created, in the server's words.
  bool direct_compress = false;     // The settings for it are there.
  bool client_sorted = false;
  bool compressor_batch_limit = false;
  int64_t max_locks = 0;              // max_locks_per_transaction × (max_connections + max_prepared_transactions).
  std::set<QualifiedName> relations;  // Outside system schemas.
  std::set<std::string> available_extensions;
  bool may_create = true;  // CREATE on the database.

  // Major and minor of the version that is there, or of the one that would be created: 2.23 -> 2023.
  int timescaledb_release() const;
};

absl::StatusOr<TargetFacts> ReadTargetFacts(PgSession* session);

// The same as they will be once TimescaleDB has been created, which is tried and rolled back: licence and settings show
// only then. Leaves nothing behind. `session` must not be used for anything else afterwards.
absl::StatusOr<TargetFacts> ReadFutureTargetFacts(PgSession* session);

absl::StatusOr<EffectiveCompression> ReadEffectiveCompression(PgSession* session, const QualifiedName& hypertable);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_TARGET_FACTS_H_
