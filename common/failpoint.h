// Failpoints: named steps of the program at which its tests make it fail.
//
// A failpoint guards one step, such as sending COMMIT. Tests may have the step not run and fail, run and be reported as
// failed, start late, or never come back because the process ends there. Which functions answer is decided when a
// program is linked: the product has hypershift_failpoints_off, which always says OK; the programs of tests/fault are
// made of the very same libraries and hypershift_failpoints_on, which does what the environment variable
// HYPERSHIFT_FAILPOINTS says (tests/fault/failpoint_rules.h has its syntax). So nothing is compiled anew for a test.
//
// Any thread. Errors are kUnavailable and name the failpoint; the caller treats one as the step's own.
#ifndef HYPERSHIFT_COMMON_FAILPOINT_H_
#define HYPERSHIFT_COMMON_FAILPOINT_H_

#include <array>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hypershift {

enum class Failpoint {
  kWorkerClaim,
  kWorkerCopyEnd,
  kWorkerCompressChunk,
  kWorkerJournalWrite,
  kWorkerCommitSent,
  kWorkerCommitAnswered,
  kWorkerRpcSent,
  kWorkerRpcAnswered,
  kWorkerSnapshotImport,
  kWorkerSnapshotExport,
  kCoordinatorJournalWrite,
  kCoordinatorCommitSent,
  kCoordinatorCommitAnswered,
  kCoordinatorLeaseExpiry,
  kCoordinatorSnapshotImport,
  kCoordinatorSnapshotExport,
};

// What a failpoint says besides its name, so that a test can pick one of many passes.
enum class FailpointDetail {
  kNone,
  kTaskKind,      // As the protocol has it: KIND_COPY.
  kRpc,           // The method's name: Synchronize.
  kJournalWrite,  // One of kJournalWrites.
};

struct FailpointEntry {
  Failpoint point;
  absl::string_view name;
  FailpointDetail detail;
};

// All of them, in the order of the enumeration.
inline constexpr std::array kFailpoints = {
    // The UPDATE that claims a task; it commits by itself.
    FailpointEntry{Failpoint::kWorkerClaim, "worker.claim", FailpointDetail::kTaskKind},
    // The end of the COPY into the target.
    FailpointEntry{Failpoint::kWorkerCopyEnd, "worker.copy_end", FailpointDetail::kTaskKind},
    // One call of compress_chunk, which commits by itself.
    FailpointEntry{Failpoint::kWorkerCompressChunk, "worker.compress_chunk", FailpointDetail::kTaskKind},
    // The UPDATE of a finished task's row.
    FailpointEntry{Failpoint::kWorkerJournalWrite, "worker.journal_write", FailpointDetail::kTaskKind},
    // Sending a task's COMMIT and waiting for the answer.
    FailpointEntry{Failpoint::kWorkerCommitSent, "worker.commit_sent", FailpointDetail::kTaskKind},
    // A place rather than a step: the task has committed.
    FailpointEntry{Failpoint::kWorkerCommitAnswered, "worker.commit_answered", FailpointDetail::kTaskKind},
    // A call of the coordinator.
    FailpointEntry{Failpoint::kWorkerRpcSent, "worker.rpc_sent", FailpointDetail::kRpc},
    // A place rather than a step: the coordinator has answered well.
    FailpointEntry{Failpoint::kWorkerRpcAnswered, "worker.rpc_answered", FailpointDetail::kRpc},
    // Beginning a transaction on an exported snapshot, by a keeper or a copy.
    FailpointEntry{Failpoint::kWorkerSnapshotImport, "worker.snapshot_import", FailpointDetail::kNone},
    // Exporting a keeper's snapshot again.
    FailpointEntry{Failpoint::kWorkerSnapshotExport, "worker.snapshot_export", FailpointDetail::kNone},
    // The statements of one of the coordinator's transactions in the journal, from the lock on the leader's row on.
    FailpointEntry{Failpoint::kCoordinatorJournalWrite, "coordinator.journal_write", FailpointDetail::kJournalWrite},
    // Its COMMIT.
    FailpointEntry{Failpoint::kCoordinatorCommitSent, "coordinator.commit_sent", FailpointDetail::kJournalWrite},
    // A place rather than a step: it has committed.
    FailpointEntry{Failpoint::kCoordinatorCommitAnswered, "coordinator.commit_answered",
                   FailpointDetail::kJournalWrite},
    // Terminating the sessions of expired leases.
    FailpointEntry{Failpoint::kCoordinatorLeaseExpiry, "coordinator.lease_expiry", FailpointDetail::kNone},
    // Importing the snapshot from a keeper.
    FailpointEntry{Failpoint::kCoordinatorSnapshotImport, "coordinator.snapshot_import", FailpointDetail::kNone},
    // Exporting the coordinator's snapshot.
    FailpointEntry{Failpoint::kCoordinatorSnapshotExport, "coordinator.snapshot_export", FailpointDetail::kNone},
};

// The names of coordinator/journal's transactions.
inline constexpr std::array<absl::string_view, 21> kJournalWrites = {
    "begin",         "take_lead",      "renew_lead",   "give_up_lead",
    "extend_leases", "retry_failed",   "archive",      "pre_data",
    "hypertables",   "plan",           "report",       "worker",
    "turn",          "store_snapshot", "replace_load", "replace_verifications",
    "release",       "finish",         "terminate",    "steering",
    "revoke_leases",
};

enum class FailpointSide { kBefore, kAfter };

// What the linked library has to say on one side of a step. OK: go on.
absl::Status HitFailpoint(Failpoint point, FailpointSide side, absl::string_view detail);

// `step` with the failpoint on both its sides; `step` returns a Status or a StatusOr. A step that fails by itself fails
// with its own error.
template <typename Step>
auto AtFailpoint(Failpoint point, absl::string_view detail, const Step& step) -> decltype(step()) {
  absl::Status before = HitFailpoint(point, FailpointSide::kBefore, detail);
  if (!before.ok()) return before;
  auto result = step();
  if (!result.ok()) return result;
  absl::Status after = HitFailpoint(point, FailpointSide::kAfter, detail);
  if (!after.ok()) return after;
  return result;
}

// A place between two steps.
inline absl::Status AtFailpoint(Failpoint point, absl::string_view detail) {
  return AtFailpoint(point, detail, [] { return absl::OkStatus(); });
}

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_FAILPOINT_H_
