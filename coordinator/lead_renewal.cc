#include "coordinator/lead_renewal.h"

#include <utility>

#include "absl/time/clock.h"

namespace hypershift {
namespace {

// A program that ends waits no longer than this for a target that does not answer.
constexpr absl::Duration kConnectTimeout = absl::Seconds(3);

}  // namespace

LeadRenewal::LeadRenewal(ConnectionString target, int64_t epoch, absl::Duration lease)
    : target_(std::move(target)), epoch_(epoch), lease_(lease), thread_([this] { Loop(); }) {}

LeadRenewal::~LeadRenewal() {
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void LeadRenewal::Loop() {
  do {
    const absl::Time next = absl::Now() + lease_ / 3;
    MutexLock lock(&mutex_);
    while (!ending_ && absl::Now() < next) changed_.WaitFor(&mutex_, next - absl::Now());
    if (ending_) return;
  } while (Renew());
}

bool LeadRenewal::Renew() {
  if (session_ == nullptr || session_->broken()) {
    SessionOptions options;
    options.role = ServerRole::kTarget;
    options.application_name = "hypershift coordinator";
    options.connect_timeout = kConnectTimeout;
    // A write of the coordinator's own may hold the row, and renews the lead as well.
    options.lock_timeout = lease_;
    absl::StatusOr<std::unique_ptr<PgSession>> opened = PgSession::Open(target_, options);
    if (!opened.ok()) return true;
    session_ = *std::move(opened);
  }
  const absl::StatusOr<pqxx::result> renewed = session_->Query(kRenewLeadSql, epoch_, absl::ToDoubleSeconds(lease_));
  return !renewed.ok() || renewed->affected_rows() > 0;
}

}  // namespace hypershift
