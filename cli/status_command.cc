#include "cli/status_command.h"

#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cli/bottleneck_words.h"
#include "cli/format.h"
#include "cli/migration_client.h"
#include "cli/progress_display.h"
#include "cli/summary.h"
#include "common/grpc_status.h"
#include "common/limits.h"
#include "common/proto_time.h"
#include "common/status_macros.h"
#include "hypershift/v1/migration.grpc.pb.h"

namespace hypershift {
namespace {

using v1::MigrationInfo;
using v1::TableInfo;
using v1::WorkerInfo;

constexpr int kExitDone = 0;
constexpr int kExitNoCoordinator = 2;
constexpr size_t kMaxTables = 50;
// A stream that lasts longer is opened anew.
constexpr absl::Duration kStreamTimeout = absl::Minutes(10);
// For so long a coordinator that was there may be away: another one takes the lead meanwhile.
constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr absl::Duration kRetryDelay = absl::Milliseconds(500);

// --- What is shown -------------------------------------------------------------------------------------------------

std::string Of(int64_t done, int64_t total, absl::string_view what) {
  return absl::StrCat(FormatCount(done), " of ", FormatCount(total), " ", what);
}

std::string Snapshot(const MigrationInfo& migration) {
  if (migration.snapshot_released()) return "released";
  if (!migration.has_snapshot_age()) return "not taken yet";
  const int holders = migration.snapshot_holders();
  const int64_t xmin_age = migration.snapshot_xmin_age();
  return absl::StrCat("held for ", HumanDuration(FromProto(migration.snapshot_age())),
                      xmin_age > 0 ? absl::StrCat(", ", FormatCount(xmin_age), " transactions") : "",
                      holders == 0 ? ", by the coordinator alone"
                                   : absl::StrCat(", by ", holders, holders == 1 ? " worker" : " workers"));
}

std::string Copied(const MigrationInfo& migration) {
  const int64_t rows = migration.rows_done() + migration.rows_running();
  std::string text = FormatCount(rows);
  if (migration.estimated_rows() > rows) {
    absl::StrAppend(&text, " of about ", FormatCount(migration.estimated_rows()));
  }
  return absl::StrCat(text, " rows, ", FormatBytes(migration.bytes_done() + migration.bytes_running()));
}

// Those that are set.
std::string LimitsInLine(const v1::Limits& limits) {
  std::vector<std::string> set;
  for (const std::string& name : LimitNames()) {
    const std::string value = FormatLimit(limits, name);
    if (value != "none") set.push_back(absl::StrCat(name, " ", value));
  }
  return absl::StrJoin(set, ", ");
}

std::string Progress(const v1::WatchResponse& status, bool color, absl::Time now) {
  ProgressState state;
  AdvanceProgress(status, now, &state);
  return absl::StrCat(Colored(FormatBar(state.share, 20), color ? Color::kCyan : Color::kNone), " ",
                      FormatPercent(state.share));
}

std::string Head(const v1::WatchResponse& status, bool color, absl::Time now) {
  const MigrationInfo& migration = status.migration();
  std::string text = absl::StrCat("Migration ", SafeText(migration.id()), ": ", PhaseInWords(migration.phase()));
  if (migration.has_started_at()) {
    absl::StrAppend(&text, HasEnded(migration) ? ", after " : ", for ", HumanDuration(ElapsedTime(migration, now)));
  }
  absl::StrAppend(&text, migration.resumed() ? " (resumed)\n" : "\n");
  const auto line = [&](absl::string_view key, absl::string_view value) {
    if (!value.empty()) absl::StrAppend(&text, "  ", PadRight(key, 10), value, "\n");
  };
  line("source", SafeText(migration.source()));
  line("target", SafeText(migration.target()));
  if (migration.tables_total() > 0) {
    line("progress", Progress(status, color, now));
    line("copied", Copied(migration));
    line("finished", absl::StrCat(Of(migration.tables_done(), migration.tables_total(), "tables"), ", ",
                                  Of(migration.ranges_done(), migration.ranges_total(), "ranges"), ", ",
                                  Of(migration.tasks_done(), migration.tasks_total(), "steps")));
  }
  if (migration.tables_failed() > 0) {
    line("failed", Colored(absl::StrCat(FormatCount(migration.tables_failed()),
                                        migration.tables_failed() == 1 ? " table" : " tables"),
                           color ? Color::kRed : Color::kNone));
  }
  line("snapshot", Snapshot(migration));
  line("rate", FormatByteRate(static_cast<double>(migration.bytes_per_second())));
  line("slowest", BottleneckInWords(migration.bottleneck()));
  line("limits", LimitsInLine(migration.limits()));
  const bool waits =
      absl::StartsWith(migration.status_line(), "wait") || !migration.throttled().empty() || migration.paused();
  line("status", Colored(SafeText(migration.status_line()), color && waits ? Color::kYellow : Color::kNone));
  line("error", Colored(SafeText(migration.error()), color ? Color::kRed : Color::kNone));
  return text;
}

std::string Workers(const v1::WatchResponse& status, int columns, absl::Time now) {
  static const std::vector<TextColumn> kColumns = {{.header = "worker", .shrinks = true},
                                                   {.header = "zone"},
                                                   {.header = "busy", .right = true},
                                                   {.header = "process", .right = true},
                                                   {.header = "snapshot"},
                                                   {.header = "version"},
                                                   {.header = "rate", .right = true},
                                                   {.header = "latency", .right = true, .optional = true},
                                                   {.header = "slowest", .optional = true},
                                                   {.header = "last seen", .right = true}};
  if (status.workers().empty()) return "\nNo worker is connected.\n";
  std::vector<std::vector<std::string>> rows;
  for (const WorkerInfo& worker : status.workers()) {
    const absl::Duration unseen = now - FromProto(worker.last_seen());
    rows.push_back({SafeText(worker.name()), SafeText(worker.zone()),
                    worker.slots() == 0 ? "keeper" : absl::StrCat(worker.slots_busy(), "/", worker.slots()),
                    worker.process_id() > 0 ? absl::StrCat(worker.process_id()) : "",
                    worker.holds_snapshot() ? "held" : "-", SafeText(worker.version()),
                    FormatByteRate(static_cast<double>(worker.bytes_per_second())), LatenciesInWords(worker),
                    BottleneckInWords(worker.bottleneck()),
                    worker.connected() && worker.draining() ? "drains"
                    : worker.connected()                    ? "connected"
                                                            : absl::StrCat(HumanDuration(unseen), " ago")});
  }
  return absl::StrCat("\n", FormatTable(kColumns, rows, columns));
}

// Failed tables first, then running, waiting, done ones: what a reader looks for.
int Rank(const TableInfo& table) {
  if (table.phase() == "failed") return 0;
  if (table.phase() == "done") return 3;
  return table.phase() == "waiting" || table.phase().empty() ? 2 : 1;
}

std::vector<std::string> TableRow(const TableInfo& table) {
  const bool copied = table.ranges_done() >= table.ranges_total();
  return {TableName(table.schema(), table.name()),
          SafeText(table.phase()),
          FormatPercent(TableShare(table)),
          FormatCount(table.rows_done() + table.rows_running()),
          FormatBytes(table.bytes_done() + table.bytes_running()),
          absl::StrCat(FormatCount(table.ranges_done()), "/", FormatCount(table.ranges_total())),
          copied || table.tasks_running() > 0 || table.tasks_done() > 0
              ? absl::StrCat(FormatCount(table.tasks_done()), "/", FormatCount(table.tasks_total()))
              : "",
          table.compressed()   ? "compressed"
          : table.hypertable() ? "hypertable"
                               : "table"};
}

std::string Tables(const v1::WatchResponse& status, int columns) {
  static const std::vector<TextColumn> kColumns = {
      {.header = "table", .shrinks = true}, {.header = "phase"},
      {.header = "done", .right = true},    {.header = "rows", .right = true},
      {.header = "bytes", .right = true},   {.header = "ranges", .right = true},
      {.header = "steps", .right = true},   {.header = "stored as"}};
  if (status.tables().empty()) return "";
  std::vector<const TableInfo*> tables;
  for (const TableInfo& table : status.tables()) tables.push_back(&table);
  std::stable_sort(tables.begin(), tables.end(),
                   [](const TableInfo* a, const TableInfo* b) { return Rank(*a) < Rank(*b); });
  const size_t shown = tables.size() <= kMaxTables + 1 ? tables.size() : kMaxTables;
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < shown; ++i) rows.push_back(TableRow(*tables[i]));
  std::string text = absl::StrCat("\n", FormatTable(kColumns, rows, columns));
  if (shown < tables.size()) {
    absl::StrAppend(&text, "… and ", FormatCount(static_cast<int64_t>(tables.size() - shown)),
                    " more: --json shows all\n");
  }
  return text;
}

std::string Items(absl::string_view title, absl::string_view mark, const std::vector<std::string>& items, int columns) {
  if (items.empty()) return "";
  std::string text = absl::StrCat("\n", title, "\n");
  for (const std::string& item : items) text += FormatItem(mark, item, columns);
  return text;
}

std::vector<std::string> Errors(const v1::WatchResponse& status) {
  std::vector<std::string> errors;
  for (const TableInfo& table : status.tables()) {
    const std::string name = TableName(table.schema(), table.name());
    if (!table.error().empty()) errors.push_back(absl::StrCat(name, ": ", table.error()));
    if (table.verify_result() == v1::VerifyResult::RESULT_DIFFERENT) {
      errors.push_back(absl::StrCat(name, ": differs from the source: ", table.verify_detail()));
    }
  }
  return errors;
}

// --- How it is asked -----------------------------------------------------------------------------------------------

template <typename Request, typename Response>
absl::Status Ask(v1::MigrationService::Stub* stub,
                 grpc::Status (v1::MigrationService::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                 Response* response) {
  grpc::ClientContext context;
  SetTimeout(&context, kMigrationCallTimeout);
  return FromGrpcStatus((stub->*method)(&context, Request(), response));
}

absl::Status AskAll(v1::MigrationService::Stub* stub, v1::WatchResponse* status) {
  v1::GetMigrationResponse migration;
  v1::ListTablesResponse tables;
  v1::ListWorkersResponse workers;
  HS_RETURN_IF_ERROR(Ask(stub, &v1::MigrationService::Stub::GetMigration, &migration));
  HS_RETURN_IF_ERROR(Ask(stub, &v1::MigrationService::Stub::ListTables, &tables));
  HS_RETURN_IF_ERROR(Ask(stub, &v1::MigrationService::Stub::ListWorkers, &workers));
  status->mutable_migration()->Swap(migration.mutable_migration());
  status->mutable_tables()->Swap(tables.mutable_tables());
  status->mutable_workers()->Swap(workers.mutable_workers());
  return absl::OkStatus();
}

int Refuse(const StatusOptions& options, const absl::Status& error) {
  std::fprintf(stderr, "hypershift: %s\n",
               std::string(DescribeCallError(options.coordinator, error).message()).c_str());
  return kExitNoCoordinator;
}

std::string ToJson(const v1::WatchResponse& status, bool one_line) {
  google::protobuf::util::JsonPrintOptions print;
  print.add_whitespace = !one_line;
  print.always_print_primitive_fields = true;
  std::string json;
  // Fails only for messages with Any fields or invalid times.
  if (!google::protobuf::util::MessageToJsonString(status, &json, print).ok()) return "{}\n";
  if (one_line) json += '\n';
  return json;
}

bool ColorsOnStdout() {
  const char* const no_color = std::getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
}

// Where the events of a Watch stream go.
class WatchOutput {
 public:
  explicit WatchOutput(const StatusOptions& options) : json_(options.json), display_(DisplayOptions(options)) {}

  // False: nobody reads the output any more.
  bool Show(const v1::WatchResponse& event) {
    if (!json_) {
      display_.Update(event);
      return true;
    }
    std::fputs(ToJson(event, true).c_str(), stdout);
    return std::fflush(stdout) == 0;
  }
  void SayLost() {
    if (!json_) display_.LogLine("The coordinator does not answer; trying again.");
  }
  void End(const v1::WatchResponse& last) {
    display_.Close();
    if (!json_) std::fputs(FormatSummary(last, TerminalColumns(STDOUT_FILENO)).c_str(), stdout);
  }
  void Close() { display_.Close(); }

 private:
  static ProgressDisplay::Options DisplayOptions(const StatusOptions& options) {
    ProgressDisplay::Options display;
    display.mode = ProgressDisplay::ModeFor(STDOUT_FILENO, options.json);
    display.output_fd = STDOUT_FILENO;
    return display;
  }

  const bool json_;
  ProgressDisplay display_;
};

struct StreamResult {
  bool any_event = false;
  bool unread = false;  // The output's reader has gone.
  absl::Status status;
};

// Reads one stream to its end.
StreamResult ReadStream(v1::MigrationService::Stub* stub, WatchOutput* output, v1::WatchResponse* last) {
  StreamResult result;
  grpc::ClientContext context;
  SetTimeout(&context, kStreamTimeout);
  const auto reader = stub->Watch(&context, v1::WatchRequest());
  v1::WatchResponse event;
  while (reader->Read(&event)) {
    result.any_event = true;
    *last = event;
    if (output->Show(event)) continue;
    result.unread = true;
    context.TryCancel();
    break;
  }
  result.status = FromGrpcStatus(reader->Finish());
  return result;
}

int Watch(const StatusOptions& options) {
  const auto stub = ConnectToCoordinator(options.coordinator, options.security);
  WatchOutput output(options);
  v1::WatchResponse last;
  bool seen = false;
  absl::Time give_up = absl::InfinitePast();
  while (true) {
    const StreamResult stream = ReadStream(stub.get(), &output, &last);
    if (stream.unread) return kExitDone;
    if (stream.any_event && HasEnded(last.migration())) break;
    if (stream.any_event) {
      seen = true;
      give_up = absl::Now() + kPatience;
      if (!absl::IsDeadlineExceeded(stream.status)) output.SayLost();
    }
    if (!seen || absl::Now() >= give_up) {
      output.Close();
      return Refuse(options, stream.status.ok() ? absl::UnavailableError("it ended the stream") : stream.status);
    }
    absl::SleepFor(kRetryDelay);
  }
  output.End(last);
  return kExitDone;
}

}  // namespace

std::string FormatStatus(const v1::WatchResponse& status, int columns, bool color, absl::Time now) {
  const MigrationInfo& migration = status.migration();
  return absl::StrCat(Head(status, color, now), Workers(status, columns, now), Tables(status, columns),
                      Items("Left out:", "-", {migration.left_out().begin(), migration.left_out().end()}, columns),
                      Items("Waits for:", "-", {migration.waits().begin(), migration.waits().end()}, columns),
                      Items("Warnings:", Colored("!", color ? Color::kYellow : Color::kNone),
                            {migration.warnings().begin(), migration.warnings().end()}, columns),
                      Items("Errors:", Colored("✗", color ? Color::kRed : Color::kNone), Errors(status), columns));
}

int RunStatusCommand(const StatusOptions& options) {
  if (options.watch) return Watch(options);
  const auto stub = ConnectToCoordinator(options.coordinator, options.security);
  v1::WatchResponse status;
  const absl::Status answered = AskAll(stub.get(), &status);
  if (!answered.ok()) return Refuse(options, answered);
  const std::string text = options.json
                               ? ToJson(status, false)
                               : FormatStatus(status, TerminalColumns(STDOUT_FILENO), ColorsOnStdout(), absl::Now());
  std::fputs(text.c_str(), stdout);
  return kExitDone;
}

}  // namespace hypershift
