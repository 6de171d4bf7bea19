// Promise: what the worker and the coordinator do with a target works through the embedded TimescaleDB's wire server,
// as libpq and libpqxx see it.
//
// The server's address is read from the environment variable
// HYPERSHIFT_EMBEDDED_URI, for example
// postgresql://postgres@127.0.0.1:5433/postgres.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <pqxx/pqxx>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace hypershift {
namespace {

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;
using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

constexpr int kColumns = 2;

class EmbeddedWireTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* uri = std::getenv("HYPERSHIFT_EMBEDDED_URI");
    ASSERT_TRUE(uri != nullptr && *uri != '\0')
        << "HYPERSHIFT_EMBEDDED_URI is unset: start embedded/bin/embedded-timescaledb and set it to the server's URI";
    uri_ = uri;
  }

  Connection Connect() const {
    Connection connection(PQconnectdb(uri_.c_str()), &PQfinish);
    EXPECT_EQ(PQstatus(connection.get()), CONNECTION_OK) << PQerrorMessage(connection.get());
    return connection;
  }

  static Result Exec(PGconn* connection, const std::string& sql) {
    return Result(PQexec(connection, sql.c_str()), &PQclear);
  }

  // Runs SQL that must succeed; returns the first value, if there is one.
  static std::string Value(PGconn* connection, const std::string& sql) {
    const Result result = Exec(connection, sql);
    const ExecStatusType status = PQresultStatus(result.get());
    EXPECT_TRUE(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) << sql << ": " << PQerrorMessage(connection);
    return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
  }

  static std::string Sqlstate(const Result& result) {
    const char* sqlstate = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
    return sqlstate == nullptr ? "" : sqlstate;
  }

  // Makes the table (n int, t text) empty.
  static void Recreate(PGconn* connection, const std::string& table) {
    Value(connection, "DROP TABLE IF EXISTS " + table);
    Value(connection, "CREATE TABLE " + table + " (n int, t text)");
  }

  std::string uri_;
};

template <typename Integer>
void AppendBigEndian(Integer value, std::string* out) {
  for (int shift = 8 * (sizeof(Integer) - 1); shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(static_cast<uint64_t>(value) >> shift));
  }
}

std::string BinaryCopyHeader() {
  std::string header("PGCOPY\n\377\r\n\0", 11);
  AppendBigEndian<int32_t>(0, &header);  // flags
  AppendBigEndian<int32_t>(0, &header);  // extension
  return header;
}

// One row of (n int, t text).
std::string BinaryTuple(int32_t n, std::string_view text) {
  std::string tuple;
  AppendBigEndian<int16_t>(kColumns, &tuple);
  AppendBigEndian<int32_t>(sizeof n, &tuple);
  AppendBigEndian<int32_t>(n, &tuple);
  AppendBigEndian<int32_t>(static_cast<int32_t>(text.size()), &tuple);
  tuple.append(text);
  return tuple;
}

std::string BinaryCopyTrailer() {
  std::string trailer;
  AppendBigEndian<int16_t>(-1, &trailer);
  return trailer;
}

std::string BinaryRows(int rows) {
  std::string data = BinaryCopyHeader();
  for (int n = 0; n < rows; ++n) data += BinaryTuple(n, "row " + std::to_string(n));
  return data + BinaryCopyTrailer();
}

// Sends data in messages of message_bytes; returns the COPY's result.
Result CopyIn(PGconn* connection, const std::string& sql, std::string_view data, size_t message_bytes) {
  Result begin(PQexec(connection, sql.c_str()), &PQclear);
  EXPECT_EQ(PQresultStatus(begin.get()), PGRES_COPY_IN) << PQerrorMessage(connection);
  for (size_t at = 0; at < data.size(); at += message_bytes) {
    const std::string_view piece = data.substr(at, message_bytes);
    EXPECT_EQ(PQputCopyData(connection, piece.data(), static_cast<int>(piece.size())), 1);
  }
  EXPECT_EQ(PQputCopyEnd(connection, nullptr), 1);
  Result end(PQgetResult(connection), &PQclear);
  EXPECT_EQ(PQgetResult(connection), nullptr);
  return end;
}

