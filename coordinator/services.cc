#include "coordinator/services.h"

#include <grpc/grpc_security_constants.h>

#include <algorithm>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/grpc_status.h"
#include "common/log.h"
#include "common/proto_time.h"

namespace hypershift {
namespace {

constexpr int kDefaultPageSize = 1000;
constexpr int kMaximumPageSize = 10000;
constexpr int kMaxWatches = 64;

Caller CallerOf(const grpc::ServerContext& context) {
  Caller caller;
  caller.peer = context.peer();
  for (const grpc::string_ref& level :
       context.auth_context()->FindPropertyValues(GRPC_TRANSPORT_SECURITY_LEVEL_PROPERTY_NAME)) {
    caller.encrypted = level == "TSI_PRIVACY_AND_INTEGRITY";
  }
  return caller;
}

// Counts one more for as long as it lives.
class Counted {
 public:
  explicit Counted(std::atomic<int>* count) : count_(count), now_(count->fetch_add(1) + 1) {}
  ~Counted() { count_->fetch_sub(1); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  int now() const { return now_; }

 private:
  std::atomic<int>* const count_;
  const int now_;
};

}  // namespace

grpc::Status WorkerServiceImpl::Register(grpc::ServerContext* context, const v1::RegisterRequest* request,
                                         v1::RegisterResponse* response) {
  if (request->wants_connections()) {
    const absl::Status may = MayGiveConnections(offer_, CallerOf(*context));
    if (!may.ok()) return ToGrpcStatus(may);
  }
  absl::StatusOr<v1::RegisterResponse> answer = state_->Register(*request);
  if (!answer.ok()) return ToGrpcStatus(answer.status());
  *response = *std::move(answer);
  if (request->wants_connections()) {
    LogInfo("the worker was given the coordinator's connection strings", {{"worker", request->name()}});
    response->set_source_uri(offer_.source.WithPassword().Reveal());
    response->set_target_uri(offer_.target.WithPassword().Reveal());
  }
  return grpc::Status::OK;
}

grpc::Status WorkerServiceImpl::Synchronize(grpc::ServerContext* context, const v1::SynchronizeRequest* request,
                                            v1::SynchronizeResponse* response) {
  absl::StatusOr<v1::SynchronizeResponse> answer =
      state_->Synchronize(*request, [context] { return context->IsCancelled(); });
  if (!answer.ok()) return ToGrpcStatus(answer.status());
  *response = *std::move(answer);
  return grpc::Status::OK;
}

grpc::Status WorkerServiceImpl::Complete(grpc::ServerContext*, const v1::CompleteRequest* request,
                                         v1::CompleteResponse*) {
  return ToGrpcStatus(state_->Complete(*request));
}

grpc::Status WorkerServiceImpl::Fail(grpc::ServerContext*, const v1::FailRequest* request, v1::FailResponse*) {
  return ToGrpcStatus(state_->Fail(*request));
}

grpc::Status MigrationServiceImpl::GetMigration(grpc::ServerContext*, const v1::GetMigrationRequest*,
                                                v1::GetMigrationResponse* response) {
  *response->mutable_migration() = state_->GetMigration();
  return grpc::Status::OK;
}

grpc::Status MigrationServiceImpl::ListTables(grpc::ServerContext*, const v1::ListTablesRequest*,
                                              v1::ListTablesResponse* response) {
  for (v1::TableInfo& table : state_->ListTables()) *response->add_tables() = std::move(table);
  return grpc::Status::OK;
}

grpc::Status MigrationServiceImpl::ListTasks(grpc::ServerContext*, const v1::ListTasksRequest* request,
                                             v1::ListTasksResponse* response) {
  TaskId after = 0;
  if (!request->page_token().empty() && !absl::SimpleAtoi(request->page_token(), &after)) {
    return ToGrpcStatus(absl::InvalidArgumentError("the page token is not one of this service's"));
  }
  const int limit = request->page_size() <= 0 ? kDefaultPageSize : std::min(request->page_size(), kMaximumPageSize);
  std::vector<v1::TaskInfo> tasks = state_->ListTasks(request->table(), request->state(), after, limit);
  if (static_cast<int>(tasks.size()) == limit) response->set_next_page_token(absl::StrCat(tasks.back().id()));
  for (v1::TaskInfo& task : tasks) *response->add_tasks() = std::move(task);
  return grpc::Status::OK;
}

grpc::Status MigrationServiceImpl::ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*,
                                               v1::ListWorkersResponse* response) {
  for (v1::WorkerInfo& worker : state_->ListWorkers()) *response->add_workers() = std::move(worker);
  return grpc::Status::OK;
}

grpc::Status MigrationServiceImpl::Watch(grpc::ServerContext* context, const v1::WatchRequest* request,
                                         grpc::ServerWriter<v1::WatchResponse>* writer) {
  const Counted watches(&watches_);
  if (watches.now() > kMaxWatches) {
    return ToGrpcStatus(absl::ResourceExhaustedError("as many watch as can: end another one, or ask without watching"));
  }
  absl::Duration interval = request->has_interval() ? FromProto(request->interval()) : absl::Seconds(1);
  interval = std::clamp(interval, absl::Milliseconds(100), absl::Minutes(1));
  while (!context->IsCancelled()) {
    const bool last = state_->ended();
    v1::WatchResponse event;
    *event.mutable_migration() = state_->GetMigration();
    for (v1::TableInfo& table : state_->ListTables()) *event.add_tables() = std::move(table);
    for (v1::WorkerInfo& worker : state_->ListWorkers()) *event.add_workers() = std::move(worker);
    if (!writer->Write(event) || last) break;
    // In small steps, so that an ended migration or a vanished caller is noticed soon.
    const absl::Time next = SystemClock::Get()->Now() + interval;
    while (SystemClock::Get()->Now() < next && !context->IsCancelled() && !state_->ended())
      absl::SleepFor(absl::Milliseconds(50));
  }
  return grpc::Status::OK;
}

grpc::Status MigrationServiceImpl::RetryTable(grpc::ServerContext*, const v1::RetryTableRequest* request,
                                              v1::RetryTableResponse* response) {
  const absl::StatusOr<int64_t> steps = state_->RetryTable(request->table());
  if (!steps.ok()) return ToGrpcStatus(steps.status());
  response->set_steps(*steps);
  return grpc::Status::OK;
}

grpc::Status MigrationServiceImpl::Pause(grpc::ServerContext*, const v1::PauseRequest*, v1::PauseResponse*) {
  return ToGrpcStatus(state_->Steer({.paused = true}).status());
}

grpc::Status MigrationServiceImpl::Resume(grpc::ServerContext*, const v1::ResumeRequest*, v1::ResumeResponse*) {
  return ToGrpcStatus(state_->Steer({.paused = false}).status());
}

grpc::Status MigrationServiceImpl::Cancel(grpc::ServerContext*, const v1::CancelRequest*, v1::CancelResponse*) {
  return ToGrpcStatus(state_->Steer({.cancel = true}).status());
}

grpc::Status MigrationServiceImpl::DrainWorker(grpc::ServerContext*, const v1::DrainWorkerRequest* request,
                                               v1::DrainWorkerResponse* response) {
  const absl::StatusOr<int> running = state_->DrainWorker(request->worker());
  if (!running.ok()) return ToGrpcStatus(running.status());
  response->set_running(*running);
  return grpc::Status::OK;
}

grpc::Status MigrationServiceImpl::SetLimits(grpc::ServerContext*, const v1::SetLimitsRequest* request,
                                             v1::SetLimitsResponse* response) {
  const absl::Status valid = CheckLimits(request->limits());
  if (!valid.ok()) return ToGrpcStatus(valid);
  const absl::StatusOr<Steering> steering = state_->Steer({.limits = request->limits()});
  if (!steering.ok()) return ToGrpcStatus(steering.status());
  *response->mutable_limits() = steering->limits;
  return grpc::Status::OK;
}

grpc::Status MigrationServiceImpl::Stop(grpc::ServerContext*, const v1::StopRequest* request, v1::StopResponse*) {
  state_->RequestStop(request->at_once());
  return grpc::Status::OK;
}

}  // namespace hypershift
