#include "cli/progress_display.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "cli/format.h"
#include "common/log.h"
#include "common/proto_time.h"

namespace hypershift {
namespace {

using v1::MigrationInfo;
using v1::MigrationPhase;
using v1::TableInfo;

// The most that is shown of what is not done.
constexpr double kMaxUnfinishedShare = 0.999;
constexpr absl::Duration kRateDecay = absl::Seconds(5);
constexpr absl::Duration kSteadyAfter = absl::Seconds(3);
constexpr absl::Duration kStandstill = absl::Seconds(30);
// What a table without an estimate counts in the migration's share.
constexpr double kSmallTableBytes = 64 * 1024;
constexpr int kMaxTableLines = 12;

bool IsDone(const TableInfo& table) { return table.phase() == "done" && table.tasks_total() > 0; }
bool IsFailed(const TableInfo& table) { return table.phase() == "failed"; }
bool IsRunning(const TableInfo& table) {
  return !table.phase().empty() && table.phase() != "waiting" && table.phase() != "done" && !IsFailed(table);
}
bool IsCopied(const TableInfo& table) { return table.ranges_done() >= table.ranges_total(); }

double BytesSeen(const TableInfo& table) { return static_cast<double>(table.bytes_done() + table.bytes_running()); }
int64_t RowsSeen(const TableInfo& table) { return table.rows_done() + table.rows_running(); }

double RangesShare(const TableInfo& table, int64_t ranges) {
  return table.ranges_total() > 0 ? static_cast<double>(ranges) / static_cast<double>(table.ranges_total()) : 0;
}

// Bytes of the whole table as far as can be told: what has arrived, and for the ranges that have not the estimate, or
// what the finished ranges let expect if they belie it. 0 = nothing is known.
double ExpectedBytes(const TableInfo& table) {
  const double done = static_cast<double>(table.bytes_done());
  if (IsCopied(table)) return done;
  const double finished = RangesShare(table, table.ranges_done());
  double estimate = static_cast<double>(table.estimated_bytes());
  if (done > 0 && finished > 0) {
    const double projected = done / finished;
    if (projected > 2 * estimate || projected < estimate / 2) estimate = projected;
  }
  if (estimate <= 0) return 0;
  return std::max(done + (1 - finished) * estimate, BytesSeen(table));
}

// Estimated bytes still to copy; 0 when that is unknown.
double BytesLeft(const v1::WatchResponse& event) {
  double left = 0;
  for (const TableInfo& table : event.tables()) {
    if (IsCopied(table) || IsFailed(table)) continue;
    left += std::max(ExpectedBytes(table) - BytesSeen(table), 0.0);
  }
  return left;
}

double MigrationShare(const v1::WatchResponse& event, const ProgressState& state) {
  if (event.migration().phase() == MigrationPhase::PHASE_DONE) return 1;
  double done = 0;
  double all = 0;
  for (const TableInfo& table : event.tables()) {
    const double weight = std::max(ExpectedBytes(table), kSmallTableBytes);
    done += weight * state.tables.at({table.schema(), table.name()}).share;
    all += weight;
  }
  return all > 0 ? std::min(done / all, kMaxUnfinishedShare) : 0;
}

// Widths of the cells of a table's line; 0 = left out for want of room.
struct Layout {
  int gap = 1;
  int name = 0;
  int phase = 11;
  int bar = 10;
  int percent = 4;
  int rows = 11;
  int rate = 10;
  int ranges = 6;

