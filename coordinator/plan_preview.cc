#include "coordinator/plan_preview.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "coordinator/expected_compression.h"
#include "coordinator/inspection.h"
#include "coordinator/migration_setup.h"
#include "coordinator/pooler_probe.h"
#include "coordinator/snapshot.h"

namespace hypershift {
namespace {

constexpr absl::Duration kSampleTime = absl::Seconds(3);
constexpr size_t kSampledTables = 3;

constexpr char kMayCreateDatabasesSql[] = R"sql(
SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user
)sql";

// A migration that is under way is gone on with; its plan stands in the journal.
absl::Status RefuseUnfinished(Journal* journal) {
  HS_ASSIGN_OR_RETURN(const std::optional<MigrationRecord> unfinished, journal->FindUnfinished());
  if (!unfinished.has_value()) return absl::OkStatus();
  HS_RETURN_IF_ERROR(RefuseCancelled(*unfinished));
  return absl::FailedPreconditionError(absl::StrCat(
      "target: it holds an unfinished migration (", unfinished->id, ", from ", unfinished->source,
      "), which `hypershift clone` goes on with as it was planned: give it up with `hypershift cleanup`, or take "
      "another database"));
}

class Previewer {
 public:
  explicit Previewer(const CoordinatorOptions& options) : options_(options), journal_(options.target) {}

  absl::StatusOr<PlanPreview> Run() {
    HS_ASSIGN_OR_RETURN(target_exists_, FindTargetDatabase(&journal_, options_.config));
    if (target_exists_) HS_RETURN_IF_ERROR(RefuseUnfinished(&journal_));
    HS_RETURN_IF_ERROR(RefuseTransactionPooler(options_.source, ServerRole::kSource));
    HS_ASSIGN_OR_RETURN(snapshot_, SnapshotHolder::Take(options_.source));
    HS_ASSIGN_OR_RETURN(reader_, snapshot_->OpenReader());
    HS_RETURN_IF_ERROR(InspectSource(reader_.get(), options_.config, &inspection_, &preview_.refusals));
    HS_RETURN_IF_ERROR(target_exists_ ? InspectTarget(options_.target, &inspection_) : InspectFutureTarget());
    HS_RETURN_IF_ERROR(Check());
    Describe();
    if (!preview_.refusals.empty()) return std::move(preview_);
    HS_RETURN_IF_ERROR(MakePreview());
    Sample();
    return std::move(preview_);
  }

 private:
  // Of a database that a migration would create: its server, and an empty database there.
  absl::Status InspectFutureTarget() {
    const ConnectionString maintenance = options_.target.WithDatabase("postgres");
    HS_RETURN_IF_ERROR(InspectTarget(maintenance, &inspection_));
    inspection_.target.relations.clear();
    inspection_.target.timescaledb_version.clear();
    inspection_.target.may_create = true;  // As its owner.
    SessionOptions session_options;
    session_options.role = ServerRole::kTarget;
    session_options.lock_timeout = absl::Seconds(30);
    HS_ASSIGN_OR_RETURN(const std::unique_ptr<PgSession> session, PgSession::Open(maintenance, session_options));
    HS_ASSIGN_OR_RETURN(const pqxx::result may_create, session->Query(kMayCreateDatabasesSql));
    if (may_create.empty() || !may_create[0][0].as<bool>()) {
      preview_.refusals.emplace_back(
          "target: the role may not create the database that create_db asks for: ALTER ROLE … CREATEDB, or create it");
    }
    return absl::OkStatus();
  }

  absl::Status Check() {
    HS_ASSIGN_OR_RETURN(const std::vector<Finding> findings,
                        CheckBothSides(options_, target_exists_ ? &journal_ : nullptr, inspection_));
    for (const Finding& finding : findings) {
      (finding.level == FindingLevel::kFail ? preview_.refusals : preview_.warnings).push_back(finding.message);
    }
    return absl::OkStatus();
  }

  void Describe() {
    const TargetFacts& target = inspection_.target;
    preview_.source = options_.source.Display();
    preview_.target = options_.target.Display();
    preview_.source_version = inspection_.catalog.server_version;
    preview_.target_version = target.server_version;
    preview_.timescaledb_version =
        target.timescaledb_version.empty() ? target.timescaledb_default_version : target.timescaledb_version;
    preview_.parallel = options_.config.parallel;
  }

  absl::Status MakePreview() {
    HS_ASSIGN_OR_RETURN(const std::string archive, DumpSchema(options_.source, snapshot_->snapshot().id()));
    HS_RETURN_IF_ERROR(SelectSchema(archive, options_.config, &inspection_));
    HS_RETURN_IF_ERROR(InspectRanges(reader_.get(), options_.config, &inspection_));
    for (const HypertableSpec& hypertable : inspection_.hypertables) {
      if (!hypertable.config->compress.has_value()) continue;
      inspection_.compression[hypertable.table->oid] = ExpectCompression(hypertable).settings;
    }
    const PlannerInput input = MakePlannerInput(options_, inspection_, inspection_.catalog.source_now_microseconds);
    preview_.left_out = inspection_.left_out;
    const Plan plan = MakePlan(input, 1, &preview_.left_out);
    preview_.plan = OutlinePlan(input, plan);
    ChooseSamples(plan);
    // Nothing more is read under the snapshot.
    reader_.reset();
    snapshot_.reset();
    return absl::OkStatus();
  }

  // The largest tables, for they take the time.
  void ChooseSamples(const Plan& plan) {
    for (const TablePlan& table : plan.tables) {
      if (table.not_copied.empty() && table.estimated_bytes > 0) {
        sampled_.push_back(&inspection_.catalog.tables.at(table.source_oid));
      }
    }
    std::stable_sort(sampled_.begin(), sampled_.end(),
                     [](const Table* a, const Table* b) { return a->total_bytes > b->total_bytes; });
    if (sampled_.size() > kSampledTables) sampled_.resize(kSampledTables);
  }

  // A plan is worth showing without.
  void Sample() {
    absl::StatusOr<SourceSample> sample = SampleSource(options_.source, sampled_, kSampleTime);
    if (sample.ok()) {
      preview_.sample = *std::move(sample);
    } else {
      preview_.sample_problem = std::string(sample.status().message());
    }
  }

  const CoordinatorOptions& options_;
  Journal journal_;
  bool target_exists_ = false;
  std::unique_ptr<SnapshotHolder> snapshot_;
  std::unique_ptr<PgSession> reader_;  // Under the snapshot.
  Inspection inspection_;
  std::vector<const Table*> sampled_;
  PlanPreview preview_;
};

}  // namespace

absl::StatusOr<PlanPreview> PreviewPlan(const CoordinatorOptions& options) { return Previewer(options).Run(); }

}  // namespace hypershift
