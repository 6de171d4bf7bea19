// PgSession, CopyReader and CopyWriter against a real server.
//
// HYPERSHIFT_TEST_SOURCE_URI names a PostgreSQL 15 or newer and a superuser; without it every test is skipped. Each
// test works in a schema of its own and drops it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>

#include "common/connection_string.h"
#include "common/copy_connection.h"
#include "common/pg_session.h"

namespace hypershift {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class PgTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* uri = std::getenv("HYPERSHIFT_TEST_SOURCE_URI");
    if (uri == nullptr) GTEST_SKIP() << "HYPERSHIFT_TEST_SOURCE_URI is not set";
    auto parsed = ConnectionString::Parse(uri, "source");
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    where_ = *parsed;
    schema_ = "common_pg_test_" + std::to_string(getpid());
    session_ = OpenSession();
    Must("DROP SCHEMA IF EXISTS " + schema_ + " CASCADE");
    Must("CREATE SCHEMA " + schema_);
    Must("CREATE TABLE " + Table() + " (id int PRIMARY KEY, note text)");
  }

  void TearDown() override {
    if (session_ != nullptr) Must("DROP SCHEMA " + schema_ + " CASCADE");
  }

  std::unique_ptr<PgSession> OpenSession(SessionOptions options = {}) {
    auto session = PgSession::Open(where_, options);
    EXPECT_TRUE(session.ok()) << session.status();
    return session.ok() ? *std::move(session) : nullptr;
  }

  std::unique_ptr<CopyConnection> OpenCopy(SessionOptions options = {}) {
    auto connection = CopyConnection::Open(where_, options);
    EXPECT_TRUE(connection.ok()) << connection.status();
    return connection.ok() ? *std::move(connection) : nullptr;
  }

  void Must(const std::string& sql) {
    const auto result = session_->Query(sql);
    ASSERT_TRUE(result.ok()) << sql << ": " << result.status();
  }

  std::string Value(const std::string& sql) {
    const auto result = session_->Query(sql);
    EXPECT_TRUE(result.ok()) << sql << ": " << result.status();
    return result.ok() ? (*result)[0][0].c_str() : "";
  }

  std::string Table() const { return schema_ + ".item"; }
  std::string CopyIn() const { return "COPY " + Table() + " FROM STDIN"; }

  ConnectionString where_;
  std::string schema_;
  std::unique_ptr<PgSession> session_;
};

// Values look the same on every server, whatever its or the role's settings say.
TEST_F(PgTest, SessionPinsWhatRowsLookLike) {
  const auto where = where_.With("options", "-c timezone=Asia/Tokyo -c datestyle=German -c extra_float_digits=0");
  const auto session = PgSession::Open(where, {});
  ASSERT_TRUE(session.ok()) << session.status();
  const auto row = (*session)->Query(
      "SELECT timestamptz '2026-01-02 03:04:05+00'::text, interval '1 day 2:00'::text, (0.1::float8 + 0.2)::text,"
      " '\\x00ff'::bytea::text, current_setting('client_encoding'), current_setting('search_path')");
  ASSERT_TRUE(row.ok()) << row.status();
  EXPECT_STREQ((*row)[0][0].c_str(), "2026-01-02 03:04:05+00");
  EXPECT_STREQ((*row)[0][1].c_str(), "1 day 02:00:00");
  EXPECT_STREQ((*row)[0][2].c_str(), "0.30000000000000004");
  EXPECT_STREQ((*row)[0][3].c_str(), "\\x00ff");
  EXPECT_STREQ((*row)[0][4].c_str(), "UTF8");
  EXPECT_STREQ((*row)[0][5].c_str(), "\"\"");
}

