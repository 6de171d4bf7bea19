#include "tests/simulation/simulation.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/simulation/network.h"
#include "tests/simulation/sim_coordinator.h"
#include "tests/simulation/sim_worker.h"

namespace hypershift::simulation {
namespace {

// What a migration may take once nothing goes wrong any more: waits of all kinds that had begun, then the rest.
constexpr absl::Duration kRecovery = absl::Minutes(15);
// Those who were stopped wake up when all is over.
constexpr absl::Duration kEpilogue = absl::Seconds(30);

Settings DrawSettings(Random* random) {
  Settings settings;
  settings.dispatch.lease_duration = random->Between(absl::Seconds(3), absl::Seconds(20));
  settings.dispatch.leader_lease = random->Between(absl::Seconds(2), absl::Seconds(10));
  settings.dispatch.retry_limit = random->Int(1, 4);
  settings.times.lease_duration = settings.dispatch.lease_duration;
  settings.times.heartbeat_interval = settings.dispatch.lease_duration / random->Int(4, 10);
  return settings;
}

class Simulation {
 public:
  Simulation(uint64_t seed, Weakness weakness, bool trace)
      : world_(seed),
        faults_(DrawFaults(&world_.random())),
        settings_(DrawSettings(&world_.random())),
        plan_(MakeRandomPlan(&world_.random())),
        oracle_(plan_, settings_.dispatch.retry_limit),
        database_(&world_, &faults_, &oracle_, plan_, weakness),
        network_(&world_, &faults_, world_.random().Int(1, 3)),
        coordinators_(static_cast<size_t>(network_.addresses())),
        workers_(static_cast<size_t>(world_.random().Int(2, 5))) {
    world_.set_trace(trace);
    context_ = {&world_, &faults_, &settings_, &plan_, &oracle_, &database_, &source_, &figures_};
  }

  Outcome Run() {
    Random& random = world_.random();
    for (int address = 0; address < network_.addresses(); ++address) StartCoordinator(address, address == 0);
    for (size_t i = 0; i < workers_.size(); ++i) StartWorker(i, i == 0);
    ScheduleFaults();
    const absl::Duration trouble = random.Between(absl::Seconds(5), absl::Seconds(90));
    world_.At(trouble, [this] { Heal(); });
    const absl::Time began = world_.now();
    world_.Run(began + trouble + kRecovery, [this] { return database_.finished() || Failed(); });
    figures_.simulated = world_.now() - began;
    if (!database_.finished())
      oracle_.Violated("it has not ended ", absl::FormatDuration(kRecovery), " after the last fault");
    // Zombies must find nothing left to do.
    Heal();
    for (const auto& worker : everyone_) worker->process()->Continue();
    for (const auto& coordinator : every_coordinator_) coordinator->process()->Continue();
    world_.Run(world_.now() + kEpilogue, [this] { return Failed(); });
    if (database_.finished() && !oracle_.AllDone()) oracle_.Violated("it has ended with tasks undone");
    for (const auto& worker : everyone_) worker->Kill();
    for (const auto& coordinator : every_coordinator_) coordinator->Kill();
    return {oracle_.violation(), figures_};
  }

 private:
  bool Failed() const { return !oracle_.violation().empty(); }

  // --- processes ---
  void StartCoordinator(int address, bool begins) {
    std::optional<v1::Snapshot> snapshot;
    if (begins) snapshot = source_.Export();
    const bool standby = !begins && (network_.addresses() > 1 || world_.random().Chance(0.5));
    every_coordinator_.push_back(std::make_unique<SimCoordinator>(
        context_, absl::StrCat("coordinator", address, "#", every_coordinator_.size()), standby, std::move(snapshot)));
    coordinators_[static_cast<size_t>(address)] = every_coordinator_.back().get();
    network_.Listen(address, every_coordinator_.back().get());
    world_.Trace(every_coordinator_.back()->name(), ": starts", standby ? " as a stand-by" : "");
    WatchCoordinator(address, every_coordinator_.back().get());
  }

