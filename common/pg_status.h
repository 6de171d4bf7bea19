// PostgreSQL errors as absl::Status, with the SQLSTATE kept as a payload.
//
// SQLSTATE classes: https://www.postgresql.org/docs/15/errcodes-appendix.html
#ifndef HYPERSHIFT_COMMON_PG_STATUS_H_
#define HYPERSHIFT_COMMON_PG_STATUS_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hypershift {

// The code by class of SQLSTATE: 08*, 57P0*, 25006, 25P03, 25P04, 53300 and no SQLSTATE at all (the connection broke)
// are kUnavailable; 40001, 40P01, 55P03 kAborted; 57014 kCancelled; 28* kUnauthenticated; 42501 kPermissionDenied;
// 23505 kAlreadyExists; other 53* kResourceExhausted; 22* and other 23* kInvalidArgument; 42P01, 42703, 3D000, 3F000
// kNotFound; everything else kInternal.
//
// `message` is libpq's or the primary message alone. The status says it in one line, without "ERROR:" and without the
// piece of the statement that libpq shows; DETAIL, HINT and CONTEXT stay.
absl::Status PgErrorStatus(absl::string_view message, absl::string_view sqlstate);

// The SQLSTATE a status carries; empty when it didn't come from a server.
std::string SqlState(const absl::Status& status);

// Whether the same statement can succeed later without anybody's help: connection loss, serialization failure,
// deadlock, shutdown, a server that has become a stand-by, lock timeout, too many connections, a lack of memory, a
// statement that somebody cancelled. Data, permission and constraint errors are not, nor are kAborted and kCancelled
// without an SQLSTATE: those are a stale lease and a stop.
bool IsRetryable(const absl::Status& status);

// The same status with "context: " before its message; payloads kept.
absl::Status WithContext(const absl::Status& status, absl::string_view context);

// The one place where libpqxx' exceptions end. Runs `body`, and turns what it throws into a status. kUnknown: the
// connection was lost during COMMIT, so the outcome is in doubt.
absl::Status CatchPqxx(const std::function<absl::Status()>& body);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_PG_STATUS_H_