  int Used() const {
    int used = 0;
    for (int width : {name, phase, bar, percent, rows, rate, ranges}) used += width > 0 ? width + gap : 0;
    return used - gap;
  }
};

Layout MakeLayout(const v1::WatchResponse& event, int columns) {
  constexpr int kMinName = 12;
  Layout layout;
  int longest_name = kMinName;
  for (const TableInfo& table : event.tables()) {
    longest_name = std::max(longest_name, DisplayWidth(TableName(table.schema(), table.name())));
    const int digits = static_cast<int>(absl::StrCat(table.ranges_total()).size());
    layout.ranges = std::max(layout.ranges, std::min(2 * digits + 1, 11));
  }
  const int total_digits = static_cast<int>(absl::StrCat(event.migration().ranges_total()).size());
  layout.ranges = std::max(layout.ranges, std::min(2 * total_digits + 1, 11));
  if (columns >= 100) {
    layout.gap = 2;
    layout.rows = 13;
  }
  layout.name = kMinName;
  for (int* cell : {&layout.bar, &layout.phase, &layout.ranges, &layout.rate, &layout.rows, &layout.percent}) {
    if (layout.Used() > columns) *cell = 0;
  }
  layout.name = std::min(kMinName, columns);
  layout.name += std::clamp(columns - layout.Used(), 0, std::min(longest_name, 48) - kMinName);
  if (layout.bar > 0) layout.bar += std::clamp(columns - layout.Used(), 0, 30);
  return layout;
}

// Joins the cells that have a width.
class LineBuilder {
 public:
  LineBuilder(int gap, bool color) : gap_(gap), color_(color) {}
  void Left(absl::string_view text, int width, Color color = Color::kNone) { Add(PadRight(text, width), width, color); }
  void Right(absl::string_view text, int width, Color color = Color::kNone) { Add(PadLeft(text, width), width, color); }
  std::string Take() { return std::move(line_); }