// A role's time limits can't cut a copy off.
TEST_F(PgTest, SessionLiftsEveryTimeout) {
  const auto where = where_.With("options", "-c statement_timeout=1000 -c idle_in_transaction_session_timeout=1000");
  SessionOptions options;
  options.role = ServerRole::kTarget;
  options.lock_timeout = absl::Seconds(7);
  const auto session = PgSession::Open(where, options);
  ASSERT_TRUE(session.ok()) << session.status();
  const auto rows = (*session)->Query(
      "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('statement_timeout', 'lock_timeout',"
      " 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_GE(rows->size(), 3u);
  for (const auto& row : *rows) {
    const std::string name = row[0].c_str();
    EXPECT_STREQ(row[1].c_str(), name == "lock_timeout" ? "7000" : "0") << name;
  }
}

// A role that may not see every row of the source fails; it does not copy fewer rows.
TEST_F(PgTest, RowSecurityIsAnErrorOnTheSource) {
  const std::string role = schema_ + "_role";
  Must("ALTER TABLE " + Table() + " ENABLE ROW LEVEL SECURITY");
  Must("DROP ROLE IF EXISTS " + role);
  Must("CREATE ROLE " + role);
  Must("GRANT USAGE ON SCHEMA " + schema_ + " TO " + role);
  Must("GRANT SELECT ON " + Table() + " TO " + role);
  const auto copy = OpenCopy();
  ASSERT_TRUE(copy->Execute("SET ROLE " + role).ok());
  auto reader = CopyReader::Start(copy.get(), "COPY " + Table() + " TO STDOUT");
  EXPECT_EQ(SqlState(reader.status()), "42501") << reader.status();
  ASSERT_TRUE(copy->Execute("RESET ROLE").ok());
  Must("DROP OWNED BY " + role);
  Must("DROP ROLE " + role);
}

TEST_F(PgTest, OpenTellsApartWhatIsWrongAndShowsNoPassword) {
  struct Case {
    ConnectionString where;
    absl::StatusCode code;
    const char* sqlstate;
  };
  const auto with_password = ConnectionString::Parse(where_.WithoutPassword(), "source", Secret("canary-17"));
  ASSERT_TRUE(with_password.ok());
  const Case cases[] = {
      {with_password->With("user", "no_such_role"), absl::StatusCode::kUnauthenticated, "28"},
      {where_.WithDatabase("no_such_database"), absl::StatusCode::kNotFound, "3D000"},
      {with_password->With("host", "127.0.0.1").With("port", "1"), absl::StatusCode::kUnavailable, ""},
      {with_password->With("host", "host.invalid"), absl::StatusCode::kUnavailable, ""},
  };
  for (const Case& test : cases) {
    const absl::Status session = PgSession::Open(test.where, {}).status();
    const absl::Status copy = CopyConnection::Open(test.where, {}).status();
    for (const absl::Status& status : {session, copy}) {
      EXPECT_EQ(status.code(), test.code) << status;
      EXPECT_THAT(SqlState(status), StartsWith(test.sqlstate));
      const std::string message(status.message());
      EXPECT_THAT(message, StartsWith("source: cannot connect to " + test.where.Display() + ": "));
      EXPECT_THAT(message, Not(HasSubstr("canary")));
      EXPECT_THAT(message, Not(HasSubstr("\n")));
      EXPECT_THAT(message, Not(HasSubstr("LOCATION")));
    }
    EXPECT_EQ(session.message(), copy.message());
  }
}

TEST_F(PgTest, QueryBindsParametersAndMapsErrors) {
  const auto good = session_->Query("SELECT $1::int + 1, $2::text", 41, std::string("it's"));
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_EQ((*good)[0][0].as<int>(), 42);
  EXPECT_STREQ((*good)[0][1].c_str(), "it's");
  const absl::Status missing = session_->Query("SELECT 1 FROM no_such_table WHERE 'canary' <> ''").status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_EQ(SqlState(missing), "42P01");
  EXPECT_THAT(std::string(missing.message()), Not(HasSubstr("canary")));
  EXPECT_TRUE(absl::IsAlreadyExists(session_->Query("INSERT INTO " + Table() + " VALUES (1), (1)").status()));
  EXPECT_FALSE(session_->broken());
}

TEST_F(PgTest, TransactionRollsBackUnlessItsBodyIsOk) {
  const auto insert = [this](pqxx::work& work) {
    PgSession::Run(work, "INSERT INTO " + Table() + " VALUES ($1)", 1);
    return absl::OkStatus();
  };
  const absl::Status refused = session_->Transaction([&](pqxx::work& work) {
    insert(work).IgnoreError();
    return absl::AbortedError("stale attempt");
  });
  EXPECT_EQ(refused, absl::AbortedError("stale attempt"));
  EXPECT_EQ(Value("SELECT count(*) FROM " + Table()), "0");
  const absl::Status failed = session_->Transaction([&](pqxx::work& work) {
    insert(work).IgnoreError();
    return insert(work);
  });
  EXPECT_EQ(SqlState(failed), "23505");
  EXPECT_EQ(Value("SELECT count(*) FROM " + Table()), "0");
  EXPECT_TRUE(session_->Transaction(insert).ok());
  EXPECT_EQ(Value("SELECT count(*) FROM " + Table()), "1");
}

// A session that reconnected behind our back would have lost its snapshot and its settings.
TEST_F(PgTest, SessionIsBrokenForGoodWhenTheServerEndsIt) {
  const auto victim = OpenSession();
  const auto pid = victim->Query("SELECT pg_backend_pid()");
  ASSERT_TRUE(pid.ok());
  ASSERT_TRUE(session_->Query("SELECT pg_terminate_backend($1, 5000)", (*pid)[0][0].as<int>()).ok());
  const absl::Status status = victim->Query("SELECT 1").status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(IsRetryable(status));
  EXPECT_TRUE(victim->broken());
  EXPECT_TRUE(absl::IsUnavailable(victim->Query("SELECT 1").status()));
  EXPECT_TRUE(absl::IsUnavailable(victim->Transaction([](pqxx::work&) { return absl::OkStatus(); })));
}

// A COMMIT without an answer is neither a success nor a failure. The deferred trigger ends the session inside COMMIT.
TEST_F(PgTest, ConnectionLostInCommitIsInDoubt) {
  Must("CREATE FUNCTION " + schema_ +
       ".die() RETURNS trigger LANGUAGE plpgsql AS "
       "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$");
  Must("CREATE CONSTRAINT TRIGGER die AFTER INSERT ON " + Table() +
       " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION " + schema_ + ".die()");
  const auto victim = OpenSession();
  const absl::Status status = victim->Transaction([&](pqxx::work& work) {
    PgSession::Run(work, "INSERT INTO " + Table() + " VALUES (1)");
    return absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsUnknown(status)) << status;
}

TEST_F(PgTest, ExecuteReturnsFirstRowAndAffectedRows) {
  const auto copy = OpenCopy();
  const auto row = copy->Execute("SELECT 1; SELECT 'a', NULL, '' UNION ALL SELECT 'b', NULL, ''");
  ASSERT_TRUE(row.ok()) << row.status();
  EXPECT_THAT(*row, ElementsAre(std::optional<std::string>("a"), std::nullopt, std::optional<std::string>("")));
  int64_t rows = -1;
  const auto inserted =
      copy->Execute("INSERT INTO " + Table() + " SELECT g FROM generate_series(1, $1::int) g", {"3"}, &rows);
  ASSERT_TRUE(inserted.ok()) << inserted.status();
  EXPECT_TRUE(inserted->empty());
  EXPECT_EQ(rows, 3);
}

TEST_F(PgTest, ExecuteAndCopiesRefuseTheWrongStatementAndStayUsable) {
  const auto copy = OpenCopy();
  EXPECT_TRUE(absl::IsInvalidArgument(copy->Execute(CopyIn()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(copy->Execute("COPY " + Table() + " TO STDOUT").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(CopyReader::Start(copy.get(), CopyIn()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(CopyReader::Start(copy.get(), "SELECT 1").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(CopyWriter::Start(copy.get(), "COPY " + Table() + " TO STDOUT").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(CopyWriter::Start(copy.get(), "SELECT 1").status()));
  EXPECT_TRUE(copy->Execute("SELECT 1").ok());
  auto writer = CopyWriter::Start(copy.get(), CopyIn());
  ASSERT_TRUE(writer.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(copy->Execute("SELECT 1").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(CopyWriter::Start(copy.get(), CopyIn()).status()));
}

// What one connection reads, another writes, bytes cut anywhere: the rows are the same.
TEST_F(PgTest, BinaryCopyMovesRowsUnchanged) {
  Must("INSERT INTO " + Table() +
       " SELECT g, CASE WHEN g % 3 > 0 THEN repeat(chr(233), g) END"
       " FROM generate_series(1, 2000) g");
  Must("CREATE TABLE " + schema_ + ".moved (LIKE " + Table() + ")");
  const auto from = OpenCopy();
  const auto to = OpenCopy();
  auto reader = CopyReader::Start(from.get(), "COPY " + Table() + " TO STDOUT (FORMAT binary)");
  ASSERT_TRUE(reader.ok()) << reader.status();
  auto writer = CopyWriter::Start(to.get(), "COPY " + schema_ + ".moved FROM STDIN (FORMAT binary)");
  ASSERT_TRUE(writer.ok()) << writer.status();
  while (true) {
    const auto message = reader->Next();
    ASSERT_TRUE(message.ok()) << message.status();
    if (!message->has_value()) break;
    const absl::string_view bytes = **message;
    ASSERT_TRUE(writer->Write(bytes.substr(0, bytes.size() / 3)).ok());
    ASSERT_TRUE(writer->Write(bytes.substr(bytes.size() / 3)).ok());
  }
  const auto again = reader->Next();
  EXPECT_TRUE(again.ok() && !again->has_value());
  const auto rows = writer->Finish();
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(*rows, 2000);
  EXPECT_EQ(Value("SELECT count(*) FROM (TABLE " + Table() + " EXCEPT TABLE " + schema_ + ".moved) d"), "0");
}

TEST_F(PgTest, WriteTakesMoreThanAnyBufferInOneCall) {
  std::string bytes = "1\t";
  bytes.append(40 << 20, 'x');
  bytes += "\n";
  const auto copy = OpenCopy();
  auto writer = CopyWriter::Start(copy.get(), CopyIn());
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->Write(bytes).ok());
  const auto rows = writer->Finish();
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(Value("SELECT length(note) FROM " + Table()), std::to_string(40 << 20));
}

// A COPY that was not finished leaves nothing behind, even outside a transaction block.
TEST_F(PgTest, WriterThatIsDroppedCommitsNothing) {
  const auto copy = OpenCopy();
  {
    auto writer = CopyWriter::Start(copy.get(), CopyIn());
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->Write("1\ta\n2\tb\n").ok());
    const CopyWriter moved = *std::move(writer);
  }
  EXPECT_EQ(Value("SELECT count(*) FROM " + Table()), "0");
  EXPECT_TRUE(copy->Execute("SELECT 1").ok());
}

// A bad row is reported with its SQLSTATE and place, while the range is being sent: not after all of it. (Over TLS
// only at the end, hence no TLS here.)
TEST_F(PgTest, WriterLearnsOfAnErrorWhileItSends) {
  auto copy = CopyConnection::Open(where_.With("sslmode", "disable"), {});
  ASSERT_TRUE(copy.ok()) << copy.status();
  auto writer = CopyWriter::Start(copy->get(), CopyIn());
  ASSERT_TRUE(writer.ok());
  std::string rows;
  for (int i = 0; i < 1000; ++i) rows += "1\tthe same key again\n";
  constexpr int kLimit = 20000;
  absl::Status status;
  int writes = 0;
  while (status.ok() && ++writes < kLimit) status = writer->Write(rows);
  EXPECT_LT(writes, kLimit / 10);
  EXPECT_EQ(SqlState(status), "23505") << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("COPY item, line 2"));
  EXPECT_EQ(writer->Write("2\tx\n"), status);
  EXPECT_EQ(writer->Finish().status(), status);
  EXPECT_TRUE((*copy)->Execute("SELECT 1").ok());
}

TEST_F(PgTest, FinishReportsTheServersError) {
  const auto copy = OpenCopy();
  auto writer = CopyWriter::Start(copy.get(), CopyIn());
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->Write("not a number\tx\n").ok());
  const absl::Status status = writer->Finish().status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(SqlState(status), "22P02");
  EXPECT_FALSE(IsRetryable(status));
}

// Notices in mid-COPY, thousands of them, neither end the COPY nor fill the pipes until both sides wait for ever.
TEST_F(PgTest, WriterSurvivesAFloodOfNotices) {
  Must("CREATE FUNCTION " + schema_ +
       ".talk() RETURNS trigger LANGUAGE plpgsql AS "
       "$$ BEGIN RAISE WARNING '%', repeat('x', 1000); RETURN NEW; END $$");
  Must("CREATE TRIGGER talk BEFORE INSERT ON " + Table() + " FOR EACH ROW EXECUTE FUNCTION " + schema_ + ".talk()");
  const auto copy = OpenCopy();
  ASSERT_TRUE(copy->Execute("SET client_min_messages = warning").ok());
  auto writer = CopyWriter::Start(copy.get(), CopyIn());
  ASSERT_TRUE(writer.ok());
  for (int i = 0; i < 30000; ++i) {
    ASSERT_TRUE(writer->Write(std::to_string(i) + "\t" + std::string(200, 'y') + "\n").ok());
  }
  const auto rows = writer->Finish();
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(*rows, 30000);
}

// A server that takes no data for longer than a dead peer would be borne is waited for. Takes 35 s.
TEST_F(PgTest, WriterWaitsForABusyServer) {
  Must("CREATE FUNCTION " + schema_ +
       ".wait() RETURNS trigger LANGUAGE plpgsql AS "
       "$$ BEGIN IF NEW.id = 0 THEN PERFORM pg_sleep(35); END IF; RETURN NEW; END $$");
  Must("CREATE TRIGGER wait BEFORE INSERT ON " + Table() + " FOR EACH ROW EXECUTE FUNCTION " + schema_ + ".wait()");
  const auto copy = OpenCopy();
  auto writer = CopyWriter::Start(copy.get(), CopyIn());
  ASSERT_TRUE(writer.ok());
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(writer->Write(std::to_string(i) + "\t" + std::string(1 << 20, 'y') + "\n").ok());
  }
  const auto rows = writer->Finish();
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(*rows, 100);
}

TEST_F(PgTest, WriterNoticesThatItsSessionWasTerminated) {
  const auto copy = OpenCopy();
  const auto pid = copy->Execute("SELECT pg_backend_pid()");
  ASSERT_TRUE(pid.ok());
  auto writer = CopyWriter::Start(copy.get(), CopyIn());
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->Write("1\tx\n").ok());
  ASSERT_TRUE(session_->Query("SELECT pg_terminate_backend($1, 5000)", *(*pid)[0]).ok());
  const absl::Status status = writer->Write(std::string(1 << 20, 'x'));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(SqlState(status), "57P01");
  EXPECT_TRUE(copy->broken());
  EXPECT_TRUE(absl::IsUnavailable(copy->Execute("SELECT 1").status()));
}

// The connection is free as soon as a reader is gone, long before the source would have sent everything.
TEST_F(PgTest, ReaderThatIsDroppedFreesItsConnection) {
  const auto copy = OpenCopy();
  {
    auto reader = CopyReader::Start(copy.get(), "COPY (SELECT generate_series(1, 2000000000)) TO STDOUT");
    ASSERT_TRUE(reader.ok());
    CopyReader moved = *std::move(reader);
    ASSERT_TRUE(moved.Next().ok());
  }
  EXPECT_TRUE(copy->Execute("SELECT 1").ok());
}

// An error after some rows is never taken for the end of the data.
TEST_F(PgTest, ReaderReportsAnErrorInMidCopy) {
  const auto copy = OpenCopy();
  auto reader = CopyReader::Start(copy.get(), "COPY (SELECT 1 / (5000 - g) FROM generate_series(1, 9000) g) TO STDOUT");
  ASSERT_TRUE(reader.ok());
  absl::Status status;
  int rows = 0;
  while (status.ok()) {
    const auto row = reader->Next();
    status = row.status();
    if (row.ok()) {
      ASSERT_TRUE(row->has_value());
      ++rows;
    }
  }
  EXPECT_EQ(rows, 4999);
  EXPECT_EQ(SqlState(status), "22012");
  EXPECT_EQ(reader->Next().status(), status);
  EXPECT_TRUE(copy->Execute("SELECT 1").ok());
}

TEST_F(PgTest, ReaderReportsALostConnection) {
  const auto copy = OpenCopy();
  const auto pid = copy->Execute("SELECT pg_backend_pid()");
  auto reader =
      CopyReader::Start(copy.get(), "COPY (SELECT generate_series(1, 2000000000), repeat('x', 1000)) TO STDOUT");
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE(reader->Next().ok());
  ASSERT_TRUE(session_->Query("SELECT pg_terminate_backend($1)", *(*pid)[0]).ok());
  absl::Status status;
  while (status.ok()) status = reader->Next().status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(copy->broken());
}

TEST_F(PgTest, CancelFromAnotherThreadEndsAStatement) {
  const auto copy = OpenCopy();
  std::atomic<bool> done = false;
  std::thread canceller([&] {
    while (!done) {
      copy->Cancel();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  const absl::Status status = copy->Execute("SELECT pg_sleep(60)").status();
  done = true;
  canceller.join();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(SqlState(status), "57014");
}

}  // namespace
}  // namespace hypershift
