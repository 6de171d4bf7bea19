#include "coordinator/target_facts.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr char kServerFactsSql[] = R"sql(
SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
       pg_encoding_to_char(d.encoding), d.datcollate,
       current_setting('max_locks_per_transaction')::bigint *
         (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint),
       has_database_privilege(current_database(), 'CREATE')
  FROM pg_database d WHERE d.datname = current_database()
)sql";

constexpr char kTimescaleFactsSql[] = R"sql(
SELECT coalesce((SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'), ''),
       coalesce((SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'), ''),
       coalesce(current_setting('timescaledb.license', true), ''),
       coalesce((SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                  WHERE e.extname = 'timescaledb'), '')
)sql";

constexpr char kTimescaleSettingsSql[] = R"sql(
SELECT name FROM pg_settings
 WHERE name IN ('timescaledb.enable_direct_compress_copy', 'timescaledb.enable_direct_compress_copy_client_sorted',
                'timescaledb.enable_compressor_batch_limit')
)sql";

constexpr char kRelationsSql[] = R"sql(
SELECT n.nspname, c.relname, c.relkind IN ('r', 'p')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f', 'm', 'v', 'S')
   AND n.nspname !~ '^(pg_|information_schema$|_timescaledb_|timescaledb_|_hypershift$)'
   AND NOT EXISTS (SELECT 1 FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
)sql";

constexpr char kEffectiveCompressionSql[] = R"sql(
SELECT attname, segmentby_column_index, orderby_column_index, orderby_asc, orderby_nullsfirst
  FROM timescaledb_information.compression_settings
 WHERE hypertable_schema = $1 AND hypertable_name = $2
 ORDER BY segmentby_column_index, orderby_column_index
)sql";

bool Flag(const pqxx::field& field) { return !field.is_null() && *field.c_str() == 't'; }

}  // namespace

int TargetFacts::timescaledb_release() const {
  const std::string& version = timescaledb_version.empty() ? timescaledb_default_version : timescaledb_version;
  const std::vector<std::string> parts = absl::StrSplit(version, absl::ByAnyChar(".-"));
  int major = 0;
  int minor = 0;
  if (parts.size() < 2 || !absl::SimpleAtoi(parts[0], &major) || !absl::SimpleAtoi(parts[1], &minor)) return 0;
  return major * 1000 + minor;
}

absl::StatusOr<TargetFacts> ReadTargetFacts(PgSession* session) {
  TargetFacts facts;
  HS_ASSIGN_OR_RETURN(const pqxx::result server, session->Query(kServerFactsSql));
  facts.server_version = server[0][0].as<int>();
  facts.in_recovery = Flag(server[0][1]);
  facts.encoding = server[0][2].c_str();
  facts.collation = server[0][3].c_str();
  facts.max_locks = server[0][4].as<int64_t>();
  facts.may_create = Flag(server[0][5]);
  HS_ASSIGN_OR_RETURN(const pqxx::result timescale, session->Query(kTimescaleFactsSql));
  facts.timescaledb_default_version = timescale[0][0].c_str();
  facts.timescaledb_available = !facts.timescaledb_default_version.empty();
  facts.timescaledb_version = timescale[0][1].c_str();
  facts.timescaledb_license = timescale[0][2].c_str();
  facts.timescaledb_schema = timescale[0][3].c_str();
  HS_ASSIGN_OR_RETURN(const pqxx::result settings, session->Query(kTimescaleSettingsSql));
  for (const auto& row : settings) {
    const std::string name = row[0].c_str();
    if (name == "timescaledb.enable_direct_compress_copy") facts.direct_compress = true;
    if (name == "timescaledb.enable_direct_compress_copy_client_sorted") facts.client_sorted = true;
    if (name == "timescaledb.enable_compressor_batch_limit") facts.compressor_batch_limit = true;
  }
  HS_ASSIGN_OR_RETURN(const pqxx::result relations, session->Query(kRelationsSql));
  for (const auto& row : relations) facts.relations.insert({row[0].c_str(), row[1].c_str()});
  HS_ASSIGN_OR_RETURN(const pqxx::result extensions, session->Query("SELECT name FROM pg_available_extensions"));
  for (const auto& row : extensions) facts.available_extensions.insert(row[0].c_str());
  return facts;
}

absl::StatusOr<TargetFacts> ReadFutureTargetFacts(PgSession* session) {
  HS_ASSIGN_OR_RETURN(TargetFacts facts, ReadTargetFacts(session));
  if (!facts.timescaledb_available || !facts.timescaledb_version.empty() || facts.in_recovery) return facts;
  HS_RETURN_IF_ERROR(session->Query("BEGIN").status());
  const absl::Status created = session->Query("CREATE EXTENSION timescaledb WITH SCHEMA public").status();
  if (created.ok()) {
    HS_ASSIGN_OR_RETURN(facts, ReadTargetFacts(session));
    facts.timescaledb_version.clear();
  } else {
    facts.timescaledb_problem = std::string(created.message());
  }
  HS_RETURN_IF_ERROR(session->Query("ROLLBACK").status());
  return facts;
}

absl::StatusOr<EffectiveCompression> ReadEffectiveCompression(PgSession* session, const QualifiedName& hypertable) {
  HS_ASSIGN_OR_RETURN(const pqxx::result rows,
                      session->Query(kEffectiveCompressionSql, hypertable.schema, hypertable.name));
  EffectiveCompression compression;
  std::vector<std::pair<int, std::string>> segmentby;
  std::vector<std::pair<int, EffectiveOrderBy>> orderby;
  for (const auto& row : rows) {
    if (!row[1].is_null()) segmentby.emplace_back(row[1].as<int>(), row[0].c_str());
    if (!row[2].is_null()) {
      orderby.emplace_back(row[2].as<int>(), EffectiveOrderBy{row[0].c_str(), !Flag(row[3]), Flag(row[4])});
    }
  }
  const auto by_index = [](const auto& a, const auto& b) { return a.first < b.first; };
  std::sort(segmentby.begin(), segmentby.end(), by_index);
  std::sort(orderby.begin(), orderby.end(), by_index);
  for (auto& [index, column] : segmentby) compression.segmentby.push_back(std::move(column));
  for (auto& [index, column] : orderby) compression.orderby.push_back(std::move(column));
  return compression;
}

}  // namespace hypershift
