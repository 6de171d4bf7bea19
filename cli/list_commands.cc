#include "cli/list_commands.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "cli/bottleneck_words.h"
#include "cli/control_call.h"
#include "cli/format.h"
#include "cli/progress_display.h"
#include "common/names.h"
#include "common/proto_time.h"
#include "common/status_macros.h"
#include "coordinator/exit_status.h"

namespace hypershift {
namespace {

using Stub = v1::MigrationService::Stub;

// More are for machines.
constexpr size_t kMostTasksShown = 10000;
constexpr size_t kMostNamesShown = 20;

// "KIND_PREPARE_CHUNK" as "prepare chunk".
std::string InWords(absl::string_view name, absl::string_view prefix) {
  if (absl::StartsWith(name, prefix)) name.remove_prefix(prefix.size());
  return absl::StrReplaceAll(absl::AsciiStrToLower(name), {{"_", " "}});
}

// What keeps it, or what went wrong.
std::string Why(const v1::TaskInfo& task) {
  if (!task.waits_for().empty()) return absl::StrCat("waits for ", SafeText(task.waits_for()));
  return SafeText(task.error());
}

std::string OrNothing(int64_t count) { return count == 0 ? "" : FormatCount(count); }

absl::Status CheckTable(const std::string& table, ControlClient* client) {
  v1::ListTablesResponse tables;
  HS_RETURN_IF_ERROR(client->Ask(&Stub::ListTables, {}, &tables));
  std::vector<std::string> names;
  for (const v1::TableInfo& info : tables.tables())
    names.push_back(QualifiedName{info.schema(), info.name()}.Display());
  if (std::find(names.begin(), names.end(), table) != names.end()) return absl::OkStatus();
  const std::string more =
      names.size() > kMostNamesShown ? absl::StrCat(" (and ", names.size() - kMostNamesShown, " more)") : "";
  if (names.size() > kMostNamesShown) names.resize(kMostNamesShown);
  return absl::NotFoundError(absl::StrCat("the migration has no table ", SafeText(table), ": there are ",
                                          SafeText(absl::StrJoin(names, ", ")), more));
}

}  // namespace

std::string FormatTables(const v1::ListTablesResponse& tables, int columns) {
  static const std::vector<TextColumn> kColumns = {{.header = "table", .shrinks = true},
                                                   {.header = "phase"},
                                                   {.header = "done", .right = true},
                                                   {.header = "rows", .right = true},
                                                   {.header = "bytes", .right = true},
                                                   {.header = "ranges", .right = true},
                                                   {.header = "steps", .right = true},
                                                   {.header = "running", .right = true},
                                                   {.header = "failed", .right = true},
                                                   {.header = "split by"},
                                                   {.header = "format"},
                                                   {.header = "stored as"},
                                                   {.header = "error", .shrinks = true}};
  if (tables.tables().empty()) return "There is no table yet.\n";
  std::vector<std::vector<std::string>> rows;
  for (const v1::TableInfo& table : tables.tables()) {
    rows.push_back({TableName(table.schema(), table.name()), SafeText(table.phase()), FormatPercent(TableShare(table)),
                    FormatCount(table.rows_done() + table.rows_running()),
                    FormatBytes(table.bytes_done() + table.bytes_running()),
                    absl::StrCat(FormatCount(table.ranges_done()), "/", FormatCount(table.ranges_total())),
                    absl::StrCat(FormatCount(table.tasks_done()), "/", FormatCount(table.tasks_total())),
                    OrNothing(table.tasks_running()), OrNothing(table.tasks_failed()), SafeText(table.method()),
                    InWords(v1::CopyFormat_Name(table.format()), "COPY_FORMAT_"),
                    table.compressed()   ? "compressed"
                    : table.hypertable() ? "hypertable"
                                         : "table",
                    SafeText(table.error())});
  }
  return FormatTable(kColumns, rows, columns);
}

std::string FormatWorkers(const v1::ListWorkersResponse& workers, int columns, absl::Time now) {
  static const std::vector<TextColumn> kColumns = {{.header = "worker", .shrinks = true},
                                                   {.header = "zone"},
                                                   {.header = "busy", .right = true},
                                                   {.header = "rate", .right = true},
                                                   {.header = "latency", .right = true, .optional = true},
                                                   {.header = "slowest", .optional = true},
                                                   {.header = "snapshot"},
                                                   {.header = "process", .right = true},
                                                   {.header = "version"},
                                                   {.header = "state"}};
  if (workers.workers().empty()) return "No worker has registered.\n";
  std::vector<std::vector<std::string>> rows;
  for (const v1::WorkerInfo& worker : workers.workers()) {
    rows.push_back({SafeText(worker.name()), SafeText(worker.zone()),
                    worker.slots() == 0 ? "keeper" : absl::StrCat(worker.slots_busy(), "/", worker.slots()),
                    FormatByteRate(static_cast<double>(worker.bytes_per_second())), LatenciesInWords(worker),
                    BottleneckInWords(worker.bottleneck()), worker.holds_snapshot() ? "held" : "-",
                    worker.process_id() > 0 ? absl::StrCat(worker.process_id()) : "", SafeText(worker.version()),
                    !worker.connected()
                        ? absl::StrCat("last seen ", HumanDuration(now - FromProto(worker.last_seen())), " ago")
                    : worker.draining() ? "drains"
                                        : "connected"});
  }
  return FormatTable(kColumns, rows, columns);
}

std::string FormatTasks(const std::vector<v1::TaskInfo>& tasks, int columns) {
  static const std::vector<TextColumn> kColumns = {{.header = "task", .right = true},
                                                   {.header = "table", .shrinks = true},
                                                   {.header = "kind"},
                                                   {.header = "state"},
                                                   {.header = "attempt", .right = true},
                                                   {.header = "worker", .shrinks = true},
                                                   {.header = "rows", .right = true},
                                                   {.header = "bytes", .right = true},
                                                   {.header = "what", .shrinks = true},
                                                   {.header = "why", .shrinks = true}};
  if (tasks.empty()) return "There is no such task.\n";
  std::vector<std::vector<std::string>> rows;
  for (const v1::TaskInfo& task : tasks) {
    rows.push_back(
        {absl::StrCat(task.id()), SafeText(task.table()), InWords(v1::TaskKind::Kind_Name(task.kind()), "KIND_"),
         InWords(v1::TaskState::State_Name(task.state()), "STATE_"),
         task.attempt() == 0 ? "" : absl::StrCat(task.attempt()), SafeText(task.worker()), OrNothing(task.rows()),
         task.bytes() == 0 ? "" : FormatBytes(task.bytes()), SafeText(task.description()), Why(task)});
  }
  return FormatTable(kColumns, rows, columns);
}

absl::StatusOr<v1::TaskState::State> ParseTaskState(const std::string& name) {
  if (name.empty()) return v1::TaskState::STATE_UNSPECIFIED;
  for (const auto state : {v1::TaskState::STATE_PENDING, v1::TaskState::STATE_LEASED, v1::TaskState::STATE_DONE,
                           v1::TaskState::STATE_FAILED}) {
    if (InWords(v1::TaskState::State_Name(state), "STATE_") == name) return state;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--state: ", InQuotes(name), " is no state: there are pending, leased, done, failed"));
}

int RunTablesCommand(const std::string& coordinator, const TransportSecurity& security, bool json) {
  v1::ListTablesResponse tables;
  const absl::Status asked = ControlClient(coordinator, security).Ask(&Stub::ListTables, {}, &tables);
  if (!asked.ok()) return RefuseCommand(asked);
  std::fputs((json ? MessageAsJson(tables, false) : FormatTables(tables, TerminalColumns(STDOUT_FILENO))).c_str(),
             stdout);
  return kExitDone;
}

int RunWorkersCommand(const std::string& coordinator, const TransportSecurity& security, bool json) {
  v1::ListWorkersResponse workers;
  const absl::Status asked = ControlClient(coordinator, security).Ask(&Stub::ListWorkers, {}, &workers);
  if (!asked.ok()) return RefuseCommand(asked);
  const std::string text =
      json ? MessageAsJson(workers, false) : FormatWorkers(workers, TerminalColumns(STDOUT_FILENO), absl::Now());
  std::fputs(text.c_str(), stdout);
  return kExitDone;
}

int RunTasksCommand(const std::string& coordinator, const TransportSecurity& security, const std::string& table,
                    v1::TaskState::State state, bool json) {
  ControlClient client(coordinator, security);
  v1::ListTasksRequest request;
  if (!table.empty()) {
    const absl::StatusOr<QualifiedName> name = ParseQualifiedName(table);
    if (!name.ok()) return RefuseCommand(WithContext(name.status(), "--table"));
    request.set_table(name->Display());
    const absl::Status known = CheckTable(request.table(), &client);
    if (!known.ok()) return RefuseCommand(known);
  }
  request.set_state(state);
  std::vector<v1::TaskInfo> tasks;
  bool more = true;
  while (more) {
    v1::ListTasksResponse page;
    const absl::Status asked = client.Ask(&Stub::ListTasks, request, &page);
    if (!asked.ok()) return RefuseCommand(asked);
    for (v1::TaskInfo& task : *page.mutable_tasks()) {
      if (json) {
        std::fputs(MessageAsJson(task, true).c_str(), stdout);
      } else {
        tasks.push_back(std::move(task));
      }
    }
    request.set_page_token(page.next_page_token());
    more = !page.next_page_token().empty();
    // Nobody reads so many; and nobody may read the output any more.
    if ((more && tasks.size() >= kMostTasksShown) || std::ferror(stdout) != 0) break;
  }
  if (json) return kExitDone;
  std::fputs(FormatTasks(tasks, TerminalColumns(STDOUT_FILENO)).c_str(), stdout);
  if (more) std::puts("… and more: --table and --state choose, --json shows all");
  return kExitDone;
}

}  // namespace hypershift
