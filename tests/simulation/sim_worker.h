// A worker's process as the coordinator and the servers see one: what worker/worker, slot and task_journal do, in their
// order, without rows. With no slots it is nothing but a keeper.
#ifndef HYPERSHIFT_TESTS_SIMULATION_SIM_WORKER_H_
#define HYPERSHIFT_TESTS_SIMULATION_SIM_WORKER_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hypershift/v1/worker.pb.h"
#include "tests/simulation/context.h"
#include "tests/simulation/network.h"

namespace hypershift::simulation {

class SimWorker {
 public:
  // `incarnation` tells processes of one name apart. `snapshot`: what it holds from the beginning.
  SimWorker(const Context& context, Network* network, std::string name, int incarnation, int slots,
            std::optional<v1::Snapshot> snapshot);
  ~SimWorker() { process_.Kill(); }

  Process* process() { return &process_; }
  const std::string& name() const { return name_; }
  bool is_keeper() const { return slots_ == 0; }
  // Whether it has come to its end, as it was told to.
  bool ended() const { return ended_; }
  void Kill();
  // Its keeper's session is lost, if it has one.
  void LoseSnapshot();

 private:
  struct Entry {
    TaskId id = 0;
    int attempt = 0;
    TaskKind::Kind kind = TaskKind::KIND_UNSPECIFIED;
    bool cancelled = false;
    bool revoked = false;
  };
  using EntryPtr = std::shared_ptr<Entry>;

  void Main();
  absl::Status Register();
  absl::Status Synchronize();
  void Apply(const v1::SynchronizeResponse& response);
  void Start(const v1::LeasedTask& lease);
  void Revoke(TaskId id, int attempt);
  void AddRunning(google::protobuf::RepeatedPtrField<v1::RunningTask>* running) const;

  void SlotLoop();
  EntryPtr Take();
  absl::Status Run(const Entry& entry, SessionPtr* target);
  absl::Status Claim(const Entry& entry, SessionPtr* target);
  absl::Status Work(const Entry& entry, const SessionPtr& target);
  absl::Status InjectFailure(const Entry& entry);
  absl::Status Finish(const Entry& entry, SessionPtr* target);
  absl::Status ResolveInDoubt(const Entry& entry, SessionPtr* target);
  void Report(const EntryPtr& entry, const absl::Status& status);
  absl::Status ReportOnce(const Entry& entry, const absl::Status& status);

  template <typename T>
  absl::StatusOr<T> Call(std::function<absl::StatusOr<T>(MigrationState*)> handler);
  Author AuthorOf(const Entry& entry) const;

  const Context context_;
  Network* const network_;
  const std::string name_;
  const std::string label_;  // Of this process.
  const int slots_;
  Process process_;
  int address_ = 0;
  bool registered_ = false;
  bool finish_ = false;
  bool ended_ = false;
  std::optional<v1::Snapshot> snapshot_;
  bool snapshot_released_ = false;
  std::map<std::pair<TaskId, int>, EntryPtr> entries_;
  std::deque<EntryPtr> waiting_;
  std::vector<std::shared_ptr<Answer<bool>>> idle_slots_;
};

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_SIM_WORKER_H_
