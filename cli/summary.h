// What a migration came to, for people: printed once at its end.
#ifndef HYPERSHIFT_CLI_SUMMARY_H_
#define HYPERSHIFT_CLI_SUMMARY_H_

#include <string>

#include "hypershift/v1/migration.pb.h"

namespace hypershift {

// A line per table (the 30 largest; the rest summed up), the total, then what needs attention: failed tables,
// differences that verify found, rewritten values, what was left out, warnings. Ends with a line break; no colours;
// safe for a terminal. `columns`: 0 = as wide as it needs, else names are shortened to fit.
std::string FormatSummary(const v1::WatchResponse& last, int columns = 0);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_SUMMARY_H_
