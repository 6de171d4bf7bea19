// Promise: a worker does what the coordinator says and nothing else, survives the coordinator's absence for as long as
// its grace allows, and always ends when it is told to. A coordinator of the test's own; no databases.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/mutex.h"
#include "common/version.h"
#include "hypershift/v1/worker.grpc.pb.h"
#include "worker/worker.h"

namespace hypershift {
namespace {

class FakeCoordinator : public v1::WorkerService::Service {
 public:
  explicit FakeCoordinator(int port = 0) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port), grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeCoordinator() override { server_->Shutdown(absl::ToChronoTime(absl::Now())); }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  int port() const { return port_; }

  grpc::Status Register(grpc::ServerContext*, const v1::RegisterRequest* request,
                        v1::RegisterResponse* response) override {
    MutexLock lock(&mutex_);
    registered.push_back(*request);
    response->set_migration_id("m");
    response->mutable_heartbeat_interval()->set_nanos(50 * 1000 * 1000);
    response->mutable_keeper_grace()->set_nanos(500 * 1000 * 1000);
    return register_status;
  }
  grpc::Status Synchronize(grpc::ServerContext*, const v1::SynchronizeRequest* request,
                           v1::SynchronizeResponse* response) override {
    MutexLock lock(&mutex_);
    synchronized.push_back(*request);
    return on_synchronize ? on_synchronize(*request, response) : grpc::Status::OK;
  }
  grpc::Status Complete(grpc::ServerContext*, const v1::CompleteRequest*, v1::CompleteResponse*) override {
    return grpc::Status::OK;
  }
  grpc::Status Fail(grpc::ServerContext*, const v1::FailRequest* request, v1::FailResponse*) override {
    MutexLock lock(&mutex_);
    failed.push_back(*request);
    return grpc::Status::OK;
  }

  // All of these under lock().
  Mutex& lock() { return mutex_; }
  std::vector<v1::RegisterRequest> registered;
  std::vector<v1::SynchronizeRequest> synchronized;
  std::vector<v1::FailRequest> failed;
  grpc::Status register_status;
  std::function<grpc::Status(const v1::SynchronizeRequest&, v1::SynchronizeResponse*)> on_synchronize;

 private:
  Mutex mutex_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// Nobody listens on port 1.
WorkerOptions Options(std::vector<std::string> coordinators) {
  WorkerOptions options;
  options.coordinators = std::move(coordinators);
  options.source = ConnectionString::Parse("host=127.0.0.1 port=1 dbname=s user=u", "source").value();
  options.target = ConnectionString::Parse("host=127.0.0.1 port=1 dbname=t user=u", "target").value();
  options.name = "w1";
  options.zone = "z";
  options.slots = 2;
  options.keeper_grace = absl::Milliseconds(500);
  return options;
}

v1::LeasedTask Task(int64_t id) {
  v1::LeasedTask task;
  task.set_id(id);
  task.set_attempt(7);
  task.mutable_work()->mutable_statements()->add_statements("SELECT 1");
  return task;
}

TEST(WorkerLoopTest, RegistersRunsReportsAndFinishes) {
  FakeCoordinator coordinator;
  coordinator.on_synchronize = [&](const v1::SynchronizeRequest&, v1::SynchronizeResponse* response) {
    if (coordinator.synchronized.size() == 1) {
      *response->add_start() = Task(5);
      *response->add_start() = v1::LeasedTask();  // Holds no work.
    }
    response->set_finish(coordinator.failed.size() == 2);
    return grpc::Status::OK;
  };
  EXPECT_TRUE(Worker::Create(Options({coordinator.address()}))->Run().ok());
  MutexLock lock(&coordinator.lock());
  ASSERT_EQ(coordinator.registered.size(), 1u);
  EXPECT_EQ(coordinator.registered[0].name(), "w1");
  EXPECT_EQ(coordinator.registered[0].slots(), 2);
  EXPECT_EQ(coordinator.registered[0].version(), kVersion);
  EXPECT_TRUE(coordinator.synchronized[0].needs_snapshot());
  ASSERT_EQ(coordinator.failed.size(), 2u);
  for (const v1::FailRequest& failure : coordinator.failed) {
    // No target to connect to: worth another attempt. No work: not.
    EXPECT_EQ(failure.retryable(), failure.id() == 5);
    EXPECT_FALSE(failure.error().empty());
  }
}

TEST(WorkerLoopTest, ACopyWithoutASnapshotFailsAsRetryable) {
  FakeCoordinator coordinator;
  coordinator.on_synchronize = [&](const v1::SynchronizeRequest&, v1::SynchronizeResponse* response) {
    if (coordinator.synchronized.size() == 1) {
      v1::LeasedTask task;
      task.set_id(1);
      task.set_attempt(1);
      task.mutable_work()->mutable_copy();
      *response->add_start() = task;
    }
    response->set_finish(!coordinator.failed.empty());
    return grpc::Status::OK;
  };
  EXPECT_TRUE(Worker::Create(Options({coordinator.address()}))->Run().ok());
  MutexLock lock(&coordinator.lock());
  ASSERT_EQ(coordinator.failed.size(), 1u);
  EXPECT_TRUE(coordinator.failed[0].retryable());
}

TEST(WorkerLoopTest, RegistersAgainWhenItIsNotKnown) {
  FakeCoordinator coordinator;
  coordinator.on_synchronize = [&](const v1::SynchronizeRequest&, v1::SynchronizeResponse* response) {
    if (coordinator.synchronized.size() == 2) return grpc::Status(grpc::StatusCode::NOT_FOUND, "who?");
    response->set_finish(coordinator.synchronized.size() > 3);
    return grpc::Status::OK;
  };
  EXPECT_TRUE(Worker::Create(Options({coordinator.address()}))->Run().ok());
  MutexLock lock(&coordinator.lock());
  EXPECT_EQ(coordinator.registered.size(), 2u);
}

TEST(WorkerLoopTest, GivesUpWhenNobodyAnswersForTheGraceTime) {
  const absl::Time begin = absl::Now();
  const absl::Status status = Worker::Create(Options({"127.0.0.1:1"}))->Run();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(500));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
}

TEST(WorkerLoopTest, TriesTheNextAddress) {
  FakeCoordinator standby;
  standby.register_status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "not the leader");
  FakeCoordinator leader;
  leader.on_synchronize = [](const v1::SynchronizeRequest&, v1::SynchronizeResponse* response) {
    response->set_finish(true);
    return grpc::Status::OK;
  };
  EXPECT_TRUE(Worker::Create(Options({"127.0.0.1:1", standby.address(), leader.address()}))->Run().ok());
  MutexLock lock(&leader.lock());
  EXPECT_EQ(leader.registered.size(), 1u);
}

