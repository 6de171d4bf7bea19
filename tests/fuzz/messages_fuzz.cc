// Promise: whatever a worker, a client or a coordinator sends, what comes of it is an answer or an error: no message
// makes a task run twice, holds a call, or reaches a terminal with a command in it.
//
// Input: a series of messages, each after a byte that says which and two that say its length. Those for a coordinator
// are handed to one that has a few tasks and takes a turn after each; those for the command line are shown.
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "cli/progress_display.h"
#include "cli/status_command.h"
#include "cli/summary.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/version.h"
#include "coordinator/migration_state.h"
#include "coordinator/turn.h"
#include "hypershift/v1/migration.pb.h"
#include "hypershift/v1/worker.pb.h"
#include "tests/fuzz/fuzz.h"
#include "worker/stream_digest.h"

namespace hypershift::fuzz {
namespace {

constexpr int kTasks = 6;

// The journal of a migration with a few tasks, of which none is ever done.
class Rows : public TurnJournal {
 public:
  Rows() {
    for (TaskId id = 1; id <= kTasks; ++id) {
      Task& task = rows_[id].task;
      task.id = id;
      task.table = id <= 3 ? 1 : 2;
      task.kind = id % 3 == 0 ? TaskKind::KIND_INDEX : TaskKind::KIND_COPY;
      task.sequence = id;
      task.estimated_bytes = 1000;
      task.barrier = task.table;
      if (task.kind == TaskKind::KIND_INDEX) task.barrier = 0;
    }
  }
  std::vector<TaskRow> All() const {
    std::vector<TaskRow> rows;
    for (const auto& [id, row] : rows_) rows.push_back(row);
    return rows;
  }

  absl::StatusOr<std::vector<TaskRow>> LoadTasks(const std::vector<TaskId>& ids) override {
    std::vector<TaskRow> rows;
    for (const TaskId id : ids) {
      const auto row = rows_.find(id);
      if (row != rows_.end()) rows.push_back(row->second);
    }
    return rows;
  }
  absl::Status TerminateSessions(const std::vector<TaskId>&) override { return absl::OkStatus(); }
  absl::StatusOr<AppliedBatch> Apply(const JournalBatch& batch, absl::Duration) override {
    AppliedBatch applied;
    for (const TaskChange& change : batch.changes) {
      Task& task = rows_.at(change.id).task;
      Require(task.state == TaskState::STATE_LEASED && task.attempt == change.attempt, "a change is of what is leased");
      task.state = change.to;
      task.failures = change.failures;
      ++applied.changed;
    }
    for (const LeaseRequest& lease : batch.leases) {
      Task& task = rows_.at(lease.id).task;
      Require(task.state == TaskState::STATE_PENDING && task.attempt == lease.attempt, "a lease is of what is pending");
      task.state = TaskState::STATE_LEASED;
      ++task.attempt;
      applied.leased.push_back({lease.id, task.attempt, "", {}});
    }
    return applied;
  }

