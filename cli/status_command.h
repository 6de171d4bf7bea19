// `hypershift status`: shows a migration by asking its coordinator.
#ifndef HYPERSHIFT_CLI_STATUS_COMMAND_H_
#define HYPERSHIFT_CLI_STATUS_COMMAND_H_

#include <string>

#include "absl/time/time.h"
#include "common/transport_security.h"
#include "hypershift/v1/migration.pb.h"

namespace hypershift {

struct StatusOptions {
  // host:port or unix:path, which must have passed CheckConnecting().
  std::string coordinator;
  TransportSecurity security;
  // Follow until the migration ends.
  bool watch = false;
  // Protobuf JSON of v1.WatchResponse on standard output; with `watch` one object a line.
  bool json = false;
};

// The status as text: the migration and why it waits, its snapshot, workers, tables, warnings. Pure; ends with a line
// break; safe for a terminal. `columns`: 0 = as wide as it needs.
std::string FormatStatus(const v1::WatchResponse& status, int columns, bool color, absl::Time now);

// Prints to standard output and returns the exit status: 0, or 2 if the coordinator can't be reached or answers with an
// error, after one line on standard error that says what to do. Not before InitLog().
int RunStatusCommand(const StatusOptions& options);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_STATUS_COMMAND_H_
