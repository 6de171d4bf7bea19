// An idle source session that holds the migration's snapshot open, and exports it again, for this worker's slots and
// for whoever comes after the first exporter has gone.
//
// Owns a thread and a source connection. All functions may be called from any thread and don't wait for the server,
// except WaitForSnapshot() and the destructor.
#ifndef HYPERSHIFT_WORKER_KEEPER_H_
#define HYPERSHIFT_WORKER_KEEPER_H_

#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/connection_string.h"
#include "common/copy_connection.h"
#include "common/mutex.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

class Keeper {
 public:
  Keeper(ConnectionString source, std::string worker_name);
  ~Keeper();  // Lets the snapshot go.
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  // Asks the keeper to import a snapshot; without effect while it holds this one or imports any, or after Release().
  // Another one that it holds is given up at once: the migration goes on under the new one. A failure is logged and
  // makes wants_snapshot() true again after a pause.
  void Offer(const v1::Snapshot& snapshot);

  // Whether it needs one to be offered: it never had one, or lost it.
  bool wants_snapshot() const;

  // What it holds, under the id of its own export.
  std::optional<v1::Snapshot> snapshot() const;

  // The same; while an import is under way, waits for its end.
  std::optional<v1::Snapshot> WaitForSnapshot(absl::Duration timeout);

  // Looks at once whether the session is still there: somebody's import of its snapshot has failed.
  void CheckNow();

  // All ranges have committed: ends the session, for good.
  void Release();

 private:
  enum class Step { kImport, kCheck, kRelease, kEnd };

  void Loop();
  Step NextStep(v1::Snapshot* offer);
  void Import(const v1::Snapshot& offer);
  absl::StatusOr<v1::Snapshot> ImportAndExport(const v1::Snapshot& offer);
  void Check();
  void CloseSession();

  const ConnectionString source_;
  const std::string worker_name_;
  std::unique_ptr<CopyConnection> session_;  // The thread's alone.

  mutable Mutex mutex_;
  CondVar changed_;
  std::optional<v1::Snapshot> offer_ ABSL_GUARDED_BY(mutex_);  // Until its import has ended.
  std::optional<v1::Snapshot> snapshot_ ABSL_GUARDED_BY(mutex_);
  absl::Time not_before_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Duration pause_ ABSL_GUARDED_BY(mutex_);
  bool check_now_ ABSL_GUARDED_BY(mutex_) = false;
  bool release_ ABSL_GUARDED_BY(mutex_) = false;
  bool released_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_KEEPER_H_