  // Starts another when it has ended.
  void WatchCoordinator(int address, SimCoordinator* coordinator) {
    world_.At(absl::Milliseconds(500), [this, address, coordinator] {
      if (coordinators_[static_cast<size_t>(address)] != coordinator) return;
      if (coordinator->ended()) {
        KillCoordinator(address, /*lingering=*/false);
      } else {
        WatchCoordinator(address, coordinator);
      }
    });
  }

  void KillCoordinator(int address, bool lingering) {
    SimCoordinator* const coordinator = std::exchange(coordinators_[static_cast<size_t>(address)], nullptr);
    network_.Listen(address, nullptr);
    coordinator->Kill();
    database_.ClientGone(coordinator->process(), lingering);
    world_.At(world_.random().Magnitude(absl::Milliseconds(100), absl::Seconds(10)), [this, address] {
      if (!database_.finished()) StartCoordinator(address, /*begins=*/false);
    });
  }

  // The first is a keeper of its own, which nothing kills: with all keepers gone nobody could go on.
  void StartWorker(size_t index, bool begins) {
    const bool keeper = index == 0;
    std::optional<v1::Snapshot> snapshot;
    if (begins) snapshot = source_.Export();
    const int incarnation = static_cast<int>(everyone_.size());
    // A restarted worker may come back under its name.
    const bool renamed = !begins && !keeper && world_.random().Chance(0.3);
    const std::string name = absl::StrCat("worker", index, renamed ? absl::StrCat("-", incarnation) : "");
    everyone_.push_back(std::make_unique<SimWorker>(context_, &network_, name, incarnation,
                                                    keeper ? 0 : world_.random().Int(1, 4), std::move(snapshot)));
    workers_[index] = everyone_.back().get();
    world_.Trace(name, "#", incarnation, ": starts");
    WatchWorker(index, everyone_.back().get());
  }

  void WatchWorker(size_t index, SimWorker* worker) {
    world_.At(absl::Milliseconds(500), [this, index, worker] {
      if (workers_[index] != worker) return;
      if (worker->ended()) {
        KillWorker(index, /*lingering=*/false);
      } else {
        WatchWorker(index, worker);
      }
    });
  }

  void KillWorker(size_t index, bool lingering) {
    SimWorker* const worker = std::exchange(workers_[index], nullptr);
    worker->Kill();
    database_.ClientGone(worker->process(), lingering);
    world_.At(world_.random().Magnitude(absl::Milliseconds(100), absl::Seconds(20)), [this, index] {
      if (!database_.finished()) StartWorker(index, /*begins=*/false);
    });
  }

  // --- faults ---
  void Strike(absl::Duration mean_time, std::function<void()> fault) {
    if (mean_time == absl::InfiniteDuration()) return;
    const double exponential = -std::log(1 - world_.random().Fraction());
    world_.At(mean_time * exponential, [this, mean_time, fault = std::move(fault)] {
      if (healed_) return;
      fault();
      Strike(mean_time, fault);
    });
  }

  void ScheduleFaults() {
    Random& random = world_.random();
    Strike(faults_.worker_killed, [this, &random] {
      if (const std::optional<size_t> index = PickWorker()) {
        ++figures_.kills;
        KillWorker(*index, random.Chance(faults_.host_lost));
      }
    });
    Strike(faults_.worker_stopped, [this] {
      if (const std::optional<size_t> index = PickWorker()) {
        Stop(workers_[*index]->process(), world_.random().Chance(faults_.stopped_for_ever));
      }
    });
    Strike(faults_.keeper_lost, [this] {
      if (const std::optional<size_t> index = PickWorker()) workers_[*index]->LoseSnapshot();
    });
    Strike(faults_.coordinator_killed, [this, &random] {
      if (SimCoordinator* const coordinator = PickCoordinator()) {
        ++figures_.kills;
        KillCoordinator(AddressOf(coordinator), random.Chance(faults_.host_lost));
      }
    });
    Strike(faults_.coordinator_stopped, [this] {
      if (SimCoordinator* const coordinator = PickCoordinator()) Stop(coordinator->process(), false);
    });
    Strike(faults_.coordinator_asked_to_stop, [this, &random] {
      if (SimCoordinator* const coordinator = PickCoordinator()) coordinator->state()->RequestStop(random.Chance(0.5));
    });
    Strike(faults_.coordinator_source_lost, [this] {
      if (SimCoordinator* const coordinator = PickCoordinator()) coordinator->LoseSource();
    });
    Strike(faults_.partition, [this, &random] { Part(&random); });
    Strike(faults_.target_restarted,
           [this, &random] { database_.Restart(random.Magnitude(absl::Milliseconds(100), absl::Seconds(20))); });
    Strike(faults_.table_retried, [this, &random] {
      SimCoordinator* const coordinator = PickCoordinator();
      if (coordinator == nullptr) return;
      const TablePlan& table = plan_.tables[random.Index(plan_.tables.size())];
      coordinator->state()->RetryTable(table.name.Display()).IgnoreError();
      // Whoever looks must not disturb.
      coordinator->state()->GetMigration();
      coordinator->state()->ListTables();
      coordinator->state()->ListTasks("", TaskState::STATE_UNSPECIFIED, 0, 100);
      coordinator->state()->ListWorkers();
    });
  }

