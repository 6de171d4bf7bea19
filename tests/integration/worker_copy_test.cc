// Tasks run without a coordinator, against real servers: HYPERSHIFT_TEST_SOURCE_URI (PostgreSQL) and
// HYPERSHIFT_TEST_TARGET_URI. Without them the tests are skipped.
//
// Promises: a range's rows and its journal entry commit together or not at all; a stale attempt commits nothing; a
// foreign snapshot or a rewritten table is refused; rows arrive unchanged, whatever their size.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/copy_connection.h"
#include "common/names.h"
#include "common/pg_status.h"
#include "common/source_partitions.h"
#include "worker/compress_task.h"
#include "worker/copy_task.h"
#include "worker/keeper.h"
#include "worker/source_snapshot.h"
#include "worker/statement_task.h"
#include "worker/task_status.h"
#include "worker/verify_task.h"

namespace hypershift {
namespace {

using ::testing::HasSubstr;

constexpr char kJournalSql[] = R"sql(
CREATE SCHEMA IF NOT EXISTS _hypershift;
DROP TABLE IF EXISTS _hypershift.task, _hypershift.leader;
CREATE TABLE _hypershift.task (
  id bigint PRIMARY KEY, attempt int, state text, rows bigint, bytes bigint, digest text, rewritable_digest text,
  session_pid int, session_start timestamptz, started_at timestamptz, finished_at timestamptz, error text,
  sqlstate text);
CREATE TABLE _hypershift.leader (address text, expires_at timestamptz);
DROP SCHEMA IF EXISTS worker_test CASCADE;
CREATE SCHEMA worker_test)sql";

ConnectionString Parse(const char* uri) {
  absl::StatusOr<ConnectionString> parsed = ConnectionString::Parse(uri, "test");
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.value_or(ConnectionString());
}

std::unique_ptr<CopyConnection> Open(const ConnectionString& where, ServerRole role) {
  SessionOptions options;
  options.role = role;
  absl::StatusOr<std::unique_ptr<CopyConnection>> opened = CopyConnection::Open(where, options);
  EXPECT_TRUE(opened.ok()) << opened.status();
  return opened.ok() ? *std::move(opened) : nullptr;
}

// Stands between a client and a server, and cuts the line when it has passed on a COMMIT, before the answer comes back.
class CuttingProxy {
 public:
  explicit CuttingProxy(int port) : server_port_(port) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = Loopback(0);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    socklen_t size = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~CuttingProxy() {
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& thread : pairs_) thread.join();
    close(listener_);
  }
  int port() const { return port_; }
  int cuts() const { return cuts_; }

