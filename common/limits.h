// What a migration may take (v1.Limits), as people write it: in hypershift.yml, in `hypershift set`, and in a status
// line.
//
// Pure functions. Names are those of the flags and keys, max-slots or max_slots. 0 = no limit.
#ifndef HYPERSHIFT_COMMON_LIMITS_H_
#define HYPERSHIFT_COMMON_LIMITS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

// "max-slots", "max-bytes-per-second", …: in the order in which they are shown.
const std::vector<std::string>& LimitNames();

// "50MB", "1 GiB", "1000": bytes. kB, MB, GB, TB are powers of 1000; KiB, MiB, GiB, TiB of 1024; case does not matter.
absl::StatusOr<int64_t> ParseBytes(absl::string_view text);
// The shortest exact form that ParseBytes reads: "50MB", "1GiB", "1234567B".
std::string FormatExactBytes(int64_t bytes);
// What was measured, in three digits: "1.21 GiB".
std::string FormatMeasuredBytes(int64_t bytes);

// Sets one limit from text. "0", "off" and "none" take it away. kInvalidArgument: no such limit (the message lists
// all), or a value that is none.
absl::Status ParseLimit(absl::string_view name, absl::string_view value, v1::Limits* limits);
// A limit's value as ParseLimit reads it, or "none".
std::string FormatLimit(const v1::Limits& limits, absl::string_view name);

// Lays those that are set in `changes` over the others.
void OverlayLimits(const v1::Limits& changes, v1::Limits* limits);
// kInvalidArgument: one is below 0.
absl::Status CheckLimits(const v1::Limits& limits);

// How the journal keeps them: protobuf's JSON. What is none reads as no limits.
std::string LimitsToJson(const v1::Limits& limits);
v1::Limits LimitsFromJson(const std::string& json);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_LIMITS_H_