 private:
  void Add(const std::string& cell, int width, Color color) {
    if (width <= 0) return;
    if (!line_.empty()) line_.append(gap_, ' ');
    line_ += Colored(cell, color_ ? color : Color::kNone);
  }
  const int gap_;
  const bool color_;
  std::string line_;
};

int Spanned(int a, int b, int gap) { return a > 0 && b > 0 ? a + gap + b : a + b; }

std::string HeaderLine(const Layout& layout, bool color) {
  LineBuilder line(layout.gap, color);
  line.Left("table", layout.name, Color::kDim);
  line.Left("phase", layout.phase, Color::kDim);
  line.Left("done", Spanned(layout.bar, layout.percent, layout.gap), Color::kDim);
  line.Right("rows", layout.rows, Color::kDim);
  line.Right("rate", layout.rate, Color::kDim);
  line.Right("ranges", layout.ranges, Color::kDim);
  return line.Take();
}

std::string TableLine(const TableInfo& table, const ProgressState::Table& progress, const Layout& layout, bool color) {
  const double share = std::min(progress.share, kMaxUnfinishedShare);
  LineBuilder line(layout.gap, color);
  line.Left(TableName(table.schema(), table.name()), layout.name);
  line.Left(SafeText(table.phase()), layout.phase, Color::kDim);
  line.Left(FormatBar(share, layout.bar), layout.bar, Color::kCyan);
  line.Right(FormatPercent(share), layout.percent);
  line.Right(FormatCountWithin(RowsSeen(table), layout.rows), layout.rows);
  if (IsCopied(table)) {
    line.Right(absl::StrCat("step ", table.tasks_done(), "/", table.tasks_total()),
               Spanned(layout.rate, layout.ranges, layout.gap), Color::kDim);
    return line.Take();
  }
  line.Right(FormatByteRate(progress.bytes.PerSecond()), layout.rate);
  line.Right(absl::StrCat(table.ranges_done(), "/", table.ranges_total()), layout.ranges);
  return line.Take();
}

std::string TotalLine(const MigrationInfo& migration, const ProgressState& state, const Layout& layout, bool color) {
  LineBuilder line(layout.gap, color);
  const int width = Spanned(layout.name, layout.phase, layout.gap);
  std::string tables =
      absl::StrCat(FormatCount(migration.tables_done()), " of ", FormatCount(migration.tables_total()), " tables");
  if (DisplayWidth(tables) > width) tables = absl::StrCat(migration.tables_done(), "/", migration.tables_total());
  line.Left(tables, width, Color::kBold);
  line.Left(FormatBar(state.share, layout.bar), layout.bar, Color::kGreen);
  line.Right(FormatPercent(state.share), layout.percent, Color::kBold);
  line.Right(FormatCountWithin(migration.rows_done() + migration.rows_running(), layout.rows), layout.rows,
             Color::kBold);
  line.Right(FormatByteRate(state.bytes.PerSecond()), layout.rate, Color::kBold);
  line.Right(absl::StrCat(migration.ranges_done(), "/", migration.ranges_total()), layout.ranges, Color::kBold);
  return line.Take();
}

// For an estimate: tenths would promise too much.
std::string WholeSeconds(absl::Duration duration) {
  const absl::Duration seconds = absl::Ceil(duration, absl::Seconds(1));
  return seconds < absl::Minutes(1) ? absl::StrCat(absl::ToInt64Seconds(seconds), " s") : HumanDuration(seconds);
}

std::string DetailLine(const MigrationInfo& migration, const ProgressState& state, absl::Time now, int columns,
                       bool color) {
  const std::string failed =
      migration.tables_failed() > 0 ? absl::StrCat(FormatCount(migration.tables_failed()), " failed · ") : "";
  std::string rest = absl::StrCat(FormatBytes(migration.bytes_done() + migration.bytes_running()), " copied in ",
                                  HumanDuration(ElapsedTime(migration, now)));
  const std::optional<absl::Duration> left = TimeLeft(state);
  if (left.has_value()) {
    absl::StrAppend(&rest, " · about ", WholeSeconds(*left), " left to copy");
  } else if (state.bytes_left <= 0 && migration.ranges_done() > 0) {
    if (migration.ranges_done() == migration.ranges_total()) rest += " · every row is copied";
    absl::StrAppend(&rest, " · ", FormatCount(migration.tasks_done()), " of ", FormatCount(migration.tasks_total()),
                    " steps done");
  }
  return absl::StrCat(Colored(Truncate(failed, columns), color ? Color::kRed : Color::kNone),
                      Truncate(rest, columns - DisplayWidth(failed)));
}

std::string StatusLine(const MigrationInfo& migration, int columns, bool color) {
  const std::string status = SafeText(migration.status_line());
  std::string text = Truncate(status.empty() ? PhaseInWords(migration.phase()) : absl::string_view(status), columns);
  if (!color) return text;
  const bool waits = absl::StartsWith(status, "wait") || absl::StartsWith(status, "stopping") ||
                     absl::StartsWith(status, "paused") || absl::StartsWith(status, "throttled");
  return Colored(text, waits ? Color::kYellow : Color::kDim);
}

// Running tables in the order they started, at most `limit`: those that tasks run for before those that wait for a
// slot.
std::vector<const TableInfo*> PickTables(const v1::WatchResponse& event, size_t limit, size_t* running) {
  std::vector<const TableInfo*> tables;
  for (const TableInfo& table : event.tables()) {
    if (IsRunning(table)) tables.push_back(&table);
  }
  *running = tables.size();
  const auto started_before = [](const TableInfo* a, const TableInfo* b) {
    return FromProto(a->started_at()) < FromProto(b->started_at());
  };
  std::stable_sort(tables.begin(), tables.end(), started_before);
  if (tables.size() <= limit) return tables;
  std::stable_partition(tables.begin(), tables.end(),
                        [](const TableInfo* table) { return table->tasks_running() > 0; });
  tables.resize(limit);
  std::stable_sort(tables.begin(), tables.end(), started_before);
  return tables;
}

void AppendTableLines(const v1::WatchResponse& event, const ProgressState& state, const Layout& layout, int max_lines,
                      bool color, std::vector<std::string>* lines) {
  if (max_lines <= 0) return;
  size_t running = 0;
  std::vector<const TableInfo*> tables = PickTables(event, max_lines, &running);
  // The last line says what is not shown.
  if (running > tables.size()) tables = PickTables(event, max_lines - 1, &running);
  for (const TableInfo* table : tables) {
    lines->push_back(TableLine(*table, state.tables.at({table->schema(), table->name()}), layout, color));
  }
  if (running == tables.size()) return;
  const std::string more = absl::StrCat("… and ", FormatCount(running - tables.size()), " more");
  lines->push_back(
      Colored(PadRight(more, std::min(layout.Used(), DisplayWidth(more))), color ? Color::kDim : Color::kNone));
}

// Rows of the terminal that `lines` take when it is `columns` wide.
int TerminalRows(const std::vector<std::string>& lines, int columns) {
  int rows = 0;
  for (const std::string& line : lines) rows += std::max((DisplayWidth(line) + columns - 1) / columns, 1);
  return rows;
}

void WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(written);
    } else if (errno == EAGAIN) {
      pollfd ready{fd, POLLOUT, 0};
      if (poll(&ready, 1, 1000) <= 0) return;
    } else if (errno != EINTR) {
      return;
    }
  }
}

