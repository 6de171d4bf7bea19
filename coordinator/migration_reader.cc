#include "coordinator/migration_reader.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <string>
#include <utility>

#include "common/clock.h"
#include "common/grpc_status.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr std::chrono::seconds kCallTimeout(10);
constexpr int kPageSize = 5000;
// 50 million tasks: more than any plan holds.
constexpr int kMaxPages = 10000;
constexpr size_t kThroughputPoints = 600;
constexpr absl::Duration kSampleInterval = absl::Seconds(1);
constexpr absl::Duration kOverviewInterval = absl::Milliseconds(500);
constexpr absl::Duration kTasksInterval = absl::Seconds(1);

template <typename Call>
absl::Status Ask(const Call& call) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallTimeout);
  const grpc::Status status = call(&context);
  return status.ok() ? absl::OkStatus() : FromGrpcStatus(status);
}

}  // namespace

MigrationReader::MigrationReader(std::unique_ptr<Stub> stub)
    : stub_(std::move(stub)),
      overview_([this] { return ReadOverview(); }, kOverviewInterval),
      tasks_([this] { return ReadTasks(); }, kTasksInterval),
      throughput_(kThroughputPoints, kSampleInterval),
      sampler_([this] { SampleLoop(); }) {}

MigrationReader::~MigrationReader() {
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  sampler_.join();
}

absl::StatusOr<MigrationOverview> MigrationReader::ReadOverview() {
  MigrationOverview overview;
  v1::GetMigrationResponse migration;
  HS_RETURN_IF_ERROR(Ask([&](auto* context) { return stub_->GetMigration(context, {}, &migration); }));
  v1::ListTablesResponse tables;
  HS_RETURN_IF_ERROR(Ask([&](auto* context) { return stub_->ListTables(context, {}, &tables); }));
  v1::ListWorkersResponse workers;
  HS_RETURN_IF_ERROR(Ask([&](auto* context) { return stub_->ListWorkers(context, {}, &workers); }));
  overview.read_at = SystemClock::Get()->Now();
  overview.migration = std::move(*migration.mutable_migration());
  for (v1::TableInfo& table : *tables.mutable_tables()) overview.tables.push_back(std::move(table));
  for (v1::WorkerInfo& worker : *workers.mutable_workers()) overview.workers.push_back(std::move(worker));
  return overview;
}

absl::StatusOr<TaskFigures> MigrationReader::ReadTasks() {
  TaskFigures figures;
  v1::ListTasksRequest request;
  request.set_page_size(kPageSize);
  for (int page = 0; page < kMaxPages; ++page) {
    v1::ListTasksResponse response;
    HS_RETURN_IF_ERROR(Ask([&](auto* context) { return stub_->ListTasks(context, request, &response); }));
    for (const v1::TaskInfo& task : response.tasks()) figures.Add(task);
    if (response.next_page_token().empty()) break;
    request.set_page_token(response.next_page_token());
  }
  figures.Finish();
  return figures;
}

void MigrationReader::SampleLoop() {
  while (true) {
    const absl::StatusOr<std::shared_ptr<const MigrationOverview>> overview = Overview();
    MutexLock lock(&mutex_);
    if (overview.ok() && !(*overview)->tables.empty()) {
      const v1::MigrationInfo& migration = (*overview)->migration;
      throughput_.Add((*overview)->read_at, migration.bytes_done() + migration.bytes_running(),
                      migration.rows_done() + migration.rows_running());
    }
    const absl::Time next = SystemClock::Get()->Now() + kSampleInterval;
    while (!ending_ && SystemClock::Get()->Now() < next) {
      changed_.WaitFor(&mutex_, next - SystemClock::Get()->Now());
    }
    if (ending_) return;
  }
}

ThroughputHistory MigrationReader::Throughput() const {
  MutexLock lock(&mutex_);
  return throughput_;
}

absl::Status MigrationReader::Pause() {
  v1::PauseResponse response;
  return Ask([&](auto* context) { return stub_->Pause(context, {}, &response); });
}

absl::Status MigrationReader::Resume() {
  v1::ResumeResponse response;
  return Ask([&](auto* context) { return stub_->Resume(context, {}, &response); });
}

absl::StatusOr<int64_t> MigrationReader::RetryTable(const std::string& table) {
  v1::RetryTableRequest request;
  request.set_table(table);
  v1::RetryTableResponse response;
  HS_RETURN_IF_ERROR(Ask([&](auto* context) { return stub_->RetryTable(context, request, &response); }));
  return response.steps();
}

}  // namespace hypershift
