#include "common/limits.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/config.h"
#include "common/names.h"
#include "common/proto_time.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr char kSlots[] = "max-slots";
constexpr char kBytesPerSecond[] = "max-bytes-per-second";
constexpr char kSourceLoad[] = "max-source-load";
constexpr char kReplicationLag[] = "max-replication-lag";
constexpr char kTargetWal[] = "max-target-wal";

struct Unit {
  const char* name;
  int64_t bytes;
};
// The largest first.
constexpr Unit kUnits[] = {{"TiB", int64_t{1} << 40},
                           {"TB", 1'000'000'000'000},
                           {"GiB", int64_t{1} << 30},
                           {"GB", 1'000'000'000},
                           {"MiB", int64_t{1} << 20},
                           {"MB", 1'000'000},
                           {"KiB", int64_t{1} << 10},
                           {"kB", 1'000},
                           {"B", 1}};

absl::StatusOr<int32_t> ParseCount(absl::string_view text) {
  int32_t count = 0;
  if (absl::SimpleAtoi(text, &count) && count >= 0) return count;
  return absl::InvalidArgumentError(absl::StrCat(InQuotes(text), " is no number from 0 to 2147483647"));
}

absl::StatusOr<absl::Duration> ParseLag(absl::string_view text) {
  if (text == "0") return absl::ZeroDuration();
  const absl::StatusOr<Interval> interval = ParseInterval(text);
  if (!interval.ok() || !interval->has_unit) {
    return absl::InvalidArgumentError(absl::StrCat(InQuotes(text), " is no time: write a number and s, m or h (10s)"));
  }
  return absl::Microseconds(interval->value);
}

absl::Status SetParsed(absl::string_view name, absl::string_view value, v1::Limits* limits) {
  if (name == kSlots || name == kSourceLoad) {
    HS_ASSIGN_OR_RETURN(const int32_t count, ParseCount(value));
    name == kSlots ? limits->set_max_slots(count) : limits->set_max_source_load(count);
  } else if (name == kBytesPerSecond || name == kTargetWal) {
    HS_ASSIGN_OR_RETURN(const int64_t bytes, ParseBytes(value));
    name == kTargetWal ? limits->set_max_target_wal(bytes) : limits->set_max_bytes_per_second(bytes);
  } else {
    HS_ASSIGN_OR_RETURN(const absl::Duration lag, ParseLag(value));
    *limits->mutable_max_replication_lag() = ToProto(lag);
  }
  return absl::OkStatus();
}

std::string FormatLag(absl::Duration lag) {
  const int64_t seconds = absl::ToInt64Seconds(lag);
  if (absl::Seconds(seconds) != lag) return absl::FormatDuration(lag);
  if (seconds % 3600 == 0) return absl::StrCat(seconds / 3600, "h");
  return seconds % 60 == 0 ? absl::StrCat(seconds / 60, "m") : absl::StrCat(seconds, "s");
}

}  // namespace

const std::vector<std::string>& LimitNames() {
  static const auto* const kNames =
      new std::vector<std::string>{kSlots, kBytesPerSecond, kSourceLoad, kReplicationLag, kTargetWal};
  return *kNames;
}

absl::StatusOr<int64_t> ParseBytes(absl::string_view text) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(text);
  const size_t digits = std::min(trimmed.find_first_not_of("0123456789"), trimmed.size());
  const absl::string_view name = absl::StripAsciiWhitespace(trimmed.substr(digits));
  const auto* const unit = std::find_if(std::begin(kUnits), std::end(kUnits), [name](const Unit& candidate) {
    return absl::EqualsIgnoreCase(candidate.name, name.empty() ? "B" : name);
  });
  int64_t count = 0;
  if (digits == 0 || unit == std::end(kUnits) || !absl::SimpleAtoi(trimmed.substr(0, digits), &count) ||
      count > std::numeric_limits<int64_t>::max() / unit->bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        InQuotes(text), " is no number of bytes: write it whole, with kB, MB, GB, KiB, MiB or GiB (50MB)"));
  }
  return count * unit->bytes;
}

