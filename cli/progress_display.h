// What a person sees of a running migration: a display that is drawn in place on a terminal, or a log line every few
// seconds where there is none.
//
// Two halves: pure functions that turn events of the coordinator's Watch stream into lines (tested without a terminal),
// and ProgressDisplay, which brings these lines onto one.
#ifndef HYPERSHIFT_CLI_PROGRESS_DISPLAY_H_
#define HYPERSHIFT_CLI_PROGRESS_DISPLAY_H_

#include <unistd.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/mutex.h"
#include "hypershift/v1/migration.pb.h"

namespace hypershift {

// An amount per second, smoothed over about ten seconds. A value type.
class SmoothedRate {
 public:
  // `total` as it stands at `now`. Steps back (a failed attempt's rows) count as no movement, not as negative.
  void Observe(double total, absl::Time now);
  // 0 before there were two observations and after half a minute without movement.
  double PerSecond() const;
  // Observed for long enough to reckon with.
  bool Steady() const;

 private:
  std::optional<absl::Time> last_time_;
  absl::Time last_moved_ = absl::InfinitePast();
  absl::Duration observed_;
  double last_total_ = 0;
  double amount_ = 0;
  double seconds_ = 0;
};

// What is remembered from event to event.
struct ProgressState {
  enum class Reported { kNothing, kDone, kFailed };
  struct Table {
    double share = 0;  // In [0, 1]; never falls.
    SmoothedRate bytes;
    Reported reported = Reported::kNothing;
  };
  std::map<std::pair<std::string, std::string>, Table> tables;  // By schema and name.
  double share = 0;                                             // Of the migration; never falls.
  double bytes_left = 0;                                        // 0 = nothing, or unknown.
  SmoothedRate bytes;
  SmoothedRate rows;
  bool started = false;  // An event has been seen.
};

struct FrameSize {
  int columns = 80;
  int rows = 24;
  bool color = false;
};

// How much of a table is done by one event alone: the bytes done and in flight against the estimate, or against what
// the finished ranges let expect where the estimate is missing or far off. In [0, 1]; 1 only when the table is done.
double TableShare(const v1::TableInfo& table);

// Tables that ended, done or failed, since the event before; pointers into the event. At the first event the tables
// that were done already are only counted.
struct EndedTables {
  std::vector<const v1::TableInfo*> tables;
  int done_before = 0;
};

// Takes an event into the state.
EndedTables AdvanceProgress(const v1::WatchResponse& event, absl::Time now, ProgressState* state);

// The line that stays of a table that ended.
std::string TableRecord(const v1::TableInfo& table, bool color);

// The live lines: none wider than columns - 1, at most rows - 1 of them.
std::vector<std::string> DrawProgress(const v1::WatchResponse& event, const ProgressState& state, const FrameSize& size,
                                      absl::Time now);

// Unset when it can't be said.
std::optional<absl::Duration> TimeLeft(const ProgressState& state);

// Whether the migration has come to an end: done, failed or stopped.
bool HasEnded(const v1::MigrationInfo& migration);

// A verb for what the migration does in that phase, or what became of it: "restores the schema", "done".
absl::string_view PhaseInWords(v1::MigrationPhase::Phase phase);

// From its start to its end, or to `now`; by the coordinator's clock against this machine's, but never negative.
absl::Duration ElapsedTime(const v1::MigrationInfo& migration, absl::Time now);

// Columns of the terminal behind `fd`; 0 if it is none.
int TerminalColumns(int fd);

// Thread-safe. Does not own the descriptor. Errors of writing are ignored: a lost terminal must not end a migration.
class ProgressDisplay {
 public:
  enum class Mode { kTerminal, kLines, kHidden };
  struct Options {
    Mode mode = Mode::kHidden;
    int output_fd = STDERR_FILENO;
    // kLines: at most one line in this time, and one at the end.
    absl::Duration line_interval = absl::Seconds(5);
    // 0 = what the terminal says, asked again for every draw.
    int columns = 0;
    int rows = 0;
  };

  // kTerminal if `fd` is a terminal that can move its cursor, else kLines; kHidden if so asked.
  static Mode ModeFor(int fd, bool hide_progress);

  explicit ProgressDisplay(const Options& options);
  // Closes.
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  // kTerminal draws; kLines logs "progress" through LogInfo, outside the display's lock, so that the log's sink may be
  // this display. kHidden does nothing.
  void Update(const v1::WatchResponse& event);
  // Prints a finished log line, above the live lines if there are some. In every mode, before and after Close(): fit
  // for SetLogSink() for as long as the display lives.
  void LogLine(absl::string_view line);
  // Takes the live lines away; what comes after is printed where they stood. Further updates are ignored.
  void Close();

 private:
  void UpdateTerminal(const v1::WatchResponse& event);
  void UpdateLines(const v1::WatchResponse& event);
  FrameSize Size() const;
  // Replaces the live lines by `above`, which stays, and `lines`.
  void Redraw(const std::vector<std::string>& above, std::vector<std::string> lines, int columns)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const bool color_;

  Mutex mutex_;
  ProgressState state_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::WatchResponse> last_event_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> drawn_ ABSL_GUARDED_BY(mutex_);
  absl::Time next_line_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_PROGRESS_DISPLAY_H_
