#include "worker/slot_connections.h"

#include <utility>

#include "common/pg_session.h"

namespace hypershift {
namespace {

// How long a target statement waits for a lock before the attempt ends and is retried.
constexpr absl::Duration kTargetLockTimeout = absl::Minutes(1);

}  // namespace

SlotConnections::SlotConnections(ConnectionString source, ConnectionString target, std::string application_name)
    : source_string_(std::move(source)),
      target_string_(std::move(target)),
      application_name_(std::move(application_name)) {}

SlotConnections::~SlotConnections() { Close(); }

absl::StatusOr<CopyConnection*> SlotConnections::Source() { return Get(ServerRole::kSource); }

absl::StatusOr<CopyConnection*> SlotConnections::Target() { return Get(ServerRole::kTarget); }

absl::StatusOr<CopyConnection*> SlotConnections::Get(ServerRole role) {
  const bool source = role == ServerRole::kSource;
  {
    MutexLock lock(&mutex_);
    std::unique_ptr<CopyConnection>& connection = Connection(role);
    if (connection != nullptr && connection->broken()) connection.reset();
    if (connection != nullptr) return connection.get();
  }
  SessionOptions options;
  options.role = role;
  options.application_name = application_name_;
  if (!source) options.lock_timeout = kTargetLockTimeout;
  absl::StatusOr<std::unique_ptr<CopyConnection>> opened =
      CopyConnection::Open(source ? source_string_ : target_string_, options);
  if (!opened.ok()) return opened.status();
  MutexLock lock(&mutex_);
  Connection(role) = *std::move(opened);
  return Connection(role).get();
}

void SlotConnections::Close() {
  CloseOne(ServerRole::kTarget);
  CloseOne(ServerRole::kSource);
}

void SlotConnections::CloseSource() { CloseOne(ServerRole::kSource); }

void SlotConnections::CloseTarget() { CloseOne(ServerRole::kTarget); }

void SlotConnections::CloseOne(ServerRole role) {
  CopyConnection* connection = nullptr;
  {
    MutexLock lock(&mutex_);
    connection = Connection(role).get();
  }
  if (connection == nullptr) return;
  // Waits for the server's answer, so that its locks are gone when the coordinator hears of the failure.
  if (!connection->broken() && PQtransactionStatus(connection->raw()) != PQTRANS_IDLE) {
    (void)connection->Execute("ROLLBACK");
  }
  MutexLock lock(&mutex_);
  Connection(role).reset();
}

void SlotConnections::Cancel() {
  MutexLock lock(&mutex_);
  if (source_ != nullptr) source_->Cancel();
  if (target_ != nullptr) target_->Cancel();
}

}  // namespace hypershift
