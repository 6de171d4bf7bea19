// Runs tasks without a coordinator, against real servers: HYPERSHIFT_TEST_SOURCE_URI (PostgreSQL) and
// HYPERSHIFT_TEST_TARGET_URI. Without them the tests are skipped.
#ifndef HYPERSHIFT_TESTS_INTEGRATION_WORKER_TEST_H_
#define HYPERSHIFT_TESTS_INTEGRATION_WORKER_TEST_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/copy_connection.h"
#include "hypershift/v1/types.pb.h"
#include "worker/source_snapshot.h"
#include "worker/task_context.h"

namespace hypershift {

inline constexpr char kJournalSql[] = R"sql(
CREATE SCHEMA IF NOT EXISTS _hypershift;
DROP TABLE IF EXISTS _hypershift.task, _hypershift.leader;
CREATE TABLE _hypershift.task (
  id bigint PRIMARY KEY, attempt int, state text, rows bigint, bytes bigint, digest text, rewritable_digest text,
  session_pid int, session_start timestamptz, started_at timestamptz, finished_at timestamptz, error text,
  sqlstate text);
CREATE TABLE _hypershift.leader (address text, expires_at timestamptz);
DROP SCHEMA IF EXISTS worker_test CASCADE;
CREATE SCHEMA worker_test)sql";

inline ConnectionString Parse(const char* uri) {
  absl::StatusOr<ConnectionString> parsed = ConnectionString::Parse(uri, "test");
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.value_or(ConnectionString());
}

inline std::unique_ptr<CopyConnection> Open(const ConnectionString& where, ServerRole role) {
  SessionOptions options;
  options.role = role;
  absl::StatusOr<std::unique_ptr<CopyConnection>> opened = CopyConnection::Open(where, options);
  EXPECT_TRUE(opened.ok()) << opened.status();
  return opened.ok() ? *std::move(opened) : nullptr;
}

class WorkerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* source_uri = std::getenv("HYPERSHIFT_TEST_SOURCE_URI");
    const char* target_uri = std::getenv("HYPERSHIFT_TEST_TARGET_URI");
    if (source_uri == nullptr || target_uri == nullptr) GTEST_SKIP() << "no test servers";
    source_string_ = Parse(source_uri);
    target_string_ = Parse(target_uri);
    source_ = Open(source_string_, ServerRole::kSource);
    target_ = Open(target_string_, ServerRole::kTarget);
    ASSERT_TRUE(source_ != nullptr && target_ != nullptr);
    Run(target_.get(), kJournalSql);
    Run(source_.get(), "DROP SCHEMA IF EXISTS worker_test CASCADE; CREATE SCHEMA worker_test");
    connections_ = std::make_unique<SlotConnections>(source_string_, target_string_, "worker_copy_test");
    task_.id = 1;
    task_.attempt = 1;
    task_.connections = connections_.get();
    task_.ring = &ring_;
    task_.progress = &progress_;
  }

  void TearDown() override {
    connections_.reset();
    if (source_ != nullptr) Run(source_.get(), "ROLLBACK; DROP SCHEMA IF EXISTS worker_test CASCADE");
    if (target_ != nullptr) Run(target_.get(), "DROP SCHEMA IF EXISTS worker_test CASCADE");
    if (exporter_ != nullptr) exporter_.reset();
  }

  static std::optional<std::string> Run(CopyConnection* connection, const std::string& sql) {
    const auto row = connection->Execute(sql);
    EXPECT_TRUE(row.ok()) << row.status() << " in " << sql;
    return row.ok() && !row->empty() ? (*row)[0] : std::nullopt;
  }
  std::optional<std::string> Source(const std::string& sql) { return Run(source_.get(), sql); }
  std::optional<std::string> Target(const std::string& sql) { return Run(target_.get(), sql); }
  void BothSides(const std::string& sql) {
    Source(sql);
    Target(sql);
  }

  void Lease(int64_t id, int attempt) {
    Target(
        absl::StrCat("INSERT INTO _hypershift.task (id, attempt, state) VALUES (", id, ", ", attempt, ", 'leased')"));
  }
  std::optional<std::string> Journal(const std::string& column) {
    return Target("SELECT " + column + " FROM _hypershift.task WHERE id = 1");
  }
  std::optional<std::string> TargetRows() { return Target("SELECT count(*) FROM worker_test.t"); }

  // Holds a snapshot in a session of its own and exports it.
  v1::Snapshot Snapshot() {
    exporter_ = Open(source_string_, ServerRole::kSource);
    Run(exporter_.get(), "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    absl::StatusOr<v1::Snapshot> snapshot = ExportSnapshot(exporter_.get());
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    return snapshot.value_or(v1::Snapshot());
  }

  v1::CopyWork Work(int fields, v1::CopyFormat format = v1::COPY_FORMAT_BINARY) {
    v1::CopyWork work;
    const std::string suffix = format == v1::COPY_FORMAT_BINARY ? " (FORMAT binary)" : "";
    work.add_source_sql("COPY (SELECT * FROM worker_test.t) TO STDOUT" + suffix);
    work.set_target_sql("COPY worker_test.t FROM STDIN" + suffix);
    work.set_format(format);
    work.set_field_count(fields);
    uint32_t number = 0;
    EXPECT_TRUE(absl::SimpleAtoi(*Source("SELECT 'worker_test.t'::regclass::oid"), &number));
    work.set_source_oid(number);
    EXPECT_TRUE(absl::SimpleAtoi(*Source("SELECT pg_relation_filenode('worker_test.t')"), &number));
    work.set_source_filenode(number);
    return work;
  }

  ConnectionString source_string_;
  ConnectionString target_string_;
  std::unique_ptr<CopyConnection> source_;
  std::unique_ptr<CopyConnection> target_;
  std::unique_ptr<CopyConnection> exporter_;
  std::unique_ptr<SlotConnections> connections_;
  BufferRing ring_{4, 64 << 10};
  TaskProgress progress_;
  TaskContext task_;
};

inline constexpr char kTable[] = "CREATE TABLE worker_test.t (id bigint, at timestamptz, v float8, s text)";
inline constexpr char kRows[] =
    "INSERT INTO worker_test.t SELECT i, '2024-01-01Z'::timestamptz + i * interval '1 s', i / 7.0, "
    "CASE WHEN i % 5 <> 0 THEN repeat(E'tab\\t\\\\ line\\n', i % 9) END FROM generate_series(1, 50000) i";

}  // namespace hypershift

#endif  // HYPERSHIFT_TESTS_INTEGRATION_WORKER_TEST_H_
