// Promise: `status` shows any coordinator's migration and always why it waits, gives machines JSON, and says in one
// line what to do when no coordinator answers.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/format.h"
#include "cli/status_command.h"
#include "common/log.h"
#include "common/proto_time.h"
#include "hypershift/v1/migration.grpc.pb.h"

namespace hypershift {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

const absl::Time kStart = absl::FromUnixSeconds(1700000000);

v1::WatchResponse Status(v1::MigrationPhase::Phase phase) {
  v1::WatchResponse status;
  v1::MigrationInfo* migration = status.mutable_migration();
  migration->set_id("m1");
  migration->set_phase(phase);
  migration->set_source("postgresql://reader@db1/flights");
  migration->set_target("postgresql://tsdb@db2/flights");
  *migration->mutable_started_at() = ToProto(kStart);
  migration->set_tables_total(2);
  migration->set_ranges_total(20);
  migration->set_ranges_done(4);
  migration->set_rows_done(1000000);
  migration->set_estimated_rows(3000000);
  migration->set_snapshot_holders(2);
  *migration->mutable_snapshot_age() = ToProto(absl::Seconds(70));
  migration->set_status_line("waits for a worker: none is connected");
  migration->add_warnings("a table has no primary key: add one");
  for (const std::string phase_of_table : {"copying", "failed"}) {
    v1::TableInfo* table = status.add_tables();
    table->set_schema("public");
    table->set_name(absl::StrCat("is_", phase_of_table));
    table->set_phase(phase_of_table);
    table->set_ranges_total(10);
  }
  status.mutable_tables(1)->set_error("ERROR:  disk full");
  v1::WorkerInfo* worker = status.add_workers();
  worker->set_name("worker-1");
  worker->set_slots(8);
  worker->set_slots_busy(3);
  worker->set_connected(true);
  worker->set_holds_snapshot(true);
  return status;
}

TEST(FormatStatusTest, ShowsTheMigrationAndWhyItWaits) {
  const std::string text = FormatStatus(Status(v1::MigrationPhase::PHASE_RUN), 0, false, kStart + absl::Seconds(72));
  EXPECT_THAT(text, StartsWith("Migration m1: runs, for 1m 12s\n"));
  EXPECT_THAT(text, HasSubstr("\n  source    postgresql://reader@db1/flights\n"));
  EXPECT_THAT(text, HasSubstr("\n  target    postgresql://tsdb@db2/flights\n"));
  EXPECT_THAT(text, HasSubstr("\n  copied    1,000,000 of about 3,000,000 rows, "));
  EXPECT_THAT(text, HasSubstr("\n  finished  0 of 2 tables, 4 of 20 ranges, "));
  EXPECT_THAT(text, HasSubstr("\n  snapshot  held for 1m 10s, by 2 workers\n"));
  EXPECT_THAT(text, HasSubstr("\n  status    waits for a worker: none is connected\n"));
  EXPECT_THAT(text, HasSubstr("\nworker-1   3/8  held"));
  EXPECT_THAT(text, HasSubstr("\nWarnings:\n  ! a table has no primary key: add one\n"));
  EXPECT_THAT(text, HasSubstr("\nErrors:\n  ✗ public.is_failed: ERROR:  disk full\n"));
  EXPECT_LT(text.find("\npublic.is_failed"), text.find("\npublic.is_copying")) << "failed tables come first";
}

TEST(FormatStatusTest, SaysWhenNoWorkerIsThere) {
  v1::WatchResponse status = Status(v1::MigrationPhase::PHASE_RUN);
  status.clear_workers();
  status.mutable_migration()->set_snapshot_released(true);
  const std::string text = FormatStatus(status, 0, false, kStart);
  EXPECT_THAT(text, HasSubstr("\nNo worker is connected.\n"));
  EXPECT_THAT(text, HasSubstr("\n  snapshot  released\n"));
}

TEST(FormatStatusTest, AKeeperIsCalledOne) {
  v1::WatchResponse status = Status(v1::MigrationPhase::PHASE_RUN);
  status.mutable_workers(0)->set_slots(0);
  EXPECT_THAT(FormatStatus(status, 0, false, kStart), HasSubstr("\nworker-1  keeper  held"));
}

TEST(FormatStatusTest, NothingInItCanCommandATerminal) {
  v1::WatchResponse status = Status(v1::MigrationPhase::PHASE_RUN);
  const std::string evil = "\x1b[2J";
  status.mutable_migration()->set_id(evil);
  status.mutable_migration()->set_source(evil);
  status.mutable_migration()->set_status_line(evil);
  status.mutable_migration()->add_warnings(evil);
  status.mutable_tables(0)->set_name(evil);
  status.mutable_tables(0)->set_phase(evil);
  status.mutable_tables(1)->set_error(evil);
  status.mutable_workers(0)->set_name(evil);
  status.mutable_workers(0)->set_zone(evil);
  EXPECT_THAT(FormatStatus(status, 0, false, kStart), Not(HasSubstr("\x1b")));
}

// A coordinator that answers with what it was given: each Watch stream gives the next event, then ends.
class FakeCoordinator : public v1::MigrationService::Service {
 public:
  explicit FakeCoordinator(std::vector<v1::WatchResponse> events) : events_(std::move(events)) {}