std::string CopyOut(PGconn* connection, const std::string& sql) {
  const Result begin(PQexec(connection, sql.c_str()), &PQclear);
  EXPECT_EQ(PQresultStatus(begin.get()), PGRES_COPY_OUT) << PQerrorMessage(connection);
  std::string data;
  char* row = nullptr;
  for (int length; (length = PQgetCopyData(connection, &row, 0)) > 0;) {
    data.append(row, static_cast<size_t>(length));
    PQfreemem(row);
  }
  while (const Result end{PQgetResult(connection), &PQclear}) {
    EXPECT_EQ(PQresultStatus(end.get()), PGRES_COMMAND_OK) << PQerrorMessage(connection);
  }
  return data;
}

TEST_F(EmbeddedWireTest, TellsLibpqWhatItIs) {
  const Connection connection = Connect();
  EXPECT_EQ(PQserverVersion(connection.get()) / 10000, 17);
  EXPECT_EQ(PQprotocolVersion(connection.get()), 3);
  EXPECT_STREQ(PQparameterStatus(connection.get(), "integer_datetimes"), "on");
  EXPECT_STREQ(PQparameterStatus(connection.get(), "server_encoding"), "UTF8");
  Value(connection.get(), "SET application_name = 'renamed'");
  EXPECT_STREQ(PQparameterStatus(connection.get(), "application_name"), "renamed");
}

