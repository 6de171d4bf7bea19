#include "common/copy_connection.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/copy_socket.h"
#include "common/pg_connect.h"

namespace hypershift {
namespace {

constexpr size_t kWriteSlice = 256 << 10;  // libpq copies what it is given: its buffer grows to about this.

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, ClearResult>;

absl::string_view Field(const PGresult* result, int code) {
  const char* value = PQresultErrorField(result, code);
  return value == nullptr ? absl::string_view() : absl::string_view(value);
}

// An error that libpq itself reports. It keeps the connection for some of them, such as a row too large for memory:
// trying again can't help then.
absl::Status LibpqError(PGconn* connection) {
  absl::Status status = PgErrorStatus(PQerrorMessage(connection), "");
  if (PQstatus(connection) == CONNECTION_BAD) return status;
  return absl::InternalError(status.message());
}

absl::Status ErrorOf(PGconn* connection, const PGresult* result) {
  if (result == nullptr) return LibpqError(connection);
  const absl::string_view sqlstate = Field(result, PG_DIAG_SQLSTATE);
  if (sqlstate.empty()) return LibpqError(connection);
  std::string message(Field(result, PG_DIAG_MESSAGE_PRIMARY));
  for (const auto& [code, name] : {std::pair(PG_DIAG_MESSAGE_DETAIL, "DETAIL"), std::pair(PG_DIAG_MESSAGE_HINT, "HINT"),
                                   std::pair(PG_DIAG_CONTEXT, "CONTEXT")}) {
    const absl::string_view text = Field(result, code);
    if (!text.empty()) absl::StrAppend(&message, "\n", name, ":  ", text);
  }
  return PgErrorStatus(message, sqlstate);
}

bool IsError(const PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
}

int64_t AffectedRows(PGresult* result) {
  int64_t rows = 0;
  return absl::SimpleAtoi(PQcmdTuples(result), &rows) ? rows : 0;
}

// Reads away what is left of a COPY and the statements after it, until the connection is idle or broken. Returns the
// first error; `*rows` is set from the last command tag.
absl::Status Drain(PGconn* connection, int64_t* rows = nullptr) {
  absl::Status status;
  while (ResultPtr result{PQgetResult(connection)}) {
    switch (PQresultStatus(result.get())) {
      case PGRES_COPY_IN:
        if (PQputCopyEnd(connection, "not expected here") < 0) return LibpqError(connection);
        break;
      case PGRES_COPY_OUT:
        for (char* row = nullptr; PQgetCopyData(connection, &row, 0) > 0;) PQfreemem(row);
        break;
      case PGRES_COPY_BOTH:
        return absl::InternalError("the server began replication");
      default:
        if (status.ok() && IsError(result.get())) status = ErrorOf(connection, result.get());
        if (rows != nullptr) *rows = AffectedRows(result.get());
    }
    if (PQstatus(connection) == CONNECTION_BAD) {
      if (status.ok()) status = LibpqError(connection);
      break;
    }
  }
  return status;
}

// Runs `sql`, which must begin a COPY of the `wanted` kind.
absl::Status StartCopy(PGconn* connection, const std::string& sql, ExecStatusType wanted) {
  if (PQtransactionStatus(connection) == PQTRANS_ACTIVE) {
    return absl::FailedPreconditionError("another COPY is under way on this connection");
  }
  const ResultPtr result(PQexec(connection, sql.c_str()));
  if (result == nullptr || IsError(result.get())) return ErrorOf(connection, result.get());
  if (PQresultStatus(result.get()) == wanted) return absl::OkStatus();
  Drain(connection).IgnoreError();
  return absl::InvalidArgumentError(wanted == PGRES_COPY_IN ? "the statement is not a COPY FROM STDIN"
                                                            : "the statement is not a COPY TO STDOUT");
}

// Queues the end of a COPY FROM STDIN, and sends everything.
absl::Status SendEnd(PGconn* connection, const char* failure) {
  int queued = 0;
  while ((queued = PQputCopyEnd(connection, failure)) == 0) {
    absl::Status flushed = FlushOutput(connection, /*ending=*/true);
    if (!flushed.ok()) return flushed;
  }
  if (queued < 0) return LibpqError(connection);
  return FlushOutput(connection, /*ending=*/true);
}

ResultPtr Run(PGconn* connection, const std::string& sql, const std::vector<std::string>& parameters) {
  if (parameters.empty()) return ResultPtr(PQexec(connection, sql.c_str()));
  std::vector<const char*> values;
  for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
  return ResultPtr(PQexecParams(connection, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                                nullptr, nullptr, 0));
}

}  // namespace

CopyConnection::CopyConnection(PGconn* connection) : connection_(connection), cancel_(PQgetCancel(connection)) {}

CopyConnection::~CopyConnection() {
  PQfreeCancel(cancel_);
  PQfinish(connection_);
}

absl::StatusOr<std::unique_ptr<CopyConnection>> CopyConnection::Open(const ConnectionString& where,
                                                                     const SessionOptions& options) {
  absl::StatusOr<PgConnPtr> connected = ConnectLibpq(where, options);
  if (!connected.ok()) return connected.status();
  std::unique_ptr<CopyConnection> connection(new CopyConnection(connected->release()));
  const auto settings = connection->Execute(SessionSettingsSql(options));
  if (!settings.ok()) return ConnectError(where, options, settings.status());
  return connection;
}

absl::StatusOr<std::vector<std::optional<std::string>>> CopyConnection::Execute(
    const std::string& sql, const std::vector<std::string>& parameters, int64_t* affected_rows) {
  if (PQtransactionStatus(connection_) == PQTRANS_ACTIVE) {
    return absl::FailedPreconditionError("a COPY is under way on this connection");
  }
  const ResultPtr result = Run(connection_, sql, parameters);
  if (result == nullptr || IsError(result.get())) return ErrorOf(connection_, result.get());
  if (PQtransactionStatus(connection_) == PQTRANS_ACTIVE) {
    Drain(connection_).IgnoreError();
    return absl::InvalidArgumentError("a COPY needs a CopyReader or CopyWriter");
  }
  if (affected_rows != nullptr) *affected_rows = AffectedRows(result.get());
  std::vector<std::optional<std::string>> row;
  if (PQntuples(result.get()) == 0) return row;
  for (int column = 0; column < PQnfields(result.get()); ++column) {
    if (PQgetisnull(result.get(), 0, column)) {
      row.emplace_back();
    } else {
      row.emplace_back(std::in_place, PQgetvalue(result.get(), 0, column),
                       static_cast<size_t>(PQgetlength(result.get(), 0, column)));
    }
  }
  return row;
}

bool CopyConnection::broken() const { return PQstatus(connection_) == CONNECTION_BAD; }

void CopyConnection::Cancel() {
  char message[256];
  // A request that doesn't arrive leaves the statement running; whoever waits for it has a limit of his own.
  if (cancel_ != nullptr) PQcancel(cancel_, message, sizeof(message));
}

absl::StatusOr<CopyReader> CopyReader::Start(CopyConnection* connection, const std::string& sql) {
  absl::Status started = StartCopy(connection->raw(), sql, PGRES_COPY_OUT);
  if (!started.ok()) return started;
  return CopyReader(connection);
}

CopyReader::CopyReader(CopyReader&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)),
      row_(std::exchange(other.row_, nullptr)),
      result_(std::move(other.result_)) {}

