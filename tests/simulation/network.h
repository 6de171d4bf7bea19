// Calls of workers to coordinators: lost, doubled, delayed and so reordered, each way.
#ifndef HYPERSHIFT_TESTS_SIMULATION_NETWORK_H_
#define HYPERSHIFT_TESTS_SIMULATION_NETWORK_H_

#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/migration_state.h"
#include "tests/simulation/context.h"
#include "tests/simulation/sim_coordinator.h"

namespace hypershift::simulation {

class Network {
 public:
  Network(World* world, const Faults* faults, int addresses)
      : world_(world), faults_(*faults), coordinators_(static_cast<size_t>(addresses), nullptr) {}

  int addresses() const { return static_cast<int>(coordinators_.size()); }
  // Who listens at an address; null: nobody.
  void Listen(int address, SimCoordinator* coordinator) { coordinators_[static_cast<size_t>(address)] = coordinator; }
  SimCoordinator* at(int address) const { return coordinators_[static_cast<size_t>(address)]; }

  // Nothing goes between the two for so long.
  void Part(const Process* client, int address, absl::Duration duration) {
    parted_until_[{client, address}] = world_->now() + duration;
  }
  void Heal() { parted_until_.clear(); }

  // In a fiber of `client`. kUnavailable: nobody listens there; kDeadlineExceeded: no answer in time.
  template <typename T>
  absl::StatusOr<T> Call(Process* client, int address, absl::Duration timeout,
                         std::function<absl::StatusOr<T>(MigrationState*)> handler) {
    const auto answer = std::make_shared<Answer<absl::StatusOr<T>>>();
    Send<T>(client, address, handler, answer);
    if (world_->random().Chance(faults_.call_doubled)) Send<T>(client, address, handler, answer);
    const std::optional<absl::StatusOr<T>> result = client->Await(answer, timeout);
    if (!result.has_value()) return absl::DeadlineExceededError("no coordinator answers");
    return *result;
  }

 private:
  template <typename T>
  void Send(const Process* client, int address, const std::function<absl::StatusOr<T>(MigrationState*)>& handler,
            const std::shared_ptr<Answer<absl::StatusOr<T>>>& answer) {
    const auto parted = parted_until_.find({client, address});
    if (parted != parted_until_.end() && parted->second > world_->now()) return;
    if (world_->random().Chance(faults_.call_lost)) return;
    world_->At(Delay(), [this, address, handler, answer] {
      SimCoordinator* const coordinator = at(address);
      if (coordinator == nullptr) {
        Deliver(world_, answer, Delay(), absl::StatusOr<T>(absl::UnavailableError("nobody listens")));
        return;
      }
      coordinator->process()->Post([this, coordinator, handler, answer] {
        absl::StatusOr<T> result = handler(coordinator->state());
        if (world_->random().Chance(faults_.answer_lost)) return;
        Deliver(world_, answer, Delay(), std::move(result));
      });
    });
  }

  absl::Duration Delay() { return world_->random().Between(absl::Microseconds(200), faults_.longest_call_delay); }

  World* const world_;
  const Faults& faults_;
  std::vector<SimCoordinator*> coordinators_;
  std::map<std::pair<const Process*, int>, absl::Time> parted_until_;
};

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_NETWORK_H_
