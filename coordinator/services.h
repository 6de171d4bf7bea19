// The two gRPC services over a MigrationState. Thin: they translate, the state decides.
//
// Thread-safe, as gRPC calls them from many threads. Not owned: the state must outlive the server.
#ifndef HYPERSHIFT_COORDINATOR_SERVICES_H_
#define HYPERSHIFT_COORDINATOR_SERVICES_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <utility>

#include "coordinator/connection_offer.h"
#include "coordinator/migration_state.h"
#include "hypershift/v1/migration.grpc.pb.h"
#include "hypershift/v1/worker.grpc.pb.h"

namespace hypershift {

class WorkerServiceImpl final : public v1::WorkerService::Service {
 public:
  WorkerServiceImpl(MigrationState* state, ConnectionOffer offer) : state_(state), offer_(std::move(offer)) {}
  grpc::Status Register(grpc::ServerContext* context, const v1::RegisterRequest* request,
                        v1::RegisterResponse* response) override;
  grpc::Status Synchronize(grpc::ServerContext* context, const v1::SynchronizeRequest* request,
                           v1::SynchronizeResponse* response) override;
  grpc::Status Complete(grpc::ServerContext* context, const v1::CompleteRequest* request,
                        v1::CompleteResponse* response) override;
  grpc::Status Fail(grpc::ServerContext* context, const v1::FailRequest* request, v1::FailResponse* response) override;

 private:
  MigrationState* state_;
  const ConnectionOffer offer_;
};

class MigrationServiceImpl final : public v1::MigrationService::Service {
 public:
  explicit MigrationServiceImpl(MigrationState* state) : state_(state) {}
  grpc::Status GetMigration(grpc::ServerContext* context, const v1::GetMigrationRequest* request,
                            v1::GetMigrationResponse* response) override;
  grpc::Status ListTables(grpc::ServerContext* context, const v1::ListTablesRequest* request,
                          v1::ListTablesResponse* response) override;
  grpc::Status ListTasks(grpc::ServerContext* context, const v1::ListTasksRequest* request,
                         v1::ListTasksResponse* response) override;
  grpc::Status ListWorkers(grpc::ServerContext* context, const v1::ListWorkersRequest* request,
                           v1::ListWorkersResponse* response) override;
  grpc::Status Watch(grpc::ServerContext* context, const v1::WatchRequest* request,
                     grpc::ServerWriter<v1::WatchResponse>* writer) override;
  grpc::Status RetryTable(grpc::ServerContext* context, const v1::RetryTableRequest* request,
                          v1::RetryTableResponse* response) override;
  grpc::Status Pause(grpc::ServerContext* context, const v1::PauseRequest* request,
                     v1::PauseResponse* response) override;
  grpc::Status Resume(grpc::ServerContext* context, const v1::ResumeRequest* request,
                      v1::ResumeResponse* response) override;
  grpc::Status Cancel(grpc::ServerContext* context, const v1::CancelRequest* request,
                      v1::CancelResponse* response) override;
  grpc::Status DrainWorker(grpc::ServerContext* context, const v1::DrainWorkerRequest* request,
                           v1::DrainWorkerResponse* response) override;
  grpc::Status SetLimits(grpc::ServerContext* context, const v1::SetLimitsRequest* request,
                         v1::SetLimitsResponse* response) override;
  grpc::Status Stop(grpc::ServerContext* context, const v1::StopRequest* request, v1::StopResponse* response) override;

 private:
  MigrationState* state_;
  std::atomic<int> watches_{0};  // Each takes a thread.
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_SERVICES_H_
