#include "coordinator/lead_keeper.h"

#include <utility>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "coordinator/journal.h"

namespace hypershift {

LeadKeeper::LeadKeeper(ConnectionString target, int64_t epoch, absl::Duration leader_lease)
    : target_(std::move(target)), epoch_(epoch), leader_lease_(leader_lease), thread_([this] { Loop(); }) {}

LeadKeeper::~LeadKeeper() {
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void LeadKeeper::Loop() {
  while (true) {
    {
      const absl::Time next = SystemClock::Get()->Now() + leader_lease_ / 4;
      MutexLock lock(&mutex_);
      while (!ending_ && SystemClock::Get()->Now() < next) changed_.WaitFor(&mutex_, next - SystemClock::Get()->Now());
      if (ending_) return;
    }
    Renew();
  }
}

void LeadKeeper::Renew() {
  if (session_ == nullptr || session_->broken()) {
    SessionOptions options;
    options.role = ServerRole::kTarget;
    options.application_name = "hypershift coordinator";
    options.lock_timeout = leader_lease_;
    absl::StatusOr<std::unique_ptr<PgSession>> opened = PgSession::Open(target_, options);
    if (!opened.ok()) return;
    session_ = *std::move(opened);
  }
  RenewLead(session_.get(), epoch_, leader_lease_).IgnoreError();
}

}  // namespace hypershift
