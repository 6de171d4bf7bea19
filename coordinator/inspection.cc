#include "coordinator/inspection.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "coordinator/block_sample.h"
#include "coordinator/pooler_probe.h"
#include "coordinator/split_key.h"
#include "coordinator/table_ranges.h"

namespace hypershift {
namespace {

// Of each partition. With fewer nothing is known of it.
constexpr int64_t kFewestSampledBlocks = 4;

// Where the rows lie of a table that is copied by blocks and compressed.
absl::Status SampleOrder(PgSession* source, const Config& config, const Catalog& catalog,
                         const HypertableSpec& hypertable, TimeProfile* profile) {
  profile->block_samples.clear();
  if (!ScansCtidRanges(catalog)) return absl::OkStatus();
  const bool partitioned = hypertable.table->kind == 'p';
  if (!partitioned) {
    if (!IsWorthCutting(*hypertable.table, config)) return absl::OkStatus();
    HS_ASSIGN_OR_RETURN(const bool unordered, IsKnownUnordered(source, hypertable.time(), *hypertable.table));
    if (unordered) return absl::OkStatus();
  }
  const std::vector<Oid> tables = partitioned ? hypertable.table->leaves : std::vector<Oid>{hypertable.table->oid};
  const int64_t most = kMostSampledBlocks / std::max<int64_t>(1, static_cast<int64_t>(tables.size()));
  if (most < kFewestSampledBlocks) return absl::OkStatus();
  for (const Oid oid : tables) {
    const Table& table = catalog.tables.at(oid);
    HS_ASSIGN_OR_RETURN(
        std::vector<BlockSample> samples,
        SampleBlocks(source, hypertable.time(), table, SampledBlocks(table.heap_bytes / kBlockBytes, most)));
    profile->block_samples.emplace(oid, std::move(samples));
  }
  // What an integer's "now" is to a plan that is only shown; a migration reads it exactly.
  std::optional<int64_t> latest;
  for (const auto& [oid, samples] : profile->block_samples) {
    for (const BlockSample& sample : samples) latest = std::max(latest.value_or(sample.time), sample.time);
  }
  profile->maximum = latest.value_or(profile->maximum);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<bool> FindTargetDatabase(Journal* journal, const Config& config) {
  const absl::Status opened = journal->Session().status();
  if (opened.ok()) return true;
  if (opened.code() != absl::StatusCode::kNotFound) return opened;
  if (config.create_db) return false;
  return absl::NotFoundError(absl::StrCat(opened.message(), ": create it, or say create_db: true"));
}

absl::Status InspectSource(PgSession* source, const Config& config, Inspection* inspection,
                           std::vector<std::string>* problems) {
  HS_ASSIGN_OR_RETURN(inspection->catalog, ReadCatalog(source));
  inspection->selection = SelectTables(config, inspection->catalog);
  inspection->hypertables.clear();
  inspection->profiles.clear();
  for (const HypertableConfig& hypertable : config.hypertables) {
    const absl::StatusOr<HypertableSpec> spec = ResolveHypertable(hypertable, inspection->catalog);
    if (!spec.ok()) {
      problems->emplace_back(spec.status().message());
      continue;
    }
    // Without an index this would read the whole table; what it would find, the copy itself finds.
    TimeProfile& profile = inspection->profiles[spec->table->oid];
    if (spec->time_index != nullptr) {
      HS_ASSIGN_OR_RETURN(profile, ReadTimeBounds(source, spec->time()));
    }
    inspection->hypertables.push_back(*spec);
  }
  return absl::OkStatus();
}

absl::Status InspectTarget(const ConnectionString& target, Inspection* inspection) {
  HS_RETURN_IF_ERROR(RefuseTransactionPooler(target, ServerRole::kTarget));
  SessionOptions options;
  options.role = ServerRole::kTarget;
  options.lock_timeout = absl::Seconds(30);
  HS_ASSIGN_OR_RETURN(const std::unique_ptr<PgSession> session, PgSession::Open(target, options));
  HS_ASSIGN_OR_RETURN(inspection->target, inspection->hypertables.empty() ? ReadTargetFacts(session.get())
                                                                          : ReadFutureTargetFacts(session.get()));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Finding>> CheckBothSides(const CoordinatorOptions& options, Journal* journal,
                                                    const Inspection& inspection) {
  HS_ASSIGN_OR_RETURN(const int pg_dump_major, PgDumpMajorVersion());
  std::string finished;
  if (journal != nullptr) {
    const absl::StatusOr<std::optional<MigrationRecord>> latest = journal->FindLatest();
    if (latest.ok() && latest->has_value()) finished = (*latest)->id;
  }
  return RunPreflight({options.config, inspection.catalog, inspection.target, inspection.selection,
                       inspection.hypertables, inspection.profiles, pg_dump_major, options.fail_on_value_rewrite,
                       finished});
}

absl::Status SelectSchema(const std::string& archive, const Config& config, Inspection* inspection) {
  HS_ASSIGN_OR_RETURN(const std::vector<SchemaEntry> pre_data, ReadSchemaEntries(archive, SchemaSection::kPreData));
  HS_ASSIGN_OR_RETURN(const std::vector<SchemaEntry> post_data, ReadSchemaEntries(archive, SchemaSection::kPostData));
  SelectedEntries selected = SelectEntries(pre_data, post_data, config, inspection->catalog, inspection->selection);
  inspection->pre_data = std::move(selected.pre_data);
  inspection->post_data = std::move(selected.post_data);
  for (const SchemaEntry& entry : inspection->pre_data) {
    if (entry.catalog_class == kPgClassClass) inspection->restored_relations.insert(entry.catalog_oid);
  }
  // A view that needs a primary key comes after the keys.
  for (const SchemaEntry& entry : inspection->post_data) {
    if (entry.type == "MATERIALIZED VIEW") inspection->restored_relations.insert(entry.catalog_oid);
  }
  inspection->left_out = std::move(selected.left_out);
  const std::vector<std::string>& never = inspection->catalog.left_out;
  inspection->left_out.insert(inspection->left_out.end(), never.begin(), never.end());
  return absl::OkStatus();
}

absl::Status InspectRanges(PgSession* source, const Config& config, Inspection* inspection) {
  for (const HypertableSpec& hypertable : inspection->hypertables) {
    if (hypertable.time_index == nullptr) continue;
    TimeProfile& profile = inspection->profiles[hypertable.table->oid];
    HS_RETURN_IF_ERROR(ReadTimeChunks(source, hypertable.time(), hypertable.chunk_interval, &profile));
    HS_RETURN_IF_ERROR(ReadTimeStatistics(source, hypertable.time(), &profile));
  }
  for (const Oid oid : inspection->selection.tables) {
    const std::optional<TimeColumn> key = FindSplitKey(inspection->catalog, inspection->catalog.tables.at(oid), config);
    if (!key.has_value()) continue;
    KeyProfile& found = inspection->keys[oid];
    found.column = *key;
    HS_ASSIGN_OR_RETURN(found.profile, ReadTimeBounds(source, *key));
    HS_RETURN_IF_ERROR(ReadTimeStatistics(source, *key, &found.profile));
  }
  for (const HypertableSpec& hypertable : inspection->hypertables) {
    if (hypertable.time_index != nullptr || !hypertable.config->compress.has_value()) continue;
    TimeProfile& profile = inspection->profiles[hypertable.table->oid];
    HS_RETURN_IF_ERROR(SampleOrder(source, config, inspection->catalog, hypertable, &profile));
  }
  return absl::OkStatus();
}

PlannerInput MakePlannerInput(const CoordinatorOptions& options, const Inspection& inspection,
                              int64_t source_now_microseconds) {
  PlannerInput input{options.config,         inspection.catalog,           inspection.target, inspection.selection,
                     inspection.hypertables, inspection.profiles,          inspection.keys,   inspection.compression,
                     inspection.post_data,   inspection.restored_relations};
  input.source_now_microseconds = source_now_microseconds;
  input.sort_budget_bytes = options.sort_budget_bytes;
  input.target_task_bytes = options.config.target_task_size_mib << 20;
  return input;
}

}  // namespace hypershift