bool IsSet(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

void LogEnded(const TableInfo& table) {
  const std::string name = TableName(table.schema(), table.name());
  if (IsFailed(table)) {
    LogError("table failed", {{"table", name}, {"rows", table.rows_done()}, {"error", table.error()}});
    return;
  }
  const double seconds = absl::ToDoubleSeconds(FromProto(table.finished_at()) - FromProto(table.started_at()));
  LogInfo("table done",
          {{"table", name}, {"rows", table.rows_done()}, {"bytes", table.bytes_done()}, {"seconds", seconds}});
}

void LogProgress(const MigrationInfo& migration, const ProgressState& state) {
  const std::optional<absl::Duration> left = TimeLeft(state);
  const std::string status =
      migration.status_line().empty() ? std::string(PhaseInWords(migration.phase())) : migration.status_line();
  LogInfo("progress", {{"percent", absl::StripSuffix(FormatPercent(state.share), "%")},
                       {"tables_done", migration.tables_done()},
                       {"tables_total", migration.tables_total()},
                       {"tables_failed", migration.tables_failed()},
                       {"ranges_done", migration.ranges_done()},
                       {"ranges_total", migration.ranges_total()},
                       {"rows", migration.rows_done() + migration.rows_running()},
                       {"bytes", migration.bytes_done() + migration.bytes_running()},
                       {"bytes_per_second", static_cast<int64_t>(state.bytes.PerSecond())},
                       {"rows_per_second", static_cast<int64_t>(state.rows.PerSecond())},
                       {"seconds_left", left.has_value() ? absl::StrCat(absl::ToInt64Seconds(*left)) : "unknown"},
                       {"status", status}});
}

}  // namespace

void SmoothedRate::Observe(double total, absl::Time now) {
  if (!last_time_.has_value()) {
    last_time_ = now;
    last_total_ = total;
    return;
  }
  if (now <= *last_time_) return;
  const absl::Duration passed = now - *last_time_;
  const double moved = std::max(total - last_total_, 0.0);
  const double decay = std::exp(-absl::FDivDuration(passed, kRateDecay));
  if (moved > 0) last_moved_ = now;
  amount_ = amount_ * decay + moved;
  seconds_ = seconds_ * decay + absl::ToDoubleSeconds(passed);
  observed_ += passed;
  last_time_ = now;
  last_total_ = total;
}

double SmoothedRate::PerSecond() const {
  if (seconds_ <= 0 || *last_time_ - last_moved_ >= kStandstill) return 0;
  return amount_ / seconds_;
}

bool SmoothedRate::Steady() const { return observed_ >= kSteadyAfter; }

double TableShare(const TableInfo& table) {
  if (table.phase() == "done") return 1;
  if (table.ranges_total() == 0) return 0;
  if (IsCopied(table)) return kMaxUnfinishedShare;
  const double expected = ExpectedBytes(table);
  const double finished = RangesShare(table, table.ranges_done());
  if (expected <= 0) return std::min(finished, kMaxUnfinishedShare);
  // However wrong the estimate: ranges that nobody has begun are not done.
  const double begun = RangesShare(table, std::min(table.ranges_done() + table.tasks_running(), table.ranges_total()));
  return std::min({BytesSeen(table) / expected, begun, kMaxUnfinishedShare});
}

EndedTables AdvanceProgress(const v1::WatchResponse& event, absl::Time now, ProgressState* state) {
  using Reported = ProgressState::Reported;
  EndedTables ended;
  const MigrationInfo& migration = event.migration();
  state->bytes.Observe(static_cast<double>(migration.bytes_done() + migration.bytes_running()), now);
  state->rows.Observe(static_cast<double>(migration.rows_done() + migration.rows_running()), now);
  for (const TableInfo& table : event.tables()) {
    ProgressState::Table& progress = state->tables[{table.schema(), table.name()}];
    progress.share = std::max(progress.share, TableShare(table));
    progress.bytes.Observe(BytesSeen(table), now);
    if (IsFailed(table) && progress.reported != Reported::kFailed) {
      progress.reported = Reported::kFailed;
      ended.tables.push_back(&table);
    } else if (IsDone(table) && progress.reported != Reported::kDone) {
      progress.reported = Reported::kDone;
      if (state->started) ended.tables.push_back(&table);
      if (!state->started) ++ended.done_before;
    }
  }
  state->share = std::max(state->share, MigrationShare(event, *state));
  state->bytes_left = BytesLeft(event);
  state->started = true;
  return ended;
}

