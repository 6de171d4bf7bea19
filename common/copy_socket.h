// Waiting for the socket under a COPY FROM STDIN, where libpq's own waiting does not do:
//  - while it blocks in a write it reads the server's error into its own buffer, where nobody sees it before the COPY's
//    end: the rest of the range would still be sent;
//  - the kernel's limit on unanswered data (TCP_USER_TIMEOUT) can't be used: it also ends connections to a server that
//  is
//    alive but takes no data for a while, because it waits for a lock or a disk. So dead peers are told from busy ones
//    by what the kernel knows of acknowledgements.
// The connection must be in non-blocking mode. One thread at a time.
#ifndef HYPERSHIFT_COMMON_COPY_SOCKET_H_
#define HYPERSHIFT_COMMON_COPY_SOCKET_H_

#include <libpq-fe.h>

#include <cstdint>

#include "absl/status/status.h"

namespace hypershift {

// Switches TCP_USER_TIMEOUT off; returns its value in milliseconds for RestoreUserTimeout. No effect on other sockets.
unsigned SuspendUserTimeout(PGconn* connection);
void RestoreUserTimeout(PGconn* connection, unsigned milliseconds);

// Whether the server has sent an error or closed the connection. Takes in notices and changed settings. Over TLS only
// the end of a connection can be seen.
bool ServerHasFailed(PGconn* connection);

// Sends what libpq holds. kAborted: the server has failed, ask it why (not looked for when `ending`: the COPY's end is
// already sent). kUnavailable: the connection failed or the server's machine is silent.
absl::Status FlushOutput(PGconn* connection, bool ending);

// Waits until a result can be read without blocking. kUnavailable as above.
absl::Status WaitForResult(PGconn* connection);

// For a COPY TO STDOUT: waits for input and takes it in, a quarter of a megabyte at a time once `received_bytes` shows
// that the COPY is long. A server sends 8 KiB at a time; waking up for each costs more than all the work on the rows.
// In any mode of the connection. kUnavailable: it failed. Not over TLS or GSS, where libpq has to do the waiting.
absl::Status WaitForCopyData(PGconn* connection, int64_t received_bytes);

// Ends what WaitForCopyData has changed about the socket.
void EndWaitForCopyData(PGconn* connection);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_COPY_SOCKET_H_