CopyReader::~CopyReader() {
  PQfreemem(row_);
  if (connection_ == nullptr) return;
  EndWaitForCopyData(connection_->raw());
  connection_->Cancel();
  Drain(connection_->raw()).IgnoreError();
}

absl::Status CopyReader::Fail(absl::Status status) {
  connection_ = nullptr;
  result_ = std::move(status);
  return result_;
}

// As PQgetCopyData, which it calls; blocks.
int CopyReader::ReceiveRow(PGconn* connection) {
  const bool encrypted = PQsslInUse(connection) || PQgssEncInUse(connection);
  while (true) {
    const int length = PQgetCopyData(connection, &row_, encrypted ? 0 : 1);
    if (length > 0) {
      received_bytes_ += length;
      return length;
    }
    if (length < 0) {
      EndWaitForCopyData(connection);
      return length;
    }
    // Without blocking, libpq never says that the connection has failed.
    if (!WaitForCopyData(connection, received_bytes_).ok()) return PQgetCopyData(connection, &row_, 0);
  }
}

absl::StatusOr<std::optional<absl::string_view>> CopyReader::Next() {
  PQfreemem(std::exchange(row_, nullptr));
  if (!result_.ok()) return result_;
  if (connection_ == nullptr) return std::optional<absl::string_view>();
  PGconn* const connection = connection_->raw();
  const int length = ReceiveRow(connection);
  if (length > 0) return absl::string_view(row_, static_cast<size_t>(length));
  if (length == -2) {
    const absl::Status status = LibpqError(connection);
    Drain(connection).IgnoreError();
    return Fail(status);
  }
  absl::Status status = Drain(connection);
  if (!status.ok()) return Fail(std::move(status));
  connection_ = nullptr;
  return std::optional<absl::string_view>();
}

