#include "coordinator/time_range.h"

#include <cinttypes>
#include <cstdio>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace hypershift {
namespace {

struct Moment {
  int64_t internal = 0;
  bool integer = false;
};

std::optional<Moment> ParseMoment(absl::string_view text) {
  Moment moment;
  if (absl::SimpleAtoi(text, &moment.internal)) {
    moment.integer = true;
    return moment;
  }
  const bool before_christ = absl::ConsumeSuffix(&text, " BC");
  int64_t year = 0;
  int month = 0, day = 0, hour = 0, minute = 0, second = 0, length = 0;
  char fraction[8] = "";
  const std::string copy(text);
  const int fields = std::sscanf(copy.c_str(), "%" SCNd64 "-%d-%d%n %d:%d:%d%n.%7[0-9]%n", &year, &month, &day, &length,
                                 &hour, &minute, &second, &length, fraction, &length);
  if ((fields != 3 && fields != 6 && fields != 7) || length != static_cast<int>(copy.size())) return std::nullopt;
  if (before_christ) year = 1 - year;
  std::string microseconds(fraction);
  microseconds.resize(6, '0');
  int64_t fraction_value = 0;
  if (!absl::SimpleAtoi(microseconds, &fraction_value)) return std::nullopt;
  const absl::Time time =
      absl::FromCivil(absl::CivilSecond(year, month, day, hour, minute, second), absl::UTCTimeZone());
  moment.internal = absl::ToUnixSeconds(time) * 1000000 + fraction_value;
  return moment;
}

}  // namespace

std::optional<TimeRange> ParseTimeRange(absl::string_view description) {
  TimeRange range;
  if (absl::ConsumePrefix(&description, "chunk from ")) {
    const std::optional<Moment> start = ParseMoment(description.substr(0, description.find(" and ")));
    if (!start.has_value()) return std::nullopt;
    range.start = start->internal;
    range.integer = start->integer;
    return range;
  }
  const size_t middle = description.find(" to ");
  if (middle == absl::string_view::npos) return std::nullopt;
  const std::optional<Moment> start = ParseMoment(description.substr(0, middle));
  const std::optional<Moment> end = ParseMoment(description.substr(middle + 4));
  if (!start.has_value() || !end.has_value() || start->integer != end->integer) return std::nullopt;
  return TimeRange{start->internal, end->internal, start->integer};
}

}  // namespace hypershift