TEST(WorkerLoopTest, ReconnectsToACoordinatorThatRestarts) {
  auto first = std::make_unique<FakeCoordinator>();
  const int port = first->port();
  const std::unique_ptr<Worker> worker = Worker::Create(Options({first->address()}));
  absl::Status status;
  std::thread runner([&] { status = worker->Run(); });
  while (true) {
    MutexLock lock(&first->lock());
    if (!first->synchronized.empty()) break;
  }
  first.reset();
  FakeCoordinator second(port);
  second.on_synchronize = [&](const v1::SynchronizeRequest&, v1::SynchronizeResponse* response) {
    if (second.registered.empty()) return grpc::Status(grpc::StatusCode::NOT_FOUND, "who?");
    response->set_finish(true);
    return grpc::Status::OK;
  };
  runner.join();
  EXPECT_TRUE(status.ok()) << status;
  MutexLock lock(&second.lock());
  EXPECT_EQ(second.registered.size(), 1u);
}

TEST(WorkerLoopTest, ARefusalEndsIt) {
  FakeCoordinator coordinator;
  coordinator.register_status = grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "version 0.1 is not 0.2");
  const absl::Status status = Worker::Create(Options({coordinator.address()}))->Run();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST(WorkerLoopTest, StopDrainsAndEnds) {
  for (const bool at_once : {false, true}) {
    FakeCoordinator coordinator;
    // A long poll that Stop() must break off.
    coordinator.on_synchronize = [&](const v1::SynchronizeRequest& request, v1::SynchronizeResponse*) {
      if (!request.draining()) absl::SleepFor(absl::Milliseconds(100));
      return grpc::Status::OK;
    };
    const std::unique_ptr<Worker> worker = Worker::Create(Options({coordinator.address()}));
    absl::Status status = absl::UnknownError("not run");
    std::thread runner([&] { status = worker->Run(); });
    absl::SleepFor(absl::Milliseconds(200));
    worker->Stop(at_once);
    runner.join();
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST(WorkerLoopTest, ADrainingWorkerHandsTasksBack) {
  FakeCoordinator coordinator;
  std::atomic<bool> stopped{false};
  coordinator.on_synchronize = [&](const v1::SynchronizeRequest&, v1::SynchronizeResponse* response) {
    while (!stopped) absl::SleepFor(absl::Milliseconds(1));
    *response->add_start() = Task(9);
    return grpc::Status::OK;
  };
  const std::unique_ptr<Worker> worker = Worker::Create(Options({coordinator.address()}));
  std::thread runner([&] { EXPECT_TRUE(worker->Run().ok()); });
  absl::SleepFor(absl::Milliseconds(200));
  worker->Stop(false);
  stopped = true;
  runner.join();
  MutexLock lock(&coordinator.lock());
  for (const v1::FailRequest& failure : coordinator.failed) {
    EXPECT_EQ(failure.id(), 9);
    EXPECT_TRUE(failure.retryable());
  }
}

TEST(WorkerLoopTest, AddressesOffThisMachineAreRefused) {
  const absl::Status status = Worker::Create(Options({"db.example.com:7433"}))->Run();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
}

}  // namespace
}  // namespace hypershift
