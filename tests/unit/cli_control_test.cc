// Promise: lists are aligned, whole and safe for a terminal; a command that can't be meant is refused before anybody is
// asked, in one line that says what there is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/cancel_command.h"
#include "cli/command_line.h"
#include "cli/list_commands.h"
#include "cli/set_command.h"
#include "common/proto_time.h"

namespace hypershift {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusOr<Command> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "hypershift");
  return ParseCommand(static_cast<int>(arguments.size()), arguments.data());
}

TEST(ControlCommandsTest, AreKnownByName) {
  EXPECT_EQ(Parse({"tables", "--coordinator", "c:1"})->kind, CommandKind::kTables);
  EXPECT_EQ(Parse({"workers", "--json", "--coordinator", "c:1"})->kind, CommandKind::kWorkers);
  EXPECT_EQ(Parse({"pause", "--coordinator", "c:1"})->kind, CommandKind::kPause);
  EXPECT_EQ(Parse({"resume", "--coordinator", "c:1"})->kind, CommandKind::kResume);
  EXPECT_EQ(Parse({"drain", "w1", "--coordinator", "c:1"})->worker, "w1");
  EXPECT_TRUE(Parse({"cancel", "--yes", "--coordinator", "c:1"})->yes);
  EXPECT_FALSE(Parse({"cancel", "--coordinator", "c:1"})->yes);
  const absl::StatusOr<Command> tasks =
      Parse({"tasks", "--table", "public.a", "--state", "failed", "--coordinator", "c:1"});
  ASSERT_TRUE(tasks.ok()) << tasks.status();
  EXPECT_EQ(tasks->table, "public.a");
  EXPECT_EQ(tasks->state, v1::TaskState::STATE_FAILED);
  const absl::StatusOr<Command> set =
      Parse({"set", "max-slots", "4", "max-bytes-per-second", "50MB", "--coordinator", "c:1"});
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_TRUE(set->change_limits);
  EXPECT_EQ(set->limits.max_slots(), 4);
  EXPECT_EQ(set->limits.max_bytes_per_second(), 50000000);
  EXPECT_FALSE(set->limits.has_max_source_load());
  EXPECT_FALSE(Parse({"set", "--coordinator", "c:1"})->change_limits);
}

TEST(ControlCommandsTest, RefuseWhatCantBeMeant) {
  const auto error = [](std::vector<const char*> arguments) {
    arguments.insert(arguments.end(), {"--coordinator", "c:1"});
    return std::string(Parse(std::move(arguments)).status().message());
  };
  EXPECT_THAT(error({"set", "max-speed", "4"}),
              HasSubstr("there are max-slots, max-bytes-per-second, max-source-load"));
  EXPECT_THAT(error({"set", "max-slots"}), HasSubstr("'max-slots' has no value"));
  EXPECT_THAT(error({"set", "max-slots", "four"}), HasSubstr("max-slots: 'four' is no number"));
  EXPECT_THAT(error({"tasks", "--state", "lost"}), HasSubstr("there are pending, leased, done, failed"));
  EXPECT_THAT(error({"drain"}), HasSubstr("worker is required"));
}

TEST(FormatLimitsTest, ShowsEachOnALine) {
  v1::Limits limits;
  limits.set_max_bytes_per_second(50000000);
  EXPECT_EQ(FormatLimits(limits),
            "max-slots             none\nmax-bytes-per-second  50MB\nmax-source-load       none\n"
            "max-replication-lag   none\nmax-target-wal        none\n");
}

TEST(FormatTasksTest, SaysWhatEachWaitsFor) {
  std::vector<v1::TaskInfo> tasks(2);
  tasks[0].set_id(1);
  tasks[0].set_table("public.a");
  tasks[0].set_kind(v1::TaskKind::KIND_COPY);
  tasks[0].set_state(v1::TaskState::STATE_LEASED);
  tasks[0].set_attempt(1);
  tasks[0].set_worker("w1");
  tasks[0].set_bytes(1 << 20);
  tasks[1].set_id(12);
  tasks[1].set_table("public.\x1b[2J");
  tasks[1].set_kind(v1::TaskKind::KIND_FOREIGN_KEY);
  tasks[1].set_state(v1::TaskState::STATE_PENDING);
  tasks[1].set_waits_for("a free slot");
  const std::string text = FormatTasks(tasks, 0);
  EXPECT_THAT(text, HasSubstr("   1  public.a "));
  EXPECT_THAT(text, HasSubstr("copy         leased "));
  EXPECT_THAT(text, HasSubstr("foreign key  pending "));
  EXPECT_THAT(text, HasSubstr("waits for a free slot"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(FormatWorkersTest, SaysWhoDrainsAndWhoIsGone) {
  v1::ListWorkersResponse workers;
  const absl::Time now = absl::FromUnixSeconds(1700000000);
  for (const char* name : {"a", "b", "k"}) {
    v1::WorkerInfo* worker = workers.add_workers();
    worker->set_name(name);
    worker->set_slots(4);
    worker->set_connected(true);
    *worker->mutable_last_seen() = ToProto(now - absl::Seconds(70));
  }
  workers.mutable_workers(0)->set_draining(true);
  workers.mutable_workers(0)->set_bytes_per_second(10 << 20);
  workers.mutable_workers(1)->set_connected(false);
  workers.mutable_workers(2)->set_slots(0);
  const std::string text = FormatWorkers(workers, 0, now);
  EXPECT_THAT(text, HasSubstr("10.0 MiB/s"));
  EXPECT_THAT(text, HasSubstr("drains\n"));
  EXPECT_THAT(text, HasSubstr("last seen 1m 10s ago\n"));
  EXPECT_THAT(text, HasSubstr("keeper"));
}

TEST(FormatTablesTest, ShowsEveryTable) {
  v1::ListTablesResponse tables;
  for (int i = 0; i < 200; ++i) {
    v1::TableInfo* table = tables.add_tables();
    table->set_schema("public");
    table->set_name(std::string("t") + std::to_string(i));
    table->set_phase("copying");
    table->set_tasks_failed(i == 7 ? 1 : 0);
  }
  const std::string text = FormatTables(tables, 0);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 201);
  EXPECT_THAT(text, HasSubstr("public.t199 "));
}

TEST(DescribeCancelTest, SaysWhatIsLostAndWhatStays) {
  v1::MigrationInfo migration;
  migration.set_id("m1");
  migration.set_tasks_running(3);
  migration.set_ranges_done(4);
  migration.set_ranges_total(20);
  migration.set_rows_done(1000000);
  const std::string text = DescribeCancel(migration);
  EXPECT_THAT(text, HasSubstr("3 running tasks"));
  EXPECT_THAT(text, HasSubstr("1,000,000 rows (4 of 20 ranges)"));
}

}  // namespace
}  // namespace hypershift
