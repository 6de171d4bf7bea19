#include "coordinator/coordinator.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/coordinator_address.h"
#include "common/log.h"
#include "common/pg_status.h"
#include "common/status_macros.h"
#include "coordinator/journal.h"
#include "coordinator/migration_setup.h"
#include "coordinator/run_loop.h"
#include "coordinator/server_credentials.h"
#include "coordinator/services.h"
#include "coordinator/standby.h"

namespace hypershift {
namespace {

// Thousands of tables and their messages are larger than gRPC's own limit.
constexpr int kMaxAnswerBytes = 64 << 20;
// Workers say little; a table's worth of errors is far smaller.
constexpr int kMaxReceivedBytes = 4 << 20;
// A hundred workers park a call each, and report from all their slots at once.
constexpr int kMaxThreads = 2048;

std::string HostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

class CoordinatorImpl final : public Coordinator {
 public:
  explicit CoordinatorImpl(CoordinatorOptions options)
      : options_(std::move(options)),
        state_(options_.times),
        journal_(options_.target),
        worker_service_(&state_, {options_.source, options_.target,
                                  !options_.security.token.empty() || !options_.security.authorities_file.empty()}),
        migration_service_(&state_) {}

  ~CoordinatorImpl() override {
    web_.reset();  // It calls the server.
    // Calls still parked are cancelled: they poll for it.
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  }

  absl::StatusOr<std::string> Listen() override {
    HS_RETURN_IF_ERROR(CheckListening(options_.listen, options_.security));
    const std::string exposure = ExposureOf(options_.listen, options_.security);
    if (!exposure.empty()) LogWarning(exposure);
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.SetMaxReceiveMessageSize(kMaxReceivedBytes);
    builder.SetResourceQuota(grpc::ResourceQuota("coordinator").SetMaxThreads(kMaxThreads));
    builder.AddListeningPort(
        options_.listen, MakeServerCredentials(options_.security, std::make_shared<CallGate>(options_.security.token)),
        &port);
    builder.RegisterService(&worker_service_);
    builder.RegisterService(&migration_service_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) {
      return absl::UnavailableError(
          absl::StrCat("--listen: ", options_.listen, " can't be bound: is the port in use?"));
    }
    address_ = absl::StartsWith(options_.listen, "unix:")
                   ? options_.listen
                   : absl::StrCat(options_.listen.substr(0, options_.listen.rfind(':') + 1), port);
    advertised_ = options_.advertise.empty() ? AdvertisedAddress(address_, HostName()) : options_.advertise;
    HS_RETURN_IF_ERROR(StartWeb());
    return address_;
  }

  absl::StatusOr<RunResult> Run() override {
    std::optional<MigrationSetup> setup;
    while (true) {
      if (options_.standby) {
        HS_ASSIGN_OR_RETURN(const StandbyResult waited, WaitForLead(&journal_, &state_, options_.leader_lease));
        if (waited != StandbyResult::kTakeOver) return EndStandby(waited);
      }
      setup.emplace(options_, advertised_, &state_, &journal_);
      const absl::Status ready = setup->Run();
      if (ready.ok()) break;
      if (options_.standby && MayStandByAgain(ready) && !state_.stop_requested()) continue;
      if (options_.standby && setup->ended_meanwhile()) {
        journal_.GiveUpLead().IgnoreError();
        return EndStandby(StandbyResult::kEnded);
      }
      const absl::Status why = EndLead(ready);
      state_.SetError(std::string(why.message()));
      state_.SetPhase(v1::MigrationPhase::PHASE_STOPPED, "stopped before any range was leased");
      LeaveWorkers(why, setup->needs_keepers());
      return why;
    }
    RunLoop loop(options_, setup->record(), setup->TakeSnapshotHolder(), &state_, &journal_);
    absl::StatusOr<RunResult> result = loop.Run();
    if (!result.ok()) {
      state_.SetError(std::string(result.status().message()));
      state_.SetPhase(v1::MigrationPhase::PHASE_STOPPED, "stopped by an error; the same command resumes");
      state_.Finish(false);
      state_.WaitUntilTold(absl::Seconds(3));
      journal_.GiveUpLead().IgnoreError();
    }
    return result;
  }

  void Stop(bool at_once) override {
    state_.RequestStop(at_once);
    if (web_ != nullptr) web_->StopLingering();
  }

  void Linger() override {
    if (web_ != nullptr) web_->Linger();
  }

  MigrationState* state() override { return &state_; }

 private:
  // The page and the metrics are clients of the service like any other, but for the network.
  absl::Status StartWeb() {
    if (!options_.web.has_value()) return absl::OkStatus();
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
    absl::StatusOr<std::unique_ptr<WebServer>> web =
        WebServer::Start(*options_.web, v1::MigrationService::NewStub(server_->InProcessChannel(arguments)));
    if (!web.ok()) return WithContext(web.status(), "--http");
    web_ = *std::move(web);
    LogInfo("web page and metrics", {{"url", web_->url()}});
    return absl::OkStatus();
  }

  // Why the setup failed: a lead that was lost explains every error.
  absl::Status EndLead(const absl::Status& error) {
    if (!journal_.leads()) return error;
    absl::Status gave_up = journal_.GiveUpLead();
    return IsDeposed(gave_up) ? gave_up : error;
  }

  // Another stand-by was quicker, or has taken over meanwhile; or the target is away again, for a while or in the
  // middle of a COMMIT.
  static bool MayStandByAgain(const absl::Status& status) {
    return IsDeposed(status) || IsRetryable(status) || absl::IsUnknown(status);
  }

  // Whoever leads, or the same command again in a moment, will need the workers and what their keepers hold: this
  // coordinator then answers like one that stands by. Otherwise they are sent home.
  void LeaveWorkers(const absl::Status& error, bool needs_keepers) {
    if (MayStandByAgain(error)) {
      state_.SetStandby(true);
    } else {
      state_.Finish(!needs_keepers);
    }
  }

  RunResult EndStandby(StandbyResult waited) {
    const bool ended = waited == StandbyResult::kEnded;
    LogInfo(ended ? "the migration has ended; nothing to take over" : "stopped standing by");
    state_.SetPhase(ended ? v1::MigrationPhase::PHASE_DONE : v1::MigrationPhase::PHASE_STOPPED, "stood by");
    state_.Finish(ended);
    return ended ? RunResult::kDone : RunResult::kStopped;
  }

  const CoordinatorOptions options_;
  std::string address_;
  std::string advertised_;  // What the journal says.
  MigrationState state_;
  Journal journal_;
  WorkerServiceImpl worker_service_;
  MigrationServiceImpl migration_service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<WebServer> web_;
};

}  // namespace

std::unique_ptr<Coordinator> Coordinator::Create(CoordinatorOptions options) {
  return std::make_unique<CoordinatorImpl>(std::move(options));
}

}  // namespace hypershift