std::string TableRecord(const TableInfo& table, bool color) {
  const std::string name = TableName(table.schema(), table.name());
  const auto colored = [&](absl::string_view text, Color as) { return Colored(text, color ? as : Color::kNone); };
  const std::string rows = absl::StrCat(FormatCount(table.rows_done()), table.rows_done() == 1 ? " row" : " rows");
  if (IsFailed(table)) {
    return absl::StrCat(colored("✗", Color::kRed), " ", name, " ", colored("failed", Color::kRed), " after ", rows,
                        ": ", SafeText(table.error()));
  }
  if (table.verify_result() == v1::VerifyResult::RESULT_DIFFERENT) {
    return absl::StrCat(colored("✗", Color::kRed), " ", name, " ", rows, ", ", colored("differs", Color::kRed),
                        " from the source: ", SafeText(table.verify_detail()));
  }
  std::string record = absl::StrCat(colored("✓", Color::kGreen), " ", name, " ", rows);
  if (table.has_started_at() && table.has_finished_at()) {
    absl::StrAppend(&record, " in ", HumanDuration(FromProto(table.finished_at()) - FromProto(table.started_at())));
  }
  if (table.verify_result() == v1::VerifyResult::RESULT_EQUAL) absl::StrAppend(&record, ", verified");
  if (table.verify_result() == v1::VerifyResult::RESULT_EQUAL_REWRITTEN) {
    absl::StrAppend(&record, ", verified but for rewritten values");
  }
  return record;
}

std::vector<std::string> DrawProgress(const v1::WatchResponse& event, const ProgressState& state, const FrameSize& size,
                                      absl::Time now) {
  const MigrationInfo& migration = event.migration();
  const int columns = std::max(size.columns - 1, 1);
  const int max_lines = std::max(size.rows - 1, 1);
  const std::string status = StatusLine(migration, columns, size.color);
  if (migration.tables_total() == 0 || max_lines == 1) return {status};
  const Layout layout = MakeLayout(event, columns);
  std::vector<std::string> lines;
  // A blank line apart from what stays above.
  if (max_lines >= 8) lines.push_back("");
  if (max_lines >= 5) {
    const int room = max_lines - 4 - static_cast<int>(lines.size());
    lines.push_back(HeaderLine(layout, size.color));
    AppendTableLines(event, state, layout, std::min(room, kMaxTableLines), size.color, &lines);
  }
  lines.push_back(TotalLine(migration, state, layout, size.color));
  if (max_lines >= 3) lines.push_back(DetailLine(migration, state, now, columns, size.color));
  lines.push_back(status);
  return lines;
}

std::optional<absl::Duration> TimeLeft(const ProgressState& state) {
  const double rate = state.bytes.PerSecond();
  if (!state.bytes.Steady() || rate < 1 || state.bytes_left <= 0) return std::nullopt;
  return absl::Seconds(state.bytes_left / rate);
}

bool HasEnded(const MigrationInfo& migration) {
  return migration.phase() == MigrationPhase::PHASE_DONE || migration.phase() == MigrationPhase::PHASE_FAILED ||
         migration.phase() == MigrationPhase::PHASE_STOPPED || migration.phase() == MigrationPhase::PHASE_CANCELLED;
}

absl::string_view PhaseInWords(MigrationPhase::Phase phase) {
  switch (phase) {
    case MigrationPhase::PHASE_CHECK:
      return "checks source and target";
    case MigrationPhase::PHASE_SCHEMA:
      return "restores the schema";
    case MigrationPhase::PHASE_PLAN:
      return "plans the ranges";
    case MigrationPhase::PHASE_RUN:
      return "runs";
    case MigrationPhase::PHASE_DONE:
      return "done";
    case MigrationPhase::PHASE_FAILED:
      return "failed";
    case MigrationPhase::PHASE_STOPPED:
      return "stopped";
    case MigrationPhase::PHASE_CANCELLED:
      return "cancelled";
    default:
      return "starts";
  }
}

absl::Duration ElapsedTime(const MigrationInfo& migration, absl::Time now) {
  if (!migration.has_started_at()) return absl::ZeroDuration();
  const absl::Time end = migration.has_finished_at() ? FromProto(migration.finished_at()) : now;
  return std::max(end - FromProto(migration.started_at()), absl::ZeroDuration());
}