  std::optional<size_t> PickWorker() {
    const size_t index = 1 + world_.random().Index(workers_.size() - 1);
    if (workers_[index] == nullptr) return std::nullopt;
    return index;
  }

  SimCoordinator* PickCoordinator() { return coordinators_[world_.random().Index(coordinators_.size())]; }

  int AddressOf(const SimCoordinator* coordinator) const {
    return static_cast<int>(std::find(coordinators_.begin(), coordinators_.end(), coordinator) - coordinators_.begin());
  }

  void Stop(Process* process, bool for_ever) {
    ++figures_.stops;
    process->Stop();
    if (for_ever) {
      stopped_for_ever_.push_back(process);
      return;
    }
    const absl::Duration longest = 3 * std::max(settings_.dispatch.lease_duration, settings_.dispatch.leader_lease);
    world_.At(world_.random().Magnitude(absl::Milliseconds(100), longest), [process] { process->Continue(); });
  }

  void Part(Random* random) {
    const absl::Duration duration = random->Magnitude(absl::Milliseconds(100), absl::Seconds(40));
    const std::optional<size_t> index = PickWorker();
    if (!index.has_value()) return;
    Process* process = workers_[*index]->process();
    if (random->Chance(0.4)) {
      network_.Part(process, random->Int(0, network_.addresses() - 1), duration);
      return;
    }
    SimCoordinator* const coordinator = PickCoordinator();
    if (coordinator != nullptr && random->Chance(0.5)) process = coordinator->process();
    database_.CutOff(process, duration);
  }

  // Nothing strikes from now on. What was stopped for ever stays so, if another worker can do its part.
  void Heal() {
    healed_ = true;
    faults_ = Faults();
    faults_.longest_task = absl::Seconds(2);
    database_.Heal();
    network_.Heal();
    const auto works = [](SimWorker* worker) {
      return worker != nullptr && !worker->is_keeper() && !worker->process()->stopped();
    };
    if (std::none_of(workers_.begin(), workers_.end(), works)) {
      for (Process* process : stopped_for_ever_) process->Continue();
    }
    world_.Trace("--- nothing fails from now on");
  }

  World world_;
  Faults faults_;
  const Settings settings_;
  const SimulatedPlan plan_;
  Oracle oracle_;
  SimulatedSource source_;
  Figures figures_;
  Database database_;
  Network network_;
  Context context_;
  std::vector<SimCoordinator*> coordinators_;  // By address.
  std::vector<SimWorker*> workers_;
  // All there ever were: calls may still be on their way to them.
  std::vector<std::unique_ptr<SimCoordinator>> every_coordinator_;
  std::vector<std::unique_ptr<SimWorker>> everyone_;
  std::vector<Process*> stopped_for_ever_;
  bool healed_ = false;
};

}  // namespace

Outcome Simulate(uint64_t seed, Weakness weakness, bool trace) { return Simulation(seed, weakness, trace).Run(); }

}  // namespace hypershift::simulation
