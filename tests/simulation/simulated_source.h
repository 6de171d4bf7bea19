// The source's snapshot: who exports it under which id. An id can be imported for as long as the session that exported
// it lives; the snapshot is lost when none is left.
#ifndef HYPERSHIFT_TESTS_SIMULATION_SIMULATED_SOURCE_H_
#define HYPERSHIFT_TESTS_SIMULATION_SIMULATED_SOURCE_H_

#include <optional>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift::simulation {

class SimulatedSource {
 public:
  // In a session under the snapshot: a holder of its own, named by the id.
  v1::Snapshot Export() {
    v1::Snapshot snapshot = Expected();
    snapshot.set_id(absl::StrCat("export-", ++last_export_));
    live_.insert(snapshot.id());
    return snapshot;
  }
  // A session that imports a snapshot, and exports it again.
  std::optional<v1::Snapshot> Import(const v1::Snapshot& snapshot) {
    if (live_.count(snapshot.id()) == 0) return std::nullopt;
    return Export();
  }
  void Drop(const v1::Snapshot& snapshot) { live_.erase(snapshot.id()); }
  bool IsLive(const v1::Snapshot& snapshot) const { return live_.count(snapshot.id()) > 0; }

  // What the journal knows of it: all but an id.
  static v1::Snapshot Expected() {
    v1::Snapshot snapshot;
    snapshot.set_current_snapshot("10:20:");
    snapshot.set_postmaster_start("2024-01-01 00:00:00");
    return snapshot;
  }

 private:
  int last_export_ = 0;
  std::set<std::string> live_;
};

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_SIMULATED_SOURCE_H_
