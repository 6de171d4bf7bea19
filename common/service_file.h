// Connection service files (https://www.postgresql.org/docs/15/libpq-pgservice.html).
//
// libpq reads them itself, but only tells what it found after it has connected. We need to know before: to show where
// we connect, and to hand a worker on another machine a connection string that means the same there.
#ifndef HYPERSHIFT_COMMON_SERVICE_FILE_H_
#define HYPERSHIFT_COMMON_SERVICE_FILE_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace hypershift {

// The parameters of `service` in the text of one file. Empty: it isn't there, or the file holds what only libpq
// understands (LDAP look-ups, broken lines). The values may hold a password.
std::optional<std::map<std::string, std::string>> ParseServiceFile(absl::string_view text, absl::string_view service);

// The same from the first of `paths` that has the service.
std::optional<std::map<std::string, std::string>> FindService(const std::vector<std::string>& paths,
                                                              absl::string_view service);

// Where libpq looks, first to last: PGSERVICEFILE or ~/.pg_service.conf, then the system's folder.
std::vector<std::string> ServiceFilePaths();

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_SERVICE_FILE_H_