TEST_F(EmbeddedWireTest, BinaryCopyComesBackByteForByte) {
  const Connection connection = Connect();
  Recreate(connection.get(), "wire_copy");
  const std::string data = BinaryRows(10'000);
  for (const size_t message_bytes : {size_t{17}, size_t{8192}, data.size()}) {
    Value(connection.get(), "TRUNCATE wire_copy");
    const Result end = CopyIn(connection.get(), "COPY wire_copy FROM STDIN (FORMAT binary)", data, message_bytes);
    ASSERT_EQ(PQresultStatus(end.get()), PGRES_COMMAND_OK) << PQresultErrorMessage(end.get());
    EXPECT_STREQ(PQcmdTuples(end.get()), "10000");
    EXPECT_EQ(CopyOut(connection.get(), "COPY wire_copy TO STDOUT (FORMAT binary)"), data);
  }
}

TEST_F(EmbeddedWireTest, FailedCopyLeavesNothingAndTheSessionUsable) {
  const Connection connection = Connect();
  Recreate(connection.get(), "wire_failed");
  std::string data = BinaryRows(5'000);
  data.resize(data.size() - 20);  // cut off inside a tuple
  const Result cut = CopyIn(connection.get(), "COPY wire_failed FROM STDIN (FORMAT binary)", data, 1000);
  EXPECT_EQ(Sqlstate(cut), "22P04");

  const Result begin = Exec(connection.get(), "COPY wire_failed FROM STDIN (FORMAT binary)");
  ASSERT_EQ(PQresultStatus(begin.get()), PGRES_COPY_IN);
  EXPECT_EQ(PQputCopyData(connection.get(), data.data(), 1000), 1);
  EXPECT_EQ(PQputCopyEnd(connection.get(), "stopped by the test"), 1);
  const Result stopped(PQgetResult(connection.get()), &PQclear);
  EXPECT_EQ(Sqlstate(stopped), "57014");
  EXPECT_EQ(PQgetResult(connection.get()), nullptr);
  EXPECT_EQ(Value(connection.get(), "SELECT count(*) FROM wire_failed"), "0");
}

TEST_F(EmbeddedWireTest, ConnectionClosedMidCopyRollsBack) {
  const Connection observer = Connect();
  Recreate(observer.get(), "wire_closed");
  {
    const Connection writer = Connect();
    Value(writer.get(), "BEGIN");
    const Result begin = Exec(writer.get(), "COPY wire_closed FROM STDIN (FORMAT binary)");
    ASSERT_EQ(PQresultStatus(begin.get()), PGRES_COPY_IN);
    const std::string data = BinaryRows(1'000);
    EXPECT_EQ(PQputCopyData(writer.get(), data.data(), static_cast<int>(data.size())), 1);
    PQflush(writer.get());
  }
  EXPECT_EQ(Value(observer.get(), "SELECT count(*) FROM wire_closed"), "0");
}

TEST_F(EmbeddedWireTest, ParametersInBinary) {
  const Connection connection = Connect();
  const uint32_t number = htonl(42);
  const char* values[] = {reinterpret_cast<const char*>(&number), nullptr};
  const int lengths[] = {sizeof number, 0};
  const int formats[] = {1, 0};
  const Oid types[] = {23, 25};  // int4, text
  const Result result(PQexecParams(connection.get(), "SELECT $1 + 1, $2 IS NULL", 2, types, values, lengths, formats,
                                   /*resultFormat=*/1),
                      &PQclear);
  ASSERT_EQ(PQresultStatus(result.get()), PGRES_TUPLES_OK) << PQerrorMessage(connection.get());
  uint32_t answer = 0;
  ASSERT_EQ(PQgetlength(result.get(), 0, 0), static_cast<int>(sizeof answer));
  std::memcpy(&answer, PQgetvalue(result.get(), 0, 0), sizeof answer);
  EXPECT_EQ(ntohl(answer), 43u);
}

TEST_F(EmbeddedWireTest, PreparedStatementsOfTheSameNameStayApart) {
  const Connection a = Connect();
  const Connection b = Connect();
  PQclear(PQprepare(a.get(), "same", "SELECT 'a' || $1", 1, nullptr));
  PQclear(PQprepare(b.get(), "same", "SELECT 'b' || $1", 1, nullptr));
  const char* values[] = {"1"};
  for (int round = 0; round < 3; ++round) {
    for (const auto& [connection, expected] : {std::pair{a.get(), "a1"}, std::pair{b.get(), "b1"}}) {
      const Result result(PQexecPrepared(connection, "same", 1, values, nullptr, nullptr, 0), &PQclear);
      ASSERT_EQ(PQresultStatus(result.get()), PGRES_TUPLES_OK) << PQerrorMessage(connection);
      EXPECT_STREQ(PQgetvalue(result.get(), 0, 0), expected);
    }
  }
}

// The statuses of all results of a pipeline up to each Sync.
std::vector<std::vector<ExecStatusType>> PipelineStatuses(PGconn* connection, int syncs) {
  std::vector<std::vector<ExecStatusType>> statuses(1);
  for (int nulls = 0; static_cast<int>(statuses.size()) <= syncs && nulls < 2;) {
    const Result result(PQgetResult(connection), &PQclear);
    if (result == nullptr) {
      ++nulls;
      continue;
    }
    nulls = 0;
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_PIPELINE_SYNC) {
      statuses.emplace_back();
    } else {
      statuses.back().push_back(status);
    }
  }
  statuses.resize(static_cast<size_t>(syncs));
  return statuses;
}

TEST_F(EmbeddedWireTest, PipelineModeSkipsToTheSyncAfterAnError) {
  const Connection connection = Connect();
  Recreate(connection.get(), "wire_pipeline");
  ASSERT_EQ(PQenterPipelineMode(connection.get()), 1);
  const auto send = [&](const char* sql) {
    EXPECT_EQ(PQsendQueryParams(connection.get(), sql, 0, nullptr, nullptr, nullptr, nullptr, 0), 1);
  };
  send("INSERT INTO wire_pipeline VALUES (1)");
  send("SELECT 1 / 0");
  send("INSERT INTO wire_pipeline VALUES (2)");
  EXPECT_EQ(PQpipelineSync(connection.get()), 1);
  send("INSERT INTO wire_pipeline VALUES (3)");
  send("SELECT count(*) FROM wire_pipeline");
  EXPECT_EQ(PQpipelineSync(connection.get()), 1);
  const auto statuses = PipelineStatuses(connection.get(), 2);
  EXPECT_EQ(statuses[0], (std::vector{PGRES_COMMAND_OK, PGRES_FATAL_ERROR, PGRES_PIPELINE_ABORTED}));
  EXPECT_EQ(statuses[1], (std::vector{PGRES_COMMAND_OK, PGRES_TUPLES_OK}));
  ASSERT_EQ(PQexitPipelineMode(connection.get()), 1);
  EXPECT_EQ(Value(connection.get(), "SELECT string_agg(n::text, ',') FROM wire_pipeline"), "3");
}

// The core of a migration: rows and their journal entry in one transaction.
TEST_F(EmbeddedWireTest, EightClientsCommitRowsWithTheirJournalEntry) {
  const Connection observer = Connect();
  Recreate(observer.get(), "wire_rows");
  Recreate(observer.get(), "wire_journal");
  const std::string data = BinaryRows(10'000);
  std::vector<std::thread> clients;
  for (int client = 0; client < 8; ++client) {
    clients.emplace_back([&, client] {
      const Connection connection = Connect();
      Value(connection.get(), "BEGIN");
      const Result end = CopyIn(connection.get(), "COPY wire_rows FROM STDIN (FORMAT binary)", data, 65536);
      EXPECT_EQ(PQresultStatus(end.get()), PGRES_COMMAND_OK) << PQresultErrorMessage(end.get());
      Value(connection.get(), "INSERT INTO wire_journal VALUES (" + std::to_string(client) + ")");
      Value(connection.get(), "COMMIT");
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(Value(observer.get(), "SELECT count(*) FROM wire_rows"), "80000");
  EXPECT_EQ(Value(observer.get(), "SELECT count(DISTINCT n) FROM wire_journal"), "8");
}

TEST_F(EmbeddedWireTest, LibpqxxTransactionsParametersAndErrors) {
  pqxx::connection connection(uri_);
  {
    pqxx::nontransaction setup(connection);
    setup.exec("DROP TABLE IF EXISTS wire_pqxx");
    setup.exec("CREATE TABLE wire_pqxx (n int PRIMARY KEY, t text)");
  }
  {
    pqxx::work work(connection);
    work.exec_params("INSERT INTO wire_pqxx VALUES ($1, $2), ($3, NULL)", 1, "it's", 2);
    work.commit();
  }
  {
    pqxx::work work(connection);
    work.exec("INSERT INTO wire_pqxx VALUES (3)");
    EXPECT_THROW(work.exec("INSERT INTO wire_pqxx VALUES (1)"), pqxx::unique_violation);
  }
  {
    pqxx::work abandoned(connection);
    abandoned.exec("INSERT INTO wire_pqxx VALUES (4)");
  }
  pqxx::work work(connection);
  const pqxx::result rows = work.exec_params("SELECT n, t FROM wire_pqxx WHERE n < $1 ORDER BY n", 100);
  ASSERT_EQ(rows.size(), 2);
  EXPECT_EQ(rows[0][1].as<std::string>(), "it's");
  EXPECT_TRUE(rows[1][1].is_null());
}

TEST_F(EmbeddedWireTest, LibpqxxHypertable) {
  pqxx::connection connection(uri_);
  pqxx::nontransaction session(connection);
  session.exec("CREATE EXTENSION IF NOT EXISTS timescaledb");
  session.exec("DROP TABLE IF EXISTS wire_hypertable");
  session.exec("CREATE TABLE wire_hypertable (time timestamptz NOT NULL, n int)");
  session.exec("SELECT create_hypertable('wire_hypertable', 'time', create_default_indexes => false)");
  session.exec(
      "INSERT INTO wire_hypertable SELECT timestamptz '2024-01-01Z' + i * interval '1 day', i FROM generate_series(0, "
      "99) i");
  const pqxx::result result = session.exec("SELECT count(*) FROM show_chunks('wire_hypertable')");
  EXPECT_GT(result[0][0].as<int>(), 10);
}

}  // namespace
}  // namespace hypershift