int TerminalColumns(int fd) {
  winsize window{};
  return ioctl(fd, TIOCGWINSZ, &window) == 0 ? window.ws_col : 0;
}

ProgressDisplay::Mode ProgressDisplay::ModeFor(int fd, bool hide_progress) {
  if (hide_progress) return Mode::kHidden;
  const char* const term = std::getenv("TERM");
  const bool can_move = term != nullptr && *term != '\0' && absl::string_view(term) != "dumb";
  return can_move && isatty(fd) == 1 ? Mode::kTerminal : Mode::kLines;
}

ProgressDisplay::ProgressDisplay(const Options& options)
    : options_(options), color_(options.mode == Mode::kTerminal && !IsSet("NO_COLOR")) {}

ProgressDisplay::~ProgressDisplay() { Close(); }

void ProgressDisplay::Update(const v1::WatchResponse& event) {
  if (options_.mode == Mode::kTerminal) UpdateTerminal(event);
  if (options_.mode == Mode::kLines) UpdateLines(event);
}

void ProgressDisplay::UpdateTerminal(const v1::WatchResponse& event) {
  const FrameSize size = Size();
  const absl::Time now = absl::Now();
  MutexLock lock(&mutex_);
  if (closed_) return;
  const EndedTables ended = AdvanceProgress(event, now, &state_);
  std::vector<std::string> records;
  if (ended.done_before > 0) {
    records.push_back(absl::StrCat(Colored("✓", color_ ? Color::kGreen : Color::kNone), " ",
                                   FormatCount(ended.done_before),
                                   ended.done_before == 1 ? " table was done before" : " tables were done before"));
  }
  for (const TableInfo* table : ended.tables) records.push_back(TableRecord(*table, color_));
  last_event_ = event;
  Redraw(records, DrawProgress(event, state_, size, now), size.columns);
}

void ProgressDisplay::UpdateLines(const v1::WatchResponse& event) {
  const absl::Time now = absl::Now();
  EndedTables ended;
  bool due = false;
  ProgressState state;
  {
    MutexLock lock(&mutex_);
    if (closed_) return;
    ended = AdvanceProgress(event, now, &state_);
    due = now >= next_line_ || HasEnded(event.migration());
    if (due) next_line_ = now + options_.line_interval;
    // Copied without the tables: a line needs the totals only.
    state.share = state_.share;
    state.bytes_left = state_.bytes_left;
    state.bytes = state_.bytes;
    state.rows = state_.rows;
  }
  for (const TableInfo* table : ended.tables) LogEnded(*table);
  if (due) LogProgress(event.migration(), state);
}

void ProgressDisplay::LogLine(absl::string_view line) {
  const std::string safe = SafeText(absl::StripSuffix(line, "\n"));
  const FrameSize size = Size();
  MutexLock lock(&mutex_);
  if (drawn_.empty()) {
    WriteAll(options_.output_fd, absl::StrCat(safe, "\n"));
    return;
  }
  Redraw({safe}, DrawProgress(*last_event_, state_, size, absl::Now()), size.columns);
}

void ProgressDisplay::Close() {
  const FrameSize size = Size();
  MutexLock lock(&mutex_);
  if (!drawn_.empty()) Redraw({}, {}, size.columns);
  closed_ = true;
}

FrameSize ProgressDisplay::Size() const {
  FrameSize size;
  size.color = color_;
  winsize window{};
  if (ioctl(options_.output_fd, TIOCGWINSZ, &window) == 0) {
    if (window.ws_col > 0) size.columns = window.ws_col;
    if (window.ws_row > 0) size.rows = window.ws_row;
  }
  if (options_.columns > 0) size.columns = options_.columns;
  if (options_.rows > 0) size.rows = options_.rows;
  return size;
}

void ProgressDisplay::Redraw(const std::vector<std::string>& above, std::vector<std::string> lines, int columns) {
  // One write, each line cleared as it is written, so that nothing flickers.
  std::string output = "\r";
  const int up = TerminalRows(drawn_, columns);
  if (up > 0) absl::StrAppend(&output, "\x1b[", up, "A");
  for (const std::string& line : above) absl::StrAppend(&output, line, "\x1b[K\n");
  for (const std::string& line : lines) absl::StrAppend(&output, line, "\x1b[K\n");
  output += "\x1b[J";
  drawn_ = std::move(lines);
  WriteAll(options_.output_fd, output);
}

}  // namespace hypershift