 private:
  std::map<TaskId, TaskRow> rows_;
};

bool IsSafe(absl::string_view text) {
  for (const char c : text) {
    if (c != '\n' && absl::ascii_iscntrl(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

void Show(const v1::WatchResponse& response, ProgressState* progress) {
  const absl::Time now = absl::FromUnixSeconds(1700000000);
  Require(IsSafe(FormatStatus(response, 80, /*color=*/false, now)), "a status can't command a terminal");
  Require(IsSafe(FormatStatus(response, 0, /*color=*/false, now)), "a status can't command a terminal");
  Require(IsSafe(FormatSummary(response, 80)), "a summary can't command a terminal");
  for (const v1::TableInfo* table : AdvanceProgress(response, now, progress).tables) {
    Require(IsSafe(TableRecord(*table, /*color=*/false)), "a table's record can't command a terminal");
  }
  for (const std::string& line : DrawProgress(response, *progress, FrameSize(), now)) {
    Require(IsSafe(line) && line.find('\n') == std::string::npos, "a line of progress is one line");
  }
}

class Session {
 public:
  Session() : turn_(DispatchSettings(), &clock_, &state_, &rows_) {
    std::vector<Task> tasks;
    for (const TaskRow& row : rows_.All()) tasks.push_back(row.task);
    TablePlan first;
    first.id = 1;
    first.name = {"public", "first"};
    TablePlan second;
    second.id = 2;
    second.name = {"Odd \x1b[2J", "second\n"};
    state_.LoadPlan({first, second}, rows_.All(), *Scheduler::Create(std::move(tasks), {{1, 0}, {2, 1}}));
    v1::MigrationInfo info;
    info.set_phase(v1::MigrationPhase::PHASE_RUN);
    state_.SetMigration(info);
    v1::Snapshot snapshot;
    snapshot.set_id("1");
    state_.SetSnapshot(snapshot);
  }

  void Handle(int which, const std::string& bytes) {
    switch (which % 10) {
      case 0:
        Parse<v1::RegisterRequest>(bytes, [this](auto& message) {
          // Else hardly any would be let in.
          if (message.version().empty()) message.set_version(kVersion);
          state_.Register(message).IgnoreError();
        });
        break;
      case 1:
        Parse<v1::SynchronizeRequest>(bytes, [this](auto& message) {
          const absl::StatusOr<v1::SynchronizeResponse> answer = state_.Synchronize(message, [] { return true; });
          if (answer.ok()) CheckAnswer(message.name(), *answer);
        });
        break;
      case 2:
        Parse<v1::CompleteRequest>(bytes, [this](auto& message) { state_.Complete(message).IgnoreError(); });
        break;
      case 3:
        Parse<v1::FailRequest>(bytes, [this](auto& message) { state_.Fail(message).IgnoreError(); });
        break;
      case 4:
        Parse<v1::ListTasksRequest>(bytes, [this](auto& message) {
          state_.ListTasks(message.table(), message.state(), 0, message.page_size());
        });
        break;
      case 5:
        Parse<v1::RetryTableRequest>(bytes,
                                     [this](auto& message) { state_.RetryTable(message.table()).IgnoreError(); });
        break;
      case 6:
        Parse<v1::WatchResponse>(bytes, [this](auto& message) { Show(message, &progress_); });
        break;
      case 7:
        Parse<v1::CopyWork>(bytes, [](auto& message) {
          StreamDigest digest(message.format(), message.field_count() % 2000,
                              {message.rewritable_fields().begin(), message.rewritable_fields().end()});
          for (const std::string& sql : message.source_sql()) digest.Message(sql).IgnoreError();
        });
        break;
      case 8:
        state_.FindKeeperSnapshot(v1::Snapshot(), clock_.Now());
        break;
      default:
        clock_.Advance(absl::Seconds(bytes.size()));
    }
  }

  void TakeTurn() {
    Require(turn_.Run(state_.TakeReports(absl::ZeroDuration()), Circumstances()).ok(),
            "no message parts memory from journal");
    v1::WatchResponse status;
    *status.mutable_migration() = state_.GetMigration();
    for (const v1::TableInfo& table : state_.ListTables()) *status.add_tables() = table;
    for (const v1::WorkerInfo& worker : state_.ListWorkers()) *status.add_workers() = worker;
    state_.ListTasks("", TaskState::STATE_UNSPECIFIED, 0, 100);
    Show(status, &progress_);
  }

 private:
  template <typename T, typename Body>
  static void Parse(const std::string& bytes, const Body& body) {
    T message;
    if (message.ParseFromString(bytes)) body(message);
  }

  void CheckAnswer(const std::string& worker, const v1::SynchronizeResponse& answer) {
    for (const v1::LeasedTask& task : answer.start()) {
      const auto [first, fresh] = given_.emplace(std::make_pair(task.id(), task.attempt()), worker);
      Require(fresh, "an attempt is given to one worker once", first->second);
    }
  }

  FakeClock clock_;
  MigrationState state_{StateTimes(), &clock_};
  Rows rows_;
  Turn turn_;
  ProgressState progress_;
  std::map<std::pair<int64_t, int32_t>, std::string> given_;
};

void Check(Input input) {
  Session session;
  for (int i = 0; i < 50 && !input.empty(); ++i) {
    const int which = input.Byte();
    const size_t length = static_cast<size_t>(input.Byte()) << 8 | input.Byte();
    session.Handle(which, std::string(input.Take(length)));
    session.TakeTurn();
  }
}

}  // namespace
}  // namespace hypershift::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  hypershift::LogOptions log;
  log.sink = [](absl::string_view line) {
    hypershift::fuzz::Require(hypershift::fuzz::IsSafe(line) && line.find('\n') == absl::string_view::npos,
                              "a line of the log is one line", line);
  };
  hypershift::InitLog(log);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hypershift::fuzz::Check(hypershift::fuzz::Input(data, size));
  return 0;
}
