#include "common/copy_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "common/pg_status.h"

namespace hypershift {
namespace {

constexpr int kPollMilliseconds = 1000;
constexpr uint32_t kSilenceMilliseconds = 30'000;

// A COPY is long after this many bytes; then reading waits for that many, or the time.
constexpr int64_t kLongCopyBytes = 1 << 20;
constexpr int kBatchBytes = 256 << 10;
constexpr int kBatchMilliseconds = 5;

// Whether segments or probes go unanswered for too long. A peer without room for data still answers probes.
bool PeerIsSilent(PGconn* connection) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (getsockopt(PQsocket(connection), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;  // A unix socket.
  return (info.tcpi_retransmits > 0 || info.tcpi_probes > 0) && info.tcpi_last_ack_recv >= kSilenceMilliseconds;
}

// Waits for one of `events`; `*ready` is what poll found.
absl::Status Wait(PGconn* connection, short events, short* ready) {
  while (true) {
    pollfd entry{PQsocket(connection), events, 0};
    const int count = poll(&entry, 1, kPollMilliseconds);
    *ready = entry.revents;
    if (count > 0 || (count < 0 && errno != EINTR)) return absl::OkStatus();  // libpq finds and words an error.
    if (count < 0 || !PeerIsSilent(connection)) continue;
    shutdown(PQsocket(connection), SHUT_RDWR);  // So that libpq learns of it.
    return absl::UnavailableError("the server's machine has not answered for 30 s");
  }
}

int Pending(PGconn* connection) {
  int bytes = 0;
  return ioctl(PQsocket(connection), FIONREAD, &bytes) == 0 ? bytes : 0;
}

void SetLowWater(PGconn* connection, int bytes) {
  setsockopt(PQsocket(connection), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

absl::Status Broken(PGconn* connection) { return PgErrorStatus(PQerrorMessage(connection), ""); }

// The severity field of an ErrorResponse. Its letter follows a zero byte, which no text holds, so that this is never
// found in a notice (https://www.postgresql.org/docs/15/protocol-error-fields.html).
bool HoldsError(absl::string_view bytes) {
  constexpr absl::string_view kSeverities[] = {{"\0VERROR\0", 8}, {"\0VFATAL\0", 8}, {"\0VPANIC\0", 8}};
  for (absl::string_view severity : kSeverities) {
    if (absl::StrContains(bytes, severity)) return true;
  }
  return false;
}

}  // namespace

unsigned SuspendUserTimeout(PGconn* connection) {
  unsigned milliseconds = 0;
  socklen_t size = sizeof(milliseconds);
  if (getsockopt(PQsocket(connection), IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, &size) != 0) return 0;
  RestoreUserTimeout(connection, 0);
  return milliseconds;
}

void RestoreUserTimeout(PGconn* connection, unsigned milliseconds) {
  // Fails for a unix socket, which needs none.
  setsockopt(PQsocket(connection), IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof(milliseconds));
}

bool ServerHasFailed(PGconn* connection) {
  if (!PQsslInUse(connection) && !PQgssEncInUse(connection)) {
    std::array<char, 4096> input;
    const ssize_t size = recv(PQsocket(connection), input.data(), input.size(), MSG_PEEK | MSG_DONTWAIT);
    if (size < 0) return errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
    if (size == 0 || HoldsError(absl::string_view(input.data(), static_cast<size_t>(size)))) return true;
  }
  PQconsumeInput(connection);
  PQfreemem(PQnotifies(connection));  // Handles what was read: nothing else does during a COPY.
  return PQstatus(connection) == CONNECTION_BAD;
}

absl::Status FlushOutput(PGconn* connection, bool ending) {
  while (true) {
    const int left = PQflush(connection);
    if (left == 0) return absl::OkStatus();
    if (left < 0) return Broken(connection);
    short ready = 0;
    absl::Status waited = Wait(connection, POLLIN | POLLOUT, &ready);
    if (!waited.ok()) return waited;
    if ((ready & ~POLLOUT) == 0) continue;
    if (!ending && ServerHasFailed(connection)) return absl::AbortedError("the server has failed");
    // The server may be unable to take our data before we take its notices.
    if (ending && PQconsumeInput(connection) == 0) return Broken(connection);
  }
}

absl::Status WaitForResult(PGconn* connection) {
  while (PQisBusy(connection)) {
    short ready = 0;
    absl::Status waited = Wait(connection, POLLIN, &ready);
    if (!waited.ok()) return waited;
    if (PQconsumeInput(connection) == 0) return Broken(connection);
  }
  return absl::OkStatus();
}

absl::Status WaitForCopyData(PGconn* connection, int64_t received_bytes) {
  short ready = 0;
  if (received_bytes >= kLongCopyBytes) {
    SetLowWater(connection, kBatchBytes);
    pollfd entry{PQsocket(connection), POLLIN, 0};
    poll(&entry, 1, kBatchMilliseconds);
  }
  if (received_bytes < kLongCopyBytes || Pending(connection) == 0) {
    SetLowWater(connection, 1);
    absl::Status waited = Wait(connection, POLLIN, &ready);
    if (!waited.ok()) return waited;
  }
  // libpq's buffer doubles when it is asked to read more than fits, and stays so large: from then on it takes a batch
  // in one go.
  for (int taken = 0; taken < kBatchBytes;) {
    const int before = Pending(connection);
    if (PQconsumeInput(connection) == 0) return Broken(connection);
    const int left = Pending(connection);
    if (left == 0 || before <= left) break;
    taken += before - left;
  }
  return absl::OkStatus();
}

void EndWaitForCopyData(PGconn* connection) { SetLowWater(connection, 1); }

}  // namespace hypershift
