// plan_bench write|load|verify SHAPE RANGES: makes the plan of a synthetic source and writes it to a new journal in the
// database HYPERSHIFT_TEST_SOURCE_URI; or reads it back from there, as a coordinator does that takes over; or adds
// verifications to it, as `hypershift verify` does. One process for each, so that the highest memory is its own. Prints
// one line of JSON.
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "bench/synthetic.h"
#include "common/status_macros.h"
#include "coordinator/finishing_planner.h"
#include "coordinator/journal.h"
#include "coordinator/migration_setup.h"

namespace hypershift::bench {
namespace {

constexpr char kMigration[] = "bench";
constexpr absl::Duration kLead = absl::Minutes(10);

int64_t PeakMebibytes() {
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

void Print(const std::string& what, const std::string& shape, int64_t ranges, int64_t tasks, absl::Duration took) {
  std::printf(
      "{\"what\": \"%s\", \"shape\": \"%s\", \"ranges\": %lld, \"tasks\": %lld, \"seconds\": %.1f, "
      "\"peak_mib\": %lld}\n",
      what.c_str(), shape.c_str(), static_cast<long long>(ranges), static_cast<long long>(tasks),
      absl::ToDoubleSeconds(took), static_cast<long long>(PeakMebibytes()));
}

absl::Status WriteIt(const std::string& shape, int64_t ranges, Journal* journal) {
  HS_RETURN_IF_ERROR(journal->Drop(/*force=*/true));
  MigrationRecord record;
  record.id = kMigration;
  HS_RETURN_IF_ERROR(journal->Begin(record, "bench", "127.0.0.1:1", kLead));
  HS_ASSIGN_OR_RETURN(const Shape parsed, ParseShape(shape));
  const SyntheticSource source(parsed, ranges);
  std::vector<std::string> left_out;
  const absl::Time began = absl::Now();
  int64_t tasks = 0;
  HS_RETURN_IF_ERROR(journal->WritePlan(
      record.id,
      [&](const TaskSink& sink) -> absl::StatusOr<Plan> {
        return MakePlan(source.MakeInput(), 1, &left_out, [&](PlannedTask task) {
          ++tasks;
          sink(std::move(task));
        });
      },
      JournalPhase::kRun));
  Print("write", shape, ranges, tasks, absl::Now() - began);
  return journal->GiveUpLead();
}

absl::Status LoadIt(const std::string& shape, int64_t ranges, Journal* journal) {
  MigrationState state((StateTimes()));
  const absl::Time began = absl::Now();
  HS_RETURN_IF_ERROR(LoadFromJournal(kMigration, journal, &state));
  const absl::Duration took = absl::Now() - began;
  int64_t tasks = 0;
  state.WithScheduler([&](Scheduler& scheduler) { tasks = scheduler.unfinished(); });
  Print("load", shape, ranges, tasks, took);
  return absl::OkStatus();
}

// What `hypershift verify` begins with, long after the copy.
absl::Status VerifyIt(const std::string& shape, int64_t ranges, Journal* journal) {
  HS_RETURN_IF_ERROR(journal->TakeLead("bench", "127.0.0.1:1", kLead));
  const absl::Time began = absl::Now();
  HS_ASSIGN_OR_RETURN(const std::vector<TablePlan> tables, journal->LoadTables(kMigration));
  HS_ASSIGN_OR_RETURN(const TaskId last_task, journal->MaxTaskId());
  int64_t tasks = 0;
  HS_RETURN_IF_ERROR(
      journal->ReplaceVerifications(kMigration, [&](const Journal::CopyReader& read, const TaskSink& sink) {
        PlanBuilder builder(last_task + 1, 1, [&](PlannedTask verify) {
          ++tasks;
          sink(std::move(verify));
        });
        VerificationPlanner verifications(tables, &builder);
        return read([&](const PlannedTask& copy) { verifications.Add(copy); });
      }));
  Print("verify", shape, ranges, tasks, absl::Now() - began);
  return journal->GiveUpLead();
}

absl::Status Run(int argc, char** argv) {
  const char* const uri = std::getenv("HYPERSHIFT_TEST_SOURCE_URI");
  int64_t ranges = 0;
  if (argc != 4 || uri == nullptr || !absl::SimpleAtoi(argv[3], &ranges)) {
    return absl::InvalidArgumentError(
        "usage: plan_bench write|load|verify SHAPE RANGES, with HYPERSHIFT_TEST_SOURCE_URI");
  }
  HS_ASSIGN_OR_RETURN(const ConnectionString target, ConnectionString::Parse(uri, "target"));
  Journal journal(target);
  const std::string what = argv[1];
  if (what == "write") return WriteIt(argv[2], ranges, &journal);
  return what == "verify" ? VerifyIt(argv[2], ranges, &journal) : LoadIt(argv[2], ranges, &journal);
}

}  // namespace
}  // namespace hypershift::bench

int main(int argc, char** argv) {
  const absl::Status status = hypershift::bench::Run(argc, argv);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