std::string FormatExactBytes(int64_t bytes) {
  std::string shortest = absl::StrCat(bytes, "B");
  if (bytes == 0) return shortest;
  for (const Unit& unit : kUnits) {
    if (bytes % unit.bytes != 0) continue;
    const std::string text = absl::StrCat(bytes / unit.bytes, unit.name);
    if (text.size() < shortest.size()) shortest = text;
  }
  return shortest;
}

std::string FormatMeasuredBytes(int64_t bytes) {
  for (const Unit& unit : kUnits) {
    if (!absl::EndsWith(unit.name, "iB") || bytes < unit.bytes) continue;
    const double count = static_cast<double>(bytes) / static_cast<double>(unit.bytes);
    return absl::StrFormat("%.*f %s", count < 10 ? 2 : count < 100 ? 1 : 0, count, unit.name);
  }
  return absl::StrCat(std::max<int64_t>(bytes, 0), " B");
}

absl::Status ParseLimit(absl::string_view name, absl::string_view value, v1::Limits* limits) {
  const std::string wanted = absl::StrReplaceAll(name, {{"_", "-"}});
  const std::vector<std::string>& names = LimitNames();
  if (std::find(names.begin(), names.end(), wanted) == names.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no limit ", InQuotes(name), ": there are ", absl::StrJoin(names, ", ")));
  }
  const bool none = value == "off" || value == "none";
  const absl::Status set = SetParsed(wanted, none ? "0" : value, limits);
  if (set.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(wanted, ": ", set.message()));
}

std::string FormatLimit(const v1::Limits& limits, absl::string_view name) {
  const auto or_none = [](int64_t value, const std::string& text) { return value == 0 ? "none" : text; };
  if (name == kSlots) return or_none(limits.max_slots(), absl::StrCat(limits.max_slots()));
  if (name == kSourceLoad) return or_none(limits.max_source_load(), absl::StrCat(limits.max_source_load()));
  if (name == kBytesPerSecond) {
    return or_none(limits.max_bytes_per_second(), FormatExactBytes(limits.max_bytes_per_second()));
  }
  if (name == kTargetWal) return or_none(limits.max_target_wal(), FormatExactBytes(limits.max_target_wal()));
  const absl::Duration lag = FromProto(limits.max_replication_lag());
  return lag == absl::ZeroDuration() ? "none" : FormatLag(lag);
}

void OverlayLimits(const v1::Limits& changes, v1::Limits* limits) {
  if (changes.has_max_slots()) limits->set_max_slots(changes.max_slots());
  if (changes.has_max_bytes_per_second()) limits->set_max_bytes_per_second(changes.max_bytes_per_second());
  if (changes.has_max_source_load()) limits->set_max_source_load(changes.max_source_load());
  // Not merged: a second that is 0 would keep the old one.
  if (changes.has_max_replication_lag()) *limits->mutable_max_replication_lag() = changes.max_replication_lag();
  if (changes.has_max_target_wal()) limits->set_max_target_wal(changes.max_target_wal());
}

absl::Status CheckLimits(const v1::Limits& limits) {
  const auto below = [](absl::string_view name) {
    return absl::InvalidArgumentError(absl::StrCat(name, " can't be below 0"));
  };
  if (limits.max_slots() < 0) return below(kSlots);
  if (limits.max_bytes_per_second() < 0) return below(kBytesPerSecond);
  if (limits.max_source_load() < 0) return below(kSourceLoad);
  if (FromProto(limits.max_replication_lag()) < absl::ZeroDuration()) return below(kReplicationLag);
  if (limits.max_target_wal() < 0) return below(kTargetWal);
  return absl::OkStatus();
}

std::string LimitsToJson(const v1::Limits& limits) {
  std::string json;
  // Fails only for times out of range.
  if (!google::protobuf::util::MessageToJsonString(limits, &json).ok()) return "{}";
  return json;
}

v1::Limits LimitsFromJson(const std::string& json) {
  v1::Limits limits;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  if (!google::protobuf::util::JsonStringToMessage(json, &limits, options).ok()) return v1::Limits();
  return limits;
}

}  // namespace hypershift
