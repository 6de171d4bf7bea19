#include "coordinator/web_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "common/metrics_text.h"
#include "common/names.h"
#include "common/proto_time.h"
#include "common/version.h"

namespace hypershift {
namespace {

using Json = nlohmann::json;
using v1::MigrationInfo;
using v1::TableInfo;
using v1::WorkerInfo;

// More than a person looks at, and the page would get slow: the rest is only counted.
constexpr size_t kMaxTables = 2000;
constexpr size_t kMaxWorkers = 1000;
constexpr int kMaxMessages = 200;
// What the share of a migration shows at most before it is done, and what a table without an estimate counts in it.
constexpr double kMaxUnfinishedShare = 0.999;
constexpr double kSmallTableBytes = 64 * 1024;

// Names and errors come from servers in any encoding.
std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

double Unix(absl::Time time) { return absl::ToDoubleSeconds(time - absl::UnixEpoch()); }
double Unix(const google::protobuf::Timestamp& time) { return Unix(FromProto(time)); }
double Seconds(const google::protobuf::Duration& duration) { return absl::ToDoubleSeconds(FromProto(duration)); }

// "PHASE_RUN" -> "run".
std::string Word(const std::string& name, size_t prefix) { return absl::AsciiStrToLower(name.substr(prefix)); }

Json List(const google::protobuf::RepeatedPtrField<std::string>& lines) {
  Json list = Json::array();
  for (int i = 0; i < std::min(lines.size(), kMaxMessages); ++i) list.push_back(lines[i]);
  return list;
}

double RangesShare(const TableInfo& table) {
  if (table.ranges_total() == 0) return 1;
  return static_cast<double>(table.ranges_done()) / static_cast<double>(table.ranges_total());
}

double BytesSeen(const TableInfo& table) { return static_cast<double>(table.bytes_done() + table.bytes_running()); }

// What has arrived, and for the other ranges the estimate, or what the finished ones let expect if they belie it.
double ExpectedBytes(const TableInfo& table) {
  const double done = static_cast<double>(table.bytes_done());
  const double share = RangesShare(table);
  if (share >= 1) return done;
  double estimate = static_cast<double>(table.estimated_bytes());
  if (done > 0 && share > 0 && (done / share > 2 * estimate || done / share < estimate / 2)) estimate = done / share;
  return std::max(done + (1 - share) * estimate, BytesSeen(table));
}

double TableShare(const TableInfo& table) {
  if (table.tasks_total() > 0 && table.tasks_done() == table.tasks_total()) return 1;
  const double expected = ExpectedBytes(table);
  const double share = expected > 0 ? BytesSeen(table) / expected : RangesShare(table);
  return std::clamp(share, 0.0, kMaxUnfinishedShare);
}

Json ToJson(const MigrationInfo& migration) {
  Json json = {
      {"id", migration.id()},
      {"phase", Word(v1::MigrationPhase::Phase_Name(migration.phase()), 6)},
      {"source", migration.source()},
      {"target", migration.target()},
      {"tables", {migration.tables_done(), migration.tables_total(), migration.tables_failed()}},
      {"ranges", {migration.ranges_done(), migration.ranges_total()}},
      {"tasks", {migration.tasks_done(), migration.tasks_total(), migration.tasks_running()}},
      {"rows", {migration.rows_done(), migration.rows_running(), migration.estimated_rows()}},
      {"bytes", {migration.bytes_done(), migration.bytes_running(), migration.estimated_bytes()}},
      {"snapshot_released", migration.snapshot_released()},
      {"snapshot_holders", migration.snapshot_holders()},
      {"snapshot_xmin_age", migration.snapshot_xmin_age()},
      {"status_line", migration.status_line()},
      {"warnings", List(migration.warnings())},
      {"left_out", List(migration.left_out())},
      {"waits", List(migration.waits())},
      {"error", migration.error()},
      {"resumed", migration.resumed()},
      {"paused", migration.paused()},
      {"throttled", migration.throttled()},
  };
  if (migration.has_started_at()) json["started_at"] = Unix(migration.started_at());
  if (migration.has_finished_at()) json["finished_at"] = Unix(migration.finished_at());
  if (migration.has_snapshot_age()) json["snapshot_age"] = Seconds(migration.snapshot_age());
  return json;
}

Json ToJson(const TableInfo& table) {
  Json json = {
      {"table", QualifiedName{table.schema(), table.name()}.Display()},
      {"phase", table.phase()},
      {"hypertable", table.hypertable()},
      {"method", table.method()},
      {"share", TableShare(table)},
      {"ranges", {table.ranges_done(), table.ranges_total()}},
      {"tasks", {table.tasks_done(), table.tasks_total(), table.tasks_running(), table.tasks_failed()}},
      {"rows", {table.rows_done(), table.rows_running(), table.estimated_rows()}},
      {"bytes", {table.bytes_done(), table.bytes_running(), table.estimated_bytes()}},
  };
  if (!table.error().empty()) json["error"] = table.error();
  if (table.verify_result() != v1::VerifyResult::RESULT_UNSPECIFIED) {
    json["verify"] = Word(v1::VerifyResult::Result_Name(table.verify_result()), 7);
    json["verify_detail"] = table.verify_detail();
  }
  return json;
}

Json ToJson(const WorkerInfo& worker) {
  Json json = {
      {"name", worker.name()},
      {"zone", worker.zone()},
      {"slots", {worker.slots_busy(), worker.slots()}},
      {"last_seen", Unix(worker.last_seen())},
      {"connected", worker.connected()},
      {"draining", worker.draining()},
      {"holds_snapshot", worker.holds_snapshot()},
      {"bytes_per_second", worker.bytes_per_second()},
  };
  if (worker.has_source_latency()) json["source_latency"] = Seconds(worker.source_latency());
  if (worker.has_target_latency()) json["target_latency"] = Seconds(worker.target_latency());
  if (worker.bottleneck() != v1::Bottleneck::PART_UNSPECIFIED) {
    json["bottleneck"] = Word(v1::Bottleneck::Part_Name(worker.bottleneck()), 5);
  }
  return json;
}

Json ErrorToJson(const v1::TaskInfo& task) {
  return {{"table", task.table()},
          {"kind", KindLabel(task.kind())},
          {"description", task.description()},
          {"error", task.error()},
          {"attempt", task.attempt()},
          {"failed", task.state() == v1::TaskState::STATE_FAILED}};
}

}  // namespace

Progress ProgressOf(const MigrationOverview& overview) {
  Progress progress;
  double done = 0;
  double all = 0;
  for (const TableInfo& table : overview.tables) {
    const double expected = ExpectedBytes(table);
    const double weight = std::max(expected, kSmallTableBytes);
    done += weight * TableShare(table);
    all += weight;
    if (table.phase() != "failed") progress.bytes_left += std::max(expected - BytesSeen(table), 0.0);
  }
  progress.share = all > 0 ? std::min(done / all, kMaxUnfinishedShare) : 0;
  if (overview.migration.phase() == v1::MigrationPhase::PHASE_DONE) progress.share = 1;
  return progress;
}

std::string StateJson(const MigrationOverview& overview, const TaskFigures& tasks, const ThroughputHistory& throughput,
                      const std::string& read_only) {
  const Progress progress = ProgressOf(overview);
  Json json = {{"now", Unix(overview.read_at)},
               {"version", kVersion},
               {"read_only", read_only},
               {"migration", ToJson(overview.migration)},
               {"share", progress.share},
               {"bytes_left", progress.bytes_left},
               {"bytes_per_second", throughput.BytesPerSecond()},
               {"rows_per_second", throughput.RowsPerSecond()},
               {"tables", Json::array()},
               {"tables_total", overview.tables.size()},
               {"workers", Json::array()},
               {"workers_total", overview.workers.size()},
               {"errors", Json::array()},
               {"errors_total", tasks.errors_total}};
  for (size_t i = 0; i < std::min(overview.tables.size(), kMaxTables); ++i) {
    json["tables"].push_back(ToJson(overview.tables[i]));
  }
  for (size_t i = 0; i < std::min(overview.workers.size(), kMaxWorkers); ++i) {
    json["workers"].push_back(ToJson(overview.workers[i]));
  }
  for (const v1::TaskInfo& task : tasks.errors) json["errors"].push_back(ErrorToJson(task));
  return Dump(json);
}

std::string HistoryJson(const ThroughputHistory& throughput) {
  Json points = Json::array();
  for (const ThroughputHistory::Point& point : throughput.points()) {
    const double seconds = absl::ToDoubleSeconds(point.length);
    points.push_back({Unix(point.start), seconds, point.bytes / seconds, point.rows / seconds});
  }
  return Dump({{"points", points}});
}

std::string RangesJson(const std::string& table, const RangeMap& ranges, size_t limit) {
  Json buckets = Json::array();
  for (const RangeBucket& bucket : ranges.Buckets(limit)) {
    Json entry = {bucket.start, bucket.end};
    for (int64_t count : bucket.counts) entry.push_back(count);
    buckets.push_back(std::move(entry));
  }
  return Dump({{"table", table},
               {"integer", ranges.integer()},
               {"stages", kRangeStageNames},
               {"totals", ranges.Totals()},
               {"each", ranges.size() <= limit},
               {"buckets", std::move(buckets)}});
}

std::string ErrorJson(const std::string& message) { return Dump({{"error", message}}); }

}  // namespace hypershift
