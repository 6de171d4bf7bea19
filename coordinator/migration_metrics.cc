#include "coordinator/migration_metrics.h"

#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/ascii.h"
#include "common/metrics_text.h"
#include "common/proto_time.h"
#include "common/version.h"

namespace hypershift {
namespace {

using v1::MigrationInfo;
using v1::MigrationPhase;
using v1::TableInfo;
using v1::WorkerInfo;

std::string PhaseLabel(MigrationPhase::Phase phase) {
  constexpr size_t kPrefix = 6;  // "PHASE_"
  return absl::AsciiStrToLower(MigrationPhase::Phase_Name(phase).substr(kPrefix));
}

void AddPhase(const MigrationInfo& migration, MetricFamilies* out) {
  out->BeginGauge("hypershift_migration_phase", "1 for the phase that the migration is in");
  for (int phase = MigrationPhase::PHASE_CHECK; phase <= MigrationPhase::Phase_MAX; ++phase) {
    if (!MigrationPhase::Phase_IsValid(phase)) continue;
    out->Add(migration.phase() == phase ? 1 : 0, {{"phase", PhaseLabel(static_cast<MigrationPhase::Phase>(phase))}});
  }
}

void AddState(const MigrationInfo& migration, MetricFamilies* out) {
  out->Gauge("hypershift_migration_info", "The migration", 1, {{"migration", migration.id()}});
  if (migration.has_started_at()) {
    out->Gauge("hypershift_migration_start_time_seconds", "When it began, Unix time",
               absl::ToDoubleSeconds(FromProto(migration.started_at()) - absl::UnixEpoch()));
  }
  out->Gauge("hypershift_migration_paused", "1 while it is paused", migration.paused());
  out->Gauge("hypershift_migration_throttled", "1 while a limit keeps it from leasing more",
             migration.throttled().empty() ? 0 : 1);
  out->Gauge("hypershift_migration_warnings", "Warnings that it has collected", migration.warnings_size());
  out->Gauge("hypershift_lock_waits", "Sessions of the migration that wait for locks of others",
             migration.waits_size());
}

void AddProgress(const MigrationInfo& migration, double bytes_per_second, MetricFamilies* out) {
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  out->Gauge("hypershift_ranges", "Planned ranges", number(migration.ranges_total()));
  out->Counter("hypershift_ranges_done_total", "Ranges whose rows have committed", number(migration.ranges_done()));
  out->Gauge("hypershift_estimated_rows", "Rows that there are to copy", number(migration.estimated_rows()));
  out->Gauge("hypershift_estimated_bytes", "Size on the source of what there is to copy",
             number(migration.estimated_bytes()));
  out->Counter("hypershift_rows_copied_total", "Rows committed on the target", number(migration.rows_done()));
  out->Counter("hypershift_bytes_copied_total", "Bytes of rows committed on the target",
               number(migration.bytes_done()));
  out->Gauge("hypershift_rows_in_flight", "Rows streamed, not committed yet", number(migration.rows_running()));
  out->Gauge("hypershift_bytes_in_flight", "Bytes of rows streamed, not committed yet",
             number(migration.bytes_running()));
  out->Gauge("hypershift_copy_bytes_per_second", "Bytes streamed per second, lately", bytes_per_second);
}

void AddSnapshot(const MigrationInfo& migration, MetricFamilies* out) {
  if (migration.has_snapshot_age()) {
    out->Gauge("hypershift_snapshot_age_seconds", "How long the source's snapshot has been held",
               absl::ToDoubleSeconds(FromProto(migration.snapshot_age())));
  }
  out->Gauge("hypershift_snapshot_released", "1 once nothing is held open on the source",
             migration.snapshot_released());
  out->Gauge("hypershift_snapshot_xmin_age_transactions", "Transactions since the oldest one that the snapshot keeps",
             static_cast<double>(migration.snapshot_xmin_age()));
  out->Gauge("hypershift_snapshot_holders", "Connected workers whose keepers hold the snapshot",
             migration.snapshot_holders());
}

void AddTasks(const TaskFigures& tasks, MetricFamilies* out) {
  out->BeginGauge("hypershift_tasks", "Tasks that are not done");
  for (const auto& [kind, figures] : tasks.kinds) {
    out->Add(static_cast<double>(figures.pending), {{"kind", KindLabel(kind)}, {"state", "pending"}});
    out->Add(static_cast<double>(figures.leased), {{"kind", KindLabel(kind)}, {"state", "leased"}});
    out->Add(static_cast<double>(figures.failed), {{"kind", KindLabel(kind)}, {"state", "failed"}});
  }
  out->BeginCounter("hypershift_tasks_done_total", "Tasks done");
  for (const auto& [kind, figures] : tasks.kinds) {
    out->Add(static_cast<double>(figures.done), {{"kind", KindLabel(kind)}});
  }
  out->BeginCounter("hypershift_task_retries_total", "Leases of tasks beyond their first");
  for (const auto& [kind, figures] : tasks.kinds) {
    out->Add(static_cast<double>(figures.retries), {{"kind", KindLabel(kind)}});
  }
  out->BeginHistogram("hypershift_task_duration_seconds", "From the lease of a done task to its commit");
  for (const auto& [kind, figures] : tasks.kinds) out->Add(figures.durations, {{"kind", KindLabel(kind)}});
}

void AddWorkers(const MigrationOverview& overview, MetricFamilies* out) {
  const std::vector<WorkerInfo>& workers = overview.workers;
  const size_t count = std::min(workers.size(), MigrationMetrics::kMaxWorkers);
  const auto family = [&](const std::string& name, const std::string& help, const auto& value) {
    out->BeginGauge(name, help);
    for (size_t i = 0; i < count; ++i) {
      const double number = value(workers[i]);
      if (number >= 0) out->Add(number, {{"worker", workers[i].name()}, {"zone", workers[i].zone()}});
    }
  };
  constexpr double kMissing = -1;
  const auto seconds = [](const google::protobuf::Duration& latency) {
    return absl::ToDoubleSeconds(FromProto(latency));
  };
  family("hypershift_worker_connected", "1 while the worker reports",
         [](const WorkerInfo& w) { return w.connected(); });
  family("hypershift_worker_slots", "Tasks that it can run at a time", [](const WorkerInfo& w) { return w.slots(); });
  family("hypershift_worker_leases", "Tasks that it holds a lease of",
         [](const WorkerInfo& w) { return w.slots_busy(); });
  family("hypershift_worker_last_seen_seconds", "Seconds since its last report", [&](const WorkerInfo& w) {
    return std::max(absl::ToDoubleSeconds(overview.read_at - FromProto(w.last_seen())), 0.0);
  });
  family("hypershift_worker_draining", "1 while it takes no more tasks",
         [](const WorkerInfo& w) { return w.draining(); });
  family("hypershift_worker_bytes_per_second", "Its throughput",
         [](const WorkerInfo& w) { return static_cast<double>(w.bytes_per_second()); });
  family("hypershift_worker_source_latency_seconds", "A round trip to the source",
         [&](const WorkerInfo& w) { return w.has_source_latency() ? seconds(w.source_latency()) : kMissing; });
  family("hypershift_worker_target_latency_seconds", "A round trip to the target",
         [&](const WorkerInfo& w) { return w.has_target_latency() ? seconds(w.target_latency()) : kMissing; });
}

// "waiting", "running", "done" or "failed".
std::string StateOf(const TableInfo& table) {
  if (table.phase() == "failed" || table.phase() == "done" || table.phase() == "waiting") return table.phase();
  return "running";
}

void Sum(const TableInfo& table, TableInfo* sum) {
  sum->set_rows_done(sum->rows_done() + table.rows_done());
  sum->set_bytes_done(sum->bytes_done() + table.bytes_done());
  sum->set_estimated_rows(sum->estimated_rows() + table.estimated_rows());
  sum->set_estimated_bytes(sum->estimated_bytes() + table.estimated_bytes());
  sum->set_ranges_total(sum->ranges_total() + table.ranges_total());
  sum->set_ranges_done(sum->ranges_done() + table.ranges_done());
  sum->set_tasks_total(sum->tasks_total() + table.tasks_total());
  sum->set_tasks_done(sum->tasks_done() + table.tasks_done());
  sum->set_tasks_failed(sum->tasks_failed() + table.tasks_failed());
}

// The largest tables, and the sum of the others under no name. By what does not change while it runs, so that a table
// keeps its series.
std::vector<TableInfo> Bounded(const std::vector<TableInfo>& tables) {
  if (tables.size() <= MigrationMetrics::kMaxTables) return tables;
  std::vector<const TableInfo*> order;
  for (const TableInfo& table : tables) order.push_back(&table);
  std::stable_sort(order.begin(), order.end(), [](const TableInfo* left, const TableInfo* right) {
    return left->estimated_bytes() > right->estimated_bytes();
  });
  std::vector<TableInfo> bounded;
  TableInfo others;
  for (const TableInfo* table : order) {
    if (bounded.size() < MigrationMetrics::kMaxTables) {
      bounded.push_back(*table);
    } else {
      Sum(*table, &others);
    }
  }
  bounded.push_back(others);
  return bounded;
}

void AddTables(const std::vector<TableInfo>& all, MetricFamilies* out) {
  std::map<std::string, int> states = {{"waiting", 0}, {"running", 0}, {"done", 0}, {"failed", 0}};
  for (const TableInfo& table : all) ++states[StateOf(table)];
  out->BeginGauge("hypershift_tables", "Tables by state");
  for (const auto& [state, count] : states) out->Add(count, {{"state", state}});

  const std::vector<TableInfo> tables = Bounded(all);
  using Getter = int64_t (TableInfo::*)() const;
  const auto family = [&](bool counter, const std::string& name, const std::string& help, Getter value) {
    counter ? out->BeginCounter(name, help) : out->BeginGauge(name, help);
    for (const TableInfo& table : tables) {
      out->Add(static_cast<double>((table.*value)()), {{"schema", table.schema()}, {"table", table.name()}});
    }
  };
  family(true, "hypershift_table_rows_copied_total", "Rows committed on the target", &TableInfo::rows_done);
  family(true, "hypershift_table_bytes_copied_total", "Bytes of rows committed", &TableInfo::bytes_done);
  family(false, "hypershift_table_estimated_rows", "Rows that there are to copy", &TableInfo::estimated_rows);
  family(false, "hypershift_table_estimated_bytes", "Size on the source", &TableInfo::estimated_bytes);
  family(false, "hypershift_table_ranges", "Planned ranges", &TableInfo::ranges_total);
  family(true, "hypershift_table_ranges_done_total", "Ranges whose rows have committed", &TableInfo::ranges_done);
  family(false, "hypershift_table_tasks", "All tasks of the table", &TableInfo::tasks_total);
  family(true, "hypershift_table_tasks_done_total", "Tasks done", &TableInfo::tasks_done);
  family(false, "hypershift_table_failed_tasks", "Tasks that have failed for good", &TableInfo::tasks_failed);
}

}  // namespace

std::vector<prometheus::MetricFamily> MigrationMetrics::Collect() const {
  const MigrationInfo& migration = overview_.migration;
  MetricFamilies out;
  out.Gauge("hypershift_build_info", "The program", 1, {{"version", kVersion}, {"program", "coordinator"}});
  AddPhase(migration, &out);
  if (!migration.id().empty()) {
    AddState(migration, &out);
    AddSnapshot(migration, &out);
    AddWorkers(overview_, &out);
  }
  // Not before the plan has been read: a counter that shows 0 for a moment would look like one that has been reset.
  if (!overview_.tables.empty()) {
    AddProgress(migration, bytes_per_second_, &out);
    AddTasks(tasks_, &out);
    AddTables(overview_.tables, &out);
  }
  out.Gauge("hypershift_http_collect_seconds", "How long it took to read this", absl::ToDoubleSeconds(cost_));
  return out.Take();
}

}  // namespace hypershift
