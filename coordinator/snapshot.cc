#include "coordinator/snapshot.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/failpoint.h"
#include "common/names.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr char kBeginSql[] = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

// pg_current_snapshot() came with PostgreSQL 13 and writes the same text as the older function.
std::string FingerprintSql(int server_version) {
  return absl::StrCat("SELECT ", server_version >= 130000 ? "pg_current_snapshot()" : "txid_current_snapshot()",
                      "::text, pg_postmaster_start_time()::text");
}

absl::StatusOr<std::unique_ptr<PgSession>> OpenSession(const ConnectionString& source) {
  SessionOptions options;
  options.role = ServerRole::kSource;
  options.application_name = "hypershift coordinator";
  return PgSession::Open(source, options);
}

// All of a snapshot but its id, which is made when it is exported.
absl::StatusOr<v1::Snapshot> CurrentSnapshot(PgSession* session) {
  v1::Snapshot snapshot;
  HS_ASSIGN_OR_RETURN(const pqxx::result version, session->Query("SELECT current_setting('server_version_num')::int"));
  HS_ASSIGN_OR_RETURN(const pqxx::result fingerprint, session->Query(FingerprintSql(version[0][0].as<int>())));
  snapshot.set_current_snapshot(fingerprint[0][0].c_str());
  snapshot.set_postmaster_start(fingerprint[0][1].c_str());
  return snapshot;
}

// A session under a snapshot that somebody holds.
absl::StatusOr<std::unique_ptr<PgSession>> OpenUnder(const ConnectionString& source, const v1::Snapshot& expected) {
  HS_ASSIGN_OR_RETURN(std::unique_ptr<PgSession> session, OpenSession(source));
  HS_RETURN_IF_ERROR(session->Query(kBeginSql).status());
  const std::string sql = absl::StrCat("SET TRANSACTION SNAPSHOT ", QuoteLiteral(expected.id()));
  const absl::Status imported = session->Query(sql).status();
  if (!imported.ok()) {
    return absl::FailedPreconditionError(absl::StrCat("the snapshot can't be imported: ", imported.message()));
  }
  HS_ASSIGN_OR_RETURN(const v1::Snapshot snapshot, CurrentSnapshot(session.get()));
  if (!SameSnapshot(snapshot, expected)) {
    return absl::FailedPreconditionError("the snapshot's id now means another snapshot: the source has been restarted");
  }
  return session;
}

}  // namespace

SnapshotHolder::SnapshotHolder(ConnectionString source, std::unique_ptr<PgSession> session, v1::Snapshot snapshot)
    : source_(std::move(source)), session_(std::move(session)), snapshot_(std::move(snapshot)) {}

absl::StatusOr<std::unique_ptr<SnapshotHolder>> SnapshotHolder::Take(const ConnectionString& source) {
  HS_ASSIGN_OR_RETURN(std::unique_ptr<PgSession> session, OpenSession(source));
  HS_RETURN_IF_ERROR(session->Query(kBeginSql).status());
  HS_ASSIGN_OR_RETURN(v1::Snapshot snapshot, CurrentSnapshot(session.get()));
  return Export(source, std::move(session), std::move(snapshot));
}

absl::StatusOr<std::unique_ptr<SnapshotHolder>> SnapshotHolder::Import(const ConnectionString& source,
                                                                       const v1::Snapshot& expected) {
  HS_ASSIGN_OR_RETURN(std::unique_ptr<PgSession> session, AtFailpoint(Failpoint::kCoordinatorSnapshotImport, "",
                                                                      [&] { return OpenUnder(source, expected); }));
  return Export(source, std::move(session), expected);
}

absl::StatusOr<std::unique_ptr<SnapshotHolder>> SnapshotHolder::Export(const ConnectionString& source,
                                                                       std::unique_ptr<PgSession> session,
                                                                       v1::Snapshot snapshot) {
  HS_ASSIGN_OR_RETURN(const pqxx::result exported, AtFailpoint(Failpoint::kCoordinatorSnapshotExport, "", [&] {
                        return session->Query("SELECT pg_export_snapshot()");
                      }));
  snapshot.set_id(exported[0][0].c_str());
  return std::unique_ptr<SnapshotHolder>(new SnapshotHolder(source, std::move(session), std::move(snapshot)));
}

absl::StatusOr<std::unique_ptr<PgSession>> SnapshotHolder::OpenReader() {
  absl::StatusOr<std::unique_ptr<PgSession>> reader = OpenUnder(source_, snapshot_);
  // A snapshot that can't be imported is gone because this holder's session is.
  if (!reader.ok()) HS_RETURN_IF_ERROR(Heartbeat());
  return reader;
}

absl::Status SnapshotHolder::Heartbeat() { return session_->Query("SELECT 1").status(); }

bool SameSnapshot(const v1::Snapshot& a, const v1::Snapshot& b) {
  return a.current_snapshot() == b.current_snapshot() && a.postmaster_start() == b.postmaster_start();
}

}  // namespace hypershift
