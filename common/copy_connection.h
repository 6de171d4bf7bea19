// A connection for COPY, straight on libpq: libpqxx has no binary COPY, and its stream completes a COPY while
// unwinding.
//
// Not thread-safe: one thread at a time owns a connection and the reader or writer on it. After kUnavailable the
// connection is broken for good.
#ifndef HYPERSHIFT_COMMON_COPY_CONNECTION_H_
#define HYPERSHIFT_COMMON_COPY_CONNECTION_H_

#include <libpq-fe.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/connection_string.h"
#include "common/pg_session.h"

namespace hypershift {

class CopyConnection {
 public:
  // Errors as for PgSession::Open.
  static absl::StatusOr<std::unique_ptr<CopyConnection>> Open(const ConnectionString& where,
                                                              const SessionOptions& options);
  ~CopyConnection();
  CopyConnection(const CopyConnection&) = delete;
  CopyConnection& operator=(const CopyConnection&) = delete;

  // Runs SQL (several statements when there are no parameters); returns the last result's first row as text, NULL as
  // an empty optional; empty when there is no row. For the small statements around a COPY. `affected_rows` is set from
  // the command tag of the last statement. kFailedPrecondition: a reader or writer is at work. A COPY from or to the
  // client is refused (kInvalidArgument) and ended.
  absl::StatusOr<std::vector<std::optional<std::string>>> Execute(const std::string& sql,
                                                                  const std::vector<std::string>& parameters = {},
                                                                  int64_t* affected_rows = nullptr);

  bool broken() const;
  // Asks the server to cancel what runs on this connection; may be called from another thread. Blocks until the server
  // has taken the request. Nothing happens when nothing runs.
  void Cancel();
  PGconn* raw() { return connection_; }

 private:
  explicit CopyConnection(PGconn* connection);
  PGconn* connection_;
  PGcancel* cancel_;
};

// Reads COPY … TO STDOUT. Ends the COPY in its destructor (cancels and drains) if it was not read to the end: the
// connection is free again, a transaction it is in has failed.
class CopyReader {
 public:
  // kInvalidArgument: `sql` is not such a COPY.
  static absl::StatusOr<CopyReader> Start(CopyConnection* connection, const std::string& sql);
  CopyReader(CopyReader&& other) noexcept;
  CopyReader& operator=(CopyReader&&) = delete;
  ~CopyReader();

  // The next message: one row (in binary format the file header comes with the first, and the trailer as a message of
  // its own). The view is valid until the next call. An empty optional: the COPY ended well; the server said so. An
  // error ends the COPY, and comes again from further calls.
  absl::StatusOr<std::optional<absl::string_view>> Next();

 private:
  int ReceiveRow(PGconn* connection);
  explicit CopyReader(CopyConnection* connection) : connection_(connection) {}
  absl::Status Fail(absl::Status status);

  CopyConnection* connection_;  // Null when the COPY is over, or the reader was moved from.
  int64_t received_bytes_ = 0;
  char* row_ = nullptr;
  absl::Status result_;
};

// Writes COPY … FROM STDIN. Unless Finish() has been called, the destructor aborts the COPY (CopyFail).
class CopyWriter {
 public:
  // kInvalidArgument: `sql` is not such a COPY.
  static absl::StatusOr<CopyWriter> Start(CopyConnection* connection, const std::string& sql);
  CopyWriter(CopyWriter&& other) noexcept;
  CopyWriter& operator=(CopyWriter&&) = delete;
  ~CopyWriter();

  // Any number of bytes, cut anywhere. Blocks while the server does not take them, and keeps no more than some hundreds
  // of KiB of them. When it fails because the server has already ended the COPY with an error, that error is returned;
  // it is looked for after every 256 KiB, but may be seen as late as in Finish() (always so over TLS).
  absl::Status Write(absl::string_view bytes);
  // Ends the COPY well; returns the number of rows the server took. After an error in Write it returns that again.
  absl::StatusOr<int64_t> Finish();

 private:
  explicit CopyWriter(CopyConnection* connection) : connection_(connection) {}
  // Ends the COPY: well if `failure` is null, else as failed for that reason. The server's error, or OK.
  absl::Status End(const char* failure);

  CopyConnection* connection_;  // Null when the COPY is over, or the writer was moved from.
  size_t unflushed_ = 0;
  unsigned user_timeout_ = 0;  // Milliseconds; restored at the end.
  int64_t rows_ = 0;
  absl::Status result_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_COPY_CONNECTION_H_
