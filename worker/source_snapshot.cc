#include "worker/source_snapshot.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/failpoint.h"
#include "common/names.h"
#include "common/pg_status.h"
#include "common/status_macros.h"
#include "worker/task_status.h"

namespace hypershift {
namespace {

constexpr int kFirstVersionWithPgCurrentSnapshot = 130000;

// pg_current_snapshot() and pg_postmaster_start_time() as text; the session's TimeZone is UTC.
std::string IdentitySql(CopyConnection* source) {
  const bool modern = PQserverVersion(source->raw()) >= kFirstVersionWithPgCurrentSnapshot;
  return absl::StrCat("pg_catalog.", modern ? "pg_current_snapshot" : "txid_current_snapshot",
                      "()::text, pg_catalog.pg_postmaster_start_time()::text");
}

// What PostgreSQL answers to an id that is malformed or has gone (the code changed between versions).
bool IsMissingSnapshot(const absl::Status& status) {
  const std::string sqlstate = SqlState(status);
  return sqlstate == "22023" || sqlstate == "42704" || sqlstate == "58P01";
}

absl::Status Refused(const v1::Snapshot& snapshot, absl::string_view why) {
  return MarkRetryable(absl::FailedPreconditionError(absl::StrCat("source: snapshot ", snapshot.id(), " ", why)));
}

}  // namespace

absl::Status BeginOnSnapshot(CopyConnection* source, const v1::Snapshot& snapshot) {
  const std::string sql = absl::StrCat("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT ",
                                       QuoteLiteral(snapshot.id()), "; SELECT ", IdentitySql(source));
  const auto row = AtFailpoint(Failpoint::kWorkerSnapshotImport, "", [&] { return source->Execute(sql); });
  if (!row.ok() && IsMissingSnapshot(row.status())) {
    return Refused(snapshot, absl::StrCat("is no longer there (", row.status().message(), ")"));
  }
  if (!row.ok()) return WithContext(row.status(), "source");
  if (row->size() != 2 || !(*row)[0].has_value() || !(*row)[1].has_value()) {
    return absl::InternalError("source: no answer about the snapshot");
  }
  if (*(*row)[1] != snapshot.postmaster_start()) {
    return Refused(snapshot, absl::StrCat("belongs to a server started at ", *(*row)[1], ", not ",
                                          snapshot.postmaster_start(), ": the source restarted or is another server"));
  }
  if (*(*row)[0] != snapshot.current_snapshot()) {
    return Refused(snapshot, absl::StrCat("is another one than the migration's: ", *(*row)[0], ", not ",
                                          snapshot.current_snapshot()));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Snapshot> ExportSnapshot(CopyConnection* source) {
  const std::string sql = absl::StrCat("SELECT pg_catalog.pg_export_snapshot(), ", IdentitySql(source));
  const auto row = AtFailpoint(Failpoint::kWorkerSnapshotExport, "", [&] { return source->Execute(sql); });
  if (!row.ok()) return WithContext(row.status(), "source");
  if (row->size() != 3) return absl::InternalError("source: no answer to pg_export_snapshot()");
  v1::Snapshot snapshot;
  snapshot.set_id((*row)[0].value_or(""));
  snapshot.set_current_snapshot((*row)[1].value_or(""));
  snapshot.set_postmaster_start((*row)[2].value_or(""));
  return snapshot;
}

}  // namespace hypershift
