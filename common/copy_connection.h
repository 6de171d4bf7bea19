// A connection for COPY, straight on libpq: libpqxx has no binary COPY, and its stream completes a COPY while unwinding.
//
// Not thread-safe: one thread at a time owns a connection and the reader or writer on it. After kUnavailable the
// connection is broken for good.
#ifndef HYPERSHIFT_COMMON_COPY_CONNECTION_H_
#define HYPERSHIFT_COMMON_COPY_CONNECTION_H_

#include <libpq-fe.h>

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
  static absl::StatusOr<std::unique_ptr<CopyConnection>> Open(const ConnectionString& where,
                                                              const SessionOptions& options);
  ~CopyConnection();
  CopyConnection(const CopyConnection&) = delete;
  CopyConnection& operator=(const CopyConnection&) = delete;

  // Runs SQL (several statements when there are no parameters); returns the last result's first row as text, NULL as
  // an empty optional; empty when there is no row. For the small statements around a COPY. `affected_rows` is set from
  // the command tag.
  absl::StatusOr<std::vector<std::optional<std::string>>> Execute(const std::string& sql,
                                                                  const std::vector<std::string>& parameters = {},
                                                                  int64_t* affected_rows = nullptr);

  bool broken() const;
  // Asks the server to cancel what runs on this connection; may be called from another thread.
  void Cancel();
  PGconn* raw() { return connection_; }

 private:
  explicit CopyConnection(PGconn* connection);
  PGconn* connection_;
  PGcancel* cancel_;
};

// Reads COPY … TO STDOUT. Ends the COPY in its destructor (cancels and drains) if it was not read to the end.
class CopyReader {
 public:
  static absl::StatusOr<CopyReader> Start(CopyConnection* connection, const std::string& sql);
  CopyReader(CopyReader&& other) noexcept;
  CopyReader& operator=(CopyReader&&) = delete;
  ~CopyReader();

  // The next message: one row (in binary format the file header comes with the first, and the trailer as a message of
  // its own). The view is valid until the next call. An empty optional: the COPY ended well; the server said so.
  absl::StatusOr<std::optional<absl::string_view>> Next();

 private:
  explicit CopyReader(CopyConnection* connection) : connection_(connection) {}
  CopyConnection* connection_;
  char* row_ = nullptr;
};

// Writes COPY … FROM STDIN. Unless Finish() has been called, the destructor aborts the COPY (CopyFail).
class CopyWriter {
 public:
  static absl::StatusOr<CopyWriter> Start(CopyConnection* connection, const std::string& sql);
  CopyWriter(CopyWriter&& other) noexcept;
  CopyWriter& operator=(CopyWriter&&) = delete;
  ~CopyWriter();

  // Any number of bytes, cut anywhere. Blocks while the server does not take them. When it fails because the server
  // has already ended the COPY with an error, that error is returned.
  absl::Status Write(absl::string_view bytes);
  // Ends the COPY well; returns the number of rows the server took.
  absl::StatusOr<int64_t> Finish();

 private:
  explicit CopyWriter(CopyConnection* connection) : connection_(connection) {}
  CopyConnection* connection_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_COPY_CONNECTION_H_