absl::StatusOr<CopyWriter> CopyWriter::Start(CopyConnection* connection, const std::string& sql) {
  absl::Status started = StartCopy(connection->raw(), sql, PGRES_COPY_IN);
  if (!started.ok()) return started;
  if (PQsetnonblocking(connection->raw(), 1) != 0) return LibpqError(connection->raw());
  CopyWriter writer(connection);
  writer.user_timeout_ = SuspendUserTimeout(connection->raw());
  return writer;
}

CopyWriter::CopyWriter(CopyWriter&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)),
      unflushed_(other.unflushed_),
      user_timeout_(other.user_timeout_),
      rows_(other.rows_),
      result_(std::move(other.result_)) {}

CopyWriter::~CopyWriter() {
  if (connection_ != nullptr) End("the client gave up").IgnoreError();
}

absl::Status CopyWriter::Write(absl::string_view bytes) {
  if (connection_ == nullptr) {
    return result_.ok() ? absl::FailedPreconditionError("the COPY is already finished") : result_;
  }
  while (!bytes.empty()) {
    PGconn* const connection = connection_->raw();
    const absl::string_view slice = bytes.substr(0, kWriteSlice);
    const int queued = PQputCopyData(connection, slice.data(), static_cast<int>(slice.size()));
    if (queued < 0) return End("the client's buffer failed");
    if (queued > 0) {
      bytes.remove_prefix(slice.size());
      unflushed_ += slice.size();
    }
    if (queued == 0 || unflushed_ >= kWriteSlice) {
      if (ServerHasFailed(connection) || !FlushOutput(connection, /*ending=*/false).ok()) {
        return End("the client met an error");
      }
      unflushed_ = 0;
    }
  }
  return absl::OkStatus();
}

absl::Status CopyWriter::End(const char* failure) {
  PGconn* const connection = std::exchange(connection_, nullptr)->raw();
  absl::Status status = SendEnd(connection, failure);
  if (status.ok()) status = WaitForResult(connection);
  PQsetnonblocking(connection, 0);
  RestoreUserTimeout(connection, user_timeout_);
  // The server's reason, if there is one, says more than the connection's.
  const absl::Status server = Drain(connection, &rows_);
  result_ = !server.ok() && (status.ok() || !SqlState(server).empty()) ? server : status;
  if (result_.ok() && (failure != nullptr || PQstatus(connection) == CONNECTION_BAD)) {
    result_ = absl::InternalError("the COPY ended too early");
  }
  return result_;
}

absl::StatusOr<int64_t> CopyWriter::Finish() {
  if (connection_ != nullptr) End(nullptr).IgnoreError();
  if (!result_.ok()) return result_;
  return rows_;
}

}  // namespace hypershift