 private:
  static sockaddr_in Loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  void Accept() {
    while (true) {
      const int client = accept(listener_, nullptr, nullptr);
      if (client < 0) return;
      const int server = socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in address = Loopback(server_port_);
      EXPECT_EQ(connect(server, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
      pairs_.emplace_back([this, client, server] { Pass(client, server); });
    }
  }
  void Pass(int client, int server) {
    std::vector<char> buffer(1 << 16);
    pollfd entries[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    bool open = true;
    while (open && poll(entries, 2, -1) > 0) {
      for (int side = 0; open && side < 2; ++side) {
        if (entries[side].revents == 0) continue;
        const ssize_t size = recv(entries[side].fd, buffer.data(), buffer.size(), 0);
        open = size > 0 && send(entries[1 - side].fd, buffer.data(), static_cast<size_t>(size), MSG_NOSIGNAL) == size;
        const absl::string_view passed(buffer.data(), static_cast<size_t>(std::max<ssize_t>(size, 0)));
        if (side == 0 && passed.find(absl::string_view("COMMIT\0", 7)) != absl::string_view::npos && cuts_ == 0) {
          ++cuts_;
          absl::SleepFor(absl::Milliseconds(300));  // The server commits meanwhile.
          open = false;
        }
      }
    }
    close(client);
    close(server);
  }

  const int server_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> cuts_{0};
  std::thread acceptor_;
  std::vector<std::thread> pairs_;
};

class WorkerCopyTest : public ::testing::Test {
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

constexpr char kTable[] = "CREATE TABLE worker_test.t (id bigint, at timestamptz, v float8, s text)";
constexpr char kRows[] =
    "INSERT INTO worker_test.t SELECT i, '2024-01-01Z'::timestamptz + i * interval '1 s', i / 7.0, "
    "CASE WHEN i % 5 <> 0 THEN repeat(E'tab\\t\\\\ line\\n', i % 9) END FROM generate_series(1, 50000) i";

TEST_F(WorkerCopyTest, RowsAndJournalCommitTogetherInBothFormats) {
  for (const v1::CopyFormat format : {v1::COPY_FORMAT_BINARY, v1::COPY_FORMAT_TEXT}) {
    BothSides("DROP TABLE IF EXISTS worker_test.t");
    BothSides(kTable);
    Source(kRows);
    Target("DELETE FROM _hypershift.task");
    Lease(1, 1);
    const v1::Snapshot snapshot = Snapshot();
    const absl::Status status = RunCopyTask(Work(4, format), snapshot, task_);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(TargetRows(), "50000");
    EXPECT_EQ(Journal("state"), "done");
    EXPECT_EQ(Journal("rows"), "50000");
    EXPECT_EQ(Journal("length(digest)"), "32");
    EXPECT_EQ(Journal("rewritable_digest"), "");
    EXPECT_EQ(Journal("bytes"), absl::StrCat(progress_.bytes.load()));
    EXPECT_EQ(Target("SELECT count(*) FROM worker_test.t JOIN _hypershift.task j ON t.xmin = j.xmin"), "50000");
    const std::string sum = "SELECT md5(string_agg(t::text, ';' ORDER BY id)) FROM worker_test.t";
    EXPECT_EQ(Source(sum), Target(sum));
  }
}

TEST_F(WorkerCopyTest, VerifyFindsTheSameDigestAndAnyChange) {
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  Lease(2, 1);
  v1::CopyWork work = Work(4);
  work.add_rewritable_fields(3);
  ASSERT_TRUE(RunCopyTask(work, Snapshot(), task_).ok());
  const auto copied = Journal("digest || rewritable_digest");
  EXPECT_EQ(copied->size(), 64u);

  v1::VerifyWork verify;
  verify.set_target_sql("COPY (SELECT * FROM worker_test.t ORDER BY random()) TO STDOUT (FORMAT binary)");
  verify.set_format(v1::COPY_FORMAT_BINARY);
  verify.set_field_count(4);
  verify.add_rewritable_fields(3);
  task_.id = 2;
  ASSERT_TRUE(RunVerifyTask(verify, task_).ok());
  EXPECT_EQ(Target("SELECT digest || rewritable_digest FROM _hypershift.task WHERE id = 2"), copied);
  EXPECT_EQ(Target("SELECT rows FROM _hypershift.task WHERE id = 2"), "50000");

  Target("UPDATE worker_test.t SET v = v + 1 WHERE id = 77");
  Lease(3, 1);
  task_.id = 3;
  ASSERT_TRUE(RunVerifyTask(verify, task_).ok());
  EXPECT_NE(Target("SELECT digest FROM _hypershift.task WHERE id = 3"), Journal("digest"));
  EXPECT_EQ(Target("SELECT rewritable_digest FROM _hypershift.task WHERE id = 3"), Journal("rewritable_digest"));
}

TEST_F(WorkerCopyTest, AnEmptyRangeIsDoneToo) {
  BothSides(kTable);
  Lease(1, 1);
  ASSERT_TRUE(RunCopyTask(Work(4), Snapshot(), task_).ok());
  EXPECT_EQ(Journal("state || rows"), "done0");
}

TEST_F(WorkerCopyTest, SettingsAndPrologueBelongToTheTransaction) {
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  v1::CopyWork work = Work(4);
  v1::Setting* setting = work.add_target_settings();
  setting->set_name("synchronous_commit");
  setting->set_value("off");
  setting = work.add_source_settings();
  setting->set_name("work_mem");
  setting->set_value("8MB");
  Target("INSERT INTO worker_test.t VALUES (-1)");
  work.add_target_prologue("LOCK TABLE worker_test.t -- a comment");
  work.add_target_prologue("TRUNCATE worker_test.t");
  work.set_target_sql("COPY worker_test.t FROM STDIN (FORMAT binary, FREEZE)");
  const absl::Status status = RunCopyTask(work, Snapshot(), task_);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(TargetRows(), "50000");
  absl::StatusOr<CopyConnection*> target = connections_->Target();
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(Run(*target, "SHOW synchronous_commit"), "on");
}

TEST_F(WorkerCopyTest, AStaleAttemptCanNotClaim) {
  BothSides(kTable);
  Lease(1, 2);
  const absl::Status status = RunCopyTask(Work(4), Snapshot(), task_);
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_FALSE(TaskIsRetryable(status));
  EXPECT_EQ(Journal("state"), "leased");
  // Its session would be terminated instead of the one that has the lease.
  EXPECT_EQ(Journal("session_pid IS NULL"), "t");
}

TEST_F(WorkerCopyTest, AnAttemptThatBecomesStaleWhileItCopiesCommitsNothing) {
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  v1::CopyWork work = Work(4);
  // The lease is given away between the claim and the end.
  work.clear_source_sql();
  work.add_source_sql(
      "COPY (SELECT t.* FROM worker_test.t, (SELECT pg_sleep(1) OFFSET 0) s) TO STDOUT (FORMAT binary)");
  std::thread coordinator([&] {
    std::unique_ptr<CopyConnection> session = Open(target_string_, ServerRole::kTarget);
    absl::SleepFor(absl::Milliseconds(500));
    Run(session.get(), "UPDATE _hypershift.task SET attempt = 2 WHERE id = 1");
  });
  const absl::Status status = RunCopyTask(work, Snapshot(), task_);
  coordinator.join();
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_EQ(TargetRows(), "0");
  EXPECT_EQ(Journal("state || attempt"), "leased2");
}

TEST_F(WorkerCopyTest, ARewrittenTableIsRefused) {
  BothSides(kTable);
  Source(kRows);
  for (const char* rewrite :
       {"TRUNCATE worker_test.t", "VACUUM FULL worker_test.t", "ALTER TABLE worker_test.t ALTER v TYPE numeric"}) {
    Target("DELETE FROM _hypershift.task");
    Lease(1, 1);
    const v1::CopyWork work = Work(4);
    const v1::Snapshot snapshot = Snapshot();
    Source(rewrite);
    const absl::Status status = RunCopyTask(work, snapshot, task_);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << rewrite << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("TRUNCATE"));
    EXPECT_FALSE(TaskIsRetryable(status));
    connections_->Close();
    EXPECT_EQ(TargetRows(), "0");
    EXPECT_EQ(Journal("state"), "leased");
  }
}

// The same for a partitioned table that is read as one. A new partition does no harm: its rows are of no snapshot
// before it.
TEST_F(WorkerCopyTest, OtherPartitionsThanPlannedAreRefused) {
  Target("CREATE TABLE worker_test.t (k int, v int)");
  const std::vector<std::pair<const char*, bool>> changes = {
      {"CREATE TABLE worker_test.t3 PARTITION OF worker_test.t FOR VALUES IN (3); INSERT INTO worker_test.t VALUES (3, "
       "3)",
       true},
      {"ALTER TABLE worker_test.t ATTACH PARTITION worker_test.beside FOR VALUES IN (4)", false},
      {"ALTER TABLE worker_test.t DETACH PARTITION worker_test.t2", false},
      {"DROP TABLE worker_test.t2", false},
      {"TRUNCATE worker_test.t1", false},
      {"VACUUM FULL worker_test.t2", false},
  };
  for (const auto& [change, harmless] : changes) {
    Source(
        "DROP SCHEMA worker_test CASCADE; CREATE SCHEMA worker_test;"
        "CREATE TABLE worker_test.t (k int, v int) PARTITION BY LIST (k);"
        "CREATE TABLE worker_test.t1 PARTITION OF worker_test.t FOR VALUES IN (1);"
        "CREATE TABLE worker_test.t2 PARTITION OF worker_test.t FOR VALUES IN (2) PARTITION BY RANGE (v);"
        "CREATE TABLE worker_test.t2_all PARTITION OF worker_test.t2 DEFAULT;"
        "CREATE TABLE worker_test.beside (k int, v int); INSERT INTO worker_test.beside VALUES (4, 4);"
        "INSERT INTO worker_test.t SELECT 1 + i % 2, i FROM generate_series(1, 1000) i");
    Target("DELETE FROM _hypershift.task; TRUNCATE worker_test.t");
    Lease(1, 1);
    const v1::Snapshot snapshot = Snapshot();
    v1::CopyWork work = Work(2);
    work.set_source_filenode(0);
    work.set_source_partitions(*Source(SourcePartitionsSql(work.source_oid())));
    Source(change);
    const absl::Status status = RunCopyTask(work, snapshot, task_);
    if (harmless) {
      EXPECT_TRUE(status.ok()) << change << ": " << status;
      EXPECT_EQ(TargetRows(), "1000");
      continue;
    }
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << change << ": " << status;
    EXPECT_FALSE(TaskIsRetryable(status));
    connections_->Close();
    EXPECT_EQ(TargetRows(), "0") << change;
  }
}

TEST_F(WorkerCopyTest, AForeignOrMissingSnapshotIsRefused) {
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  const v1::Snapshot good = Snapshot();
  v1::Snapshot other_rows = good;
  other_rows.set_current_snapshot("1:1:");
  v1::Snapshot other_server = good;
  other_server.set_postmaster_start("2020-01-01 00:00:00+00");
  v1::Snapshot gone = good;
  gone.set_id("00000003-7FFFFFFF-1");
  v1::Snapshot hostile = good;
  hostile.set_id("x'; DROP TABLE worker_test.t; --");
  for (const v1::Snapshot& snapshot : {other_rows, other_server, gone, hostile}) {
    const absl::Status status = RunCopyTask(Work(4), snapshot, task_);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_TRUE(TaskIsRetryable(status));
    connections_->Close();
  }
  EXPECT_EQ(TargetRows(), "0");
  EXPECT_TRUE(RunCopyTask(Work(4), good, task_).ok());
}

TEST_F(WorkerCopyTest, AKilledSourceBackendIsRetryableAndLeavesNothing) {
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  v1::CopyWork work = Work(4);
  work.clear_source_sql();
  work.add_source_sql(
      "COPY (SELECT t.* FROM worker_test.t, generate_series(1, 1000) ORDER BY 0 + 0 OFFSET 0) TO STDOUT (FORMAT "
      "binary)");
  std::thread killer([&] {
    std::unique_ptr<CopyConnection> session = Open(source_string_, ServerRole::kSource);
    while (progress_.rows < 100000) absl::SleepFor(absl::Milliseconds(1));
    Run(session.get(),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'worker_copy_test'");
  });
  const absl::Status status = RunCopyTask(work, Snapshot(), task_);
  killer.join();
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(TaskIsRetryable(status)) << status;
  connections_->Close();
  EXPECT_EQ(TargetRows(), "0");
  EXPECT_EQ(Journal("state"), "leased");
  // The same slot copies the range with its next attempt.
  EXPECT_TRUE(RunCopyTask(Work(4), Snapshot(), task_).ok());
  EXPECT_EQ(TargetRows(), "50000");
}

TEST_F(WorkerCopyTest, ATargetErrorStopsTheSourceAndIsTheOneReported) {
  Source(kTable);
  Source(kRows);
  Target("CREATE TABLE worker_test.t (id bigint CHECK (id <> 3), at timestamptz, v float8, s text)");
  Lease(1, 1);
  v1::CopyWork work = Work(4);
  work.clear_source_sql();
  work.add_source_sql("COPY (SELECT t.* FROM worker_test.t, generate_series(1, 100000)) TO STDOUT (FORMAT binary)");
  const absl::Time begin = absl::Now();
  const absl::Status status = RunCopyTask(work, Snapshot(), task_);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(20));
  EXPECT_EQ(SqlState(status), "23514") << status;
  EXPECT_FALSE(TaskIsRetryable(status));
  connections_->Close();
  EXPECT_EQ(TargetRows(), "0");
}

TEST_F(WorkerCopyTest, RowsDroppedByATriggerAreNoticed) {
  BothSides(kTable);
  Source(kRows);
  Target(R"sql(
CREATE FUNCTION worker_test.skip() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN IF NEW.id = 5 THEN RETURN NULL; END IF; RETURN NEW; END $$;
CREATE TRIGGER skip BEFORE INSERT ON worker_test.t FOR EACH ROW EXECUTE FUNCTION worker_test.skip())sql");
  Lease(1, 1);
  const absl::Status status = RunCopyTask(Work(4), Snapshot(), task_);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  connections_->Close();
  EXPECT_EQ(TargetRows(), "0");
}

TEST_F(WorkerCopyTest, ARowOfAHundredMegabytes) {
  BothSides("CREATE TABLE worker_test.t (id bigint, s text)");
  Source("ALTER TABLE worker_test.t ALTER s SET STORAGE EXTERNAL");
  Source("INSERT INTO worker_test.t VALUES (1, 'small'), (2, repeat('0123456789', 10 * 1000 * 1000)), (3, 'small')");
  Lease(1, 1);
  const absl::Status status = RunCopyTask(Work(2), Snapshot(), task_);
  ASSERT_TRUE(status.ok()) << status;
  const std::string sum = "SELECT string_agg(md5(s), ',' ORDER BY id) FROM worker_test.t";
  EXPECT_EQ(Source(sum), Target(sum));
}

TEST_F(WorkerCopyTest, CancellingEndsAnAttemptThatWaits) {
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  v1::CopyWork work = Work(4);
  work.clear_source_sql();
  work.add_source_sql(
      "COPY (SELECT t.* FROM worker_test.t, (SELECT pg_sleep(60) OFFSET 0) s) TO STDOUT (FORMAT binary)");
  std::thread revoker([&] {
    absl::SleepFor(absl::Milliseconds(500));
    progress_.cancelled = true;
    connections_->Cancel();
  });
  const absl::Time begin = absl::Now();
  const absl::Status status = RunCopyTask(work, Snapshot(), task_);
  revoker.join();
  EXPECT_FALSE(status.ok());
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  connections_->Close();
  EXPECT_EQ(TargetRows(), "0");
}

TEST_F(WorkerCopyTest, ALostAnswerToCommitIsResolvedByTheJournal) {
  int port = 5432;
  const std::string text = target_string_.Get("port");
  if (!text.empty()) {
    ASSERT_TRUE(absl::SimpleAtoi(text, &port));
  }
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  CuttingProxy proxy(port);
  connections_ = std::make_unique<SlotConnections>(
      source_string_,
      target_string_.With("host", "127.0.0.1").With("port", absl::StrCat(proxy.port())).With("sslmode", "disable"),
      "worker_copy_test");
  task_.connections = connections_.get();
  const absl::Status status = RunCopyTask(Work(4), Snapshot(), task_);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(proxy.cuts(), 1);
  EXPECT_EQ(TargetRows(), "50000");
  EXPECT_EQ(Journal("state"), "done");
  connections_.reset();
}

TEST_F(WorkerCopyTest, StatementsCommitWithTheirEntryOrNotAtAll) {
  Lease(1, 1);
  v1::StatementWork work;
  work.add_statements("CREATE TABLE worker_test.made (id int)");
  work.add_statements("CREATE INDEX made_id ON worker_test.made (id)");
  ASSERT_TRUE(RunStatementTask(work, task_).ok());
  EXPECT_EQ(Journal("state"), "done");

  Lease(2, 1);
  task_.id = 2;
  v1::StatementWork bad;
  bad.add_statements("CREATE TABLE worker_test.half (id int)");
  bad.add_statements("CREATE INDEX ON worker_test.missing (id)");
  const absl::Status status = RunStatementTask(bad, task_);
  EXPECT_EQ(SqlState(status), "42P01") << status;
  connections_->Close();
  EXPECT_EQ(Target("SELECT to_regclass('worker_test.half')"), std::nullopt);
  EXPECT_EQ(Target("SELECT state FROM _hypershift.task WHERE id = 2"), "leased");
}

TEST_F(WorkerCopyTest, CompressBringsEveryChunkOfASliceToStatusOne) {
  if (Target("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") != "1")
    GTEST_SKIP() << "no TimescaleDB";
  const auto schema = Target(
      "SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace "
      "WHERE extname = 'timescaledb'");
  Target(
      absl::StrCat("CREATE TABLE worker_test.h (at timestamptz NOT NULL, device int, v float8); SELECT ", *schema,
                   ".create_hypertable('worker_test.h', 'at', chunk_time_interval => interval '1 day'); SELECT ",
                   *schema, ".add_dimension('worker_test.h', 'device', number_partitions => 2);",
                   "ALTER TABLE worker_test.h SET (timescaledb.compress, timescaledb.compress_segmentby = 'device')"));
  const std::string fill =
      "INSERT INTO worker_test.h SELECT '2024-01-01Z'::timestamptz + i * interval '1 minute', i % 7, i "
      "FROM generate_series(0, 4319) i";
  Target(fill);
  const std::string states =
      "SELECT string_agg(c.status::text, ',' ORDER BY c.id) FROM _timescaledb_catalog.chunk c JOIN "
      "_timescaledb_catalog.hypertable h ON h.id = hypertable_id WHERE h.table_name = 'h' AND h.schema_name = "
      "'worker_test'";
  EXPECT_EQ(Target(states), "0,0,0,0,0,0");

  v1::CompressWork work;
  work.set_hypertable_schema("worker_test");
  work.set_hypertable_name("h");
  constexpr int64_t kDay = 86400000000;
  work.set_range_start(1704067200000000);  // 2024-01-01
  work.set_range_end(work.range_start() + kDay);
  Lease(1, 1);
  const absl::Status status = RunCompressTask(work, task_);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(Target(states), "1,1,0,0,0,0");
  EXPECT_EQ(Journal("state"), "done");

  Target(fill);  // Compressed chunks now have rows in the row store as well.
  work.set_range_start(INT64_MIN);
  work.set_range_end(1704067200000000 + 2 * kDay);
  Lease(2, 1);
  task_.id = 2;
  ASSERT_TRUE(RunCompressTask(work, task_).ok());
  EXPECT_EQ(Target(states), "1,1,1,1,0,0");

  work.set_range_start(1);  // No such chunk.
  work.set_range_end(2);
  Lease(3, 1);
  task_.id = 3;
  EXPECT_TRUE(RunCompressTask(work, task_).ok());
  EXPECT_EQ(Target("SELECT count(*) FROM worker_test.h"), "8640");
}

TEST_F(WorkerCopyTest, TheKeeperOutlivesTheExporterAndNoticesItsLoss) {
  BothSides(kTable);
  Source(kRows);
  Lease(1, 1);
  Keeper keeper(source_string_, "test");
  EXPECT_TRUE(keeper.wants_snapshot());
  const v1::Snapshot offered = Snapshot();
  keeper.Offer(offered);
  const std::optional<v1::Snapshot> held = keeper.WaitForSnapshot(absl::Seconds(10));
  ASSERT_TRUE(held.has_value());
  EXPECT_FALSE(keeper.wants_snapshot());
  EXPECT_NE(held->id(), offered.id());
  EXPECT_EQ(held->current_snapshot(), offered.current_snapshot());
  EXPECT_EQ(held->postmaster_start(), offered.postmaster_start());

  exporter_.reset();
  Source("DELETE FROM worker_test.t");
  ASSERT_TRUE(RunCopyTask(Work(4), *held, task_).ok());
  EXPECT_EQ(TargetRows(), "50000");

  Source("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hypershift keeper'");
  keeper.CheckNow();
  for (int i = 0; i < 100 && keeper.snapshot().has_value(); ++i) absl::SleepFor(absl::Milliseconds(100));
  EXPECT_FALSE(keeper.snapshot().has_value());
  EXPECT_TRUE(keeper.wants_snapshot());

  keeper.Offer(Snapshot());
  EXPECT_TRUE(keeper.WaitForSnapshot(absl::Seconds(10)).has_value());
  keeper.Release();
  EXPECT_FALSE(keeper.snapshot().has_value());
  EXPECT_FALSE(keeper.wants_snapshot());
}

}  // namespace
}  // namespace hypershift
