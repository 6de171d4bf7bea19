#include "coordinator/time_column.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace hypershift {
namespace {

constexpr Oid kInt8 = 20;
constexpr Oid kInt2 = 21;
constexpr Oid kInt4 = 23;
constexpr Oid kDateType = 1082;
constexpr Oid kTimestampType = 1114;
constexpr Oid kTimestamptzType = 1184;

std::string Timestamp(int64_t microseconds) {
  const absl::CivilSecond civil = absl::ToCivilSecond(absl::FromUnixMicros(microseconds), absl::UTCTimeZone());
  const int64_t fraction = ((microseconds % 1'000'000) + 1'000'000) % 1'000'000;
  const int64_t year = civil.year() > 0 ? civil.year() : 1 - civil.year();
  std::string text = absl::StrFormat("%04d-%02d-%02d %02d:%02d:%02d", year, civil.month(), civil.day(), civil.hour(),
                                     civil.minute(), civil.second());
  if (fraction != 0) absl::StrAppendFormat(&text, ".%06d", fraction);
  return text;
}

bool IsBeforeChrist(int64_t microseconds) {
  return absl::ToCivilSecond(absl::FromUnixMicros(microseconds), absl::UTCTimeZone()).year() <= 0;
}

}  // namespace

std::optional<TimeType> TimeTypeOf(Oid base_type) {
  switch (base_type) {
    case kInt2:
    case kInt4:
    case kInt8:
      return TimeType::kInteger;
    case kDateType:
      return TimeType::kDate;
    case kTimestampType:
      return TimeType::kTimestamp;
    case kTimestamptzType:
      return TimeType::kTimestamptz;
    default:
      return std::nullopt;
  }
}

std::string TimeLiteral(TimeType type, int64_t internal) {
  if (type == TimeType::kInteger) return absl::StrCat(internal);
  const std::string era = IsBeforeChrist(internal) ? " BC" : "";
  const std::string text = Timestamp(internal);
  switch (type) {
    case TimeType::kDate:
      return absl::StrCat("'", text.substr(0, text.find(' ')), era, "'::date");
    case TimeType::kTimestamp:
      return absl::StrCat("'", text, era, "'::timestamp");
    default:
      return absl::StrCat("'", text, "+00", era, "'::timestamptz");
  }
}

std::string TimeDisplay(TimeType type, int64_t internal) {
  if (type == TimeType::kInteger) return absl::StrCat(internal);
  const std::string era = IsBeforeChrist(internal) ? " BC" : "";
  const std::string text = Timestamp(internal);
  const bool whole_day = internal % kMicrosecondsPerDay == 0;
  return absl::StrCat(whole_day ? text.substr(0, text.find(' ')) : text, era);
}

}  // namespace hypershift