  grpc::Status GetMigration(grpc::ServerContext*, const v1::GetMigrationRequest*,
                            v1::GetMigrationResponse* response) override {
    *response->mutable_migration() = events_[0].migration();
    return grpc::Status::OK;
  }
  grpc::Status ListTables(grpc::ServerContext*, const v1::ListTablesRequest*,
                          v1::ListTablesResponse* response) override {
    *response->mutable_tables() = events_[0].tables();
    return grpc::Status::OK;
  }
  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*,
                           v1::ListWorkersResponse* response) override {
    *response->mutable_workers() = events_[0].workers();
    return grpc::Status::OK;
  }
  grpc::Status Watch(grpc::ServerContext*, const v1::WatchRequest*,
                     grpc::ServerWriter<v1::WatchResponse>* writer) override {
    writer->Write(events_[std::min(next_++, events_.size() - 1)]);
    return grpc::Status::OK;
  }

 private:
  const std::vector<v1::WatchResponse> events_;
  std::atomic<size_t> next_ = 0;
};

class StatusCommandTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char directory[] = "/tmp/hypershift_status_XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    directory_ = directory;
    options_.coordinator = absl::StrCat("unix:", directory_, "/socket");
  }
  void TearDown() override {
    if (server_ != nullptr) server_->Shutdown();
    unlink(absl::StrCat(directory_, "/socket").c_str());
    rmdir(directory_.c_str());
  }

  void Serve(std::vector<v1::WatchResponse> events) {
    service_ = std::make_unique<FakeCoordinator>(std::move(events));
    grpc::ServerBuilder builder;
    builder.AddListeningPort(options_.coordinator, grpc::InsecureServerCredentials());
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  // The exit status; what it printed stands in out_ and error_.
  int Run() {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int exit_status = RunStatusCommand(options_);
    out_ = ::testing::internal::GetCapturedStdout();
    error_ = ::testing::internal::GetCapturedStderr();
    return exit_status;
  }

  std::string directory_;
  StatusOptions options_;
  std::unique_ptr<FakeCoordinator> service_;
  std::unique_ptr<grpc::Server> server_;
  std::string out_;
  std::string error_;
};

TEST_F(StatusCommandTest, PrintsTheStatus) {
  Serve({Status(v1::MigrationPhase::PHASE_RUN)});
  EXPECT_EQ(Run(), 0);
  EXPECT_THAT(out_, HasSubstr("waits for a worker: none is connected"));
  EXPECT_THAT(out_, HasSubstr("worker-1"));
  EXPECT_THAT(out_, HasSubstr("public.is_copying"));
  EXPECT_EQ(error_, "");
}

TEST_F(StatusCommandTest, JsonHoldsTheSameMessage) {
  const v1::WatchResponse status = Status(v1::MigrationPhase::PHASE_RUN);
  Serve({status});
  options_.json = true;
  EXPECT_EQ(Run(), 0);
  v1::WatchResponse parsed;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(out_, &parsed).ok()) << out_;
  EXPECT_EQ(parsed.SerializeAsString(), status.SerializeAsString());
}

TEST_F(StatusCommandTest, WatchGivesOneJsonObjectALineUntilTheEnd) {
  Serve({Status(v1::MigrationPhase::PHASE_RUN), Status(v1::MigrationPhase::PHASE_DONE)});
  options_.json = true;
  options_.watch = true;
  EXPECT_EQ(Run(), 0) << "a stream that broke off is opened again";
  const std::vector<std::string> lines = absl::StrSplit(out_, '\n', absl::SkipEmpty());
  ASSERT_THAT(lines, SizeIs(2));
  v1::WatchResponse last;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(lines[1], &last).ok());
  EXPECT_EQ(last.migration().phase(), v1::MigrationPhase::PHASE_DONE);
}

TEST_F(StatusCommandTest, WatchEndsWithTheSummary) {
  InitLog({});
  Serve({Status(v1::MigrationPhase::PHASE_FAILED)});
  options_.watch = true;
  EXPECT_EQ(Run(), 0);
  EXPECT_THAT(out_, HasSubstr("Migration m1 failed: 1,000,000 rows"));
  EXPECT_THAT(out_, HasSubstr("public.is_failed: ERROR:  disk full"));
}

TEST_F(StatusCommandTest, NoCoordinatorIsOneLineWithARemedy) {
  for (const bool watch : {false, true}) {
    options_.watch = watch;
    options_.json = watch;
    EXPECT_EQ(Run(), 2);
    EXPECT_EQ(out_, "");
    EXPECT_THAT(error_, StartsWith(absl::StrCat("hypershift: no coordinator is ready at ", options_.coordinator)));
    EXPECT_THAT(error_, HasSubstr("check the address"));
    EXPECT_EQ(std::count(error_.begin(), error_.end(), '\n'), 1);
  }
}

TEST_F(StatusCommandTest, AnotherServiceIsNoCoordinator) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(options_.coordinator, grpc::InsecureServerCredentials());
  v1::MigrationService::Service unimplemented;
  builder.RegisterService(&unimplemented);
  server_ = builder.BuildAndStart();
  EXPECT_EQ(Run(), 2);
  EXPECT_THAT(error_, HasSubstr("is no coordinator of this version"));
  server_->Shutdown();
  server_.reset();
}

}  // namespace
}  // namespace hypershift
