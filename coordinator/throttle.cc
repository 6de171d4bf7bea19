#include "coordinator/throttle.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "common/proto_time.h"

namespace hypershift {
namespace {

constexpr absl::Duration kCalm = absl::Seconds(3);
constexpr absl::Duration kLastAnswerCounts = absl::Seconds(30);

constexpr Gauge kGauges[] = {Gauge::kSourceLoad, Gauge::kReplicationLag, Gauge::kTargetWal};

const char* NameOf(Gauge gauge) {
  switch (gauge) {
    case Gauge::kSourceLoad:
      return "max-source-load";
    case Gauge::kReplicationLag:
      return "max-replication-lag";
    case Gauge::kTargetWal:
      return "max-target-wal";
  }
  return "";
}

int64_t LimitOf(Gauge gauge, const v1::Limits& limits) {
  switch (gauge) {
    case Gauge::kSourceLoad:
      return limits.max_source_load();
    case Gauge::kReplicationLag:
      return absl::ToInt64Milliseconds(FromProto(limits.max_replication_lag()));
    case Gauge::kTargetWal:
      return limits.max_target_wal();
  }
  return 0;
}

std::string Describe(Gauge gauge, int64_t value, const std::string& where) {
  switch (gauge) {
    case Gauge::kSourceLoad:
      return absl::StrCat(value, value == 1 ? " active session" : " active sessions", " on the source");
    case Gauge::kReplicationLag:
      return absl::StrCat("the source's stand-by ", where, " lags ",
                          absl::FormatDuration(absl::Milliseconds(value / 100 * 100)));
    case Gauge::kTargetWal:
      return absl::StrCat(FormatMeasuredBytes(value), " of WAL on the target since its last checkpoint");
  }
  return "";
}

}  // namespace

void Throttle::TakeIn(Gauge gauge, const absl::StatusOr<int64_t>& measured, const std::string& where, absl::Time now) {
  State& state = gauges_[gauge];
  state.asked_since = std::min(state.asked_since, now);
  state.error = measured.status();
  if (!measured.ok()) return;
  state.value = *measured;
  state.where = where;
  state.answered_at = now;
}

std::string Throttle::Reason(const v1::Limits& limits, absl::Time now) {
  std::string reason;
  for (const Gauge gauge : kGauges) {
    const auto found = gauges_.find(gauge);
    const int64_t limit = LimitOf(gauge, limits);
    if (found == gauges_.end() || limit <= 0) continue;
    State& state = found->second;
    if (!state.value.has_value() || now - state.answered_at > kLastAnswerCounts) continue;
    const bool above = *state.value > limit;
    if (above) state.above_at = now;
    if ((!above && now - state.above_at >= kCalm) || !reason.empty()) continue;
    const std::string name = NameOf(gauge);
    reason = absl::StrCat(Describe(gauge, *state.value, state.where), above ? ", more than " : ", just now more than ",
                          name, " ", FormatLimit(limits, name));
  }
  return reason;
}

std::vector<std::string> Throttle::Warnings(const v1::Limits& limits, absl::Time now) const {
  std::vector<std::string> warnings;
  for (const auto& [gauge, state] : gauges_) {
    if (LimitOf(gauge, limits) <= 0 || state.error.ok()) continue;
    const bool counts = state.value.has_value() && now - state.answered_at <= kLastAnswerCounts;
    warnings.push_back(absl::StrCat(NameOf(gauge), counts ? " goes by an old answer" : " holds nothing back now", ": ",
                                    state.error.message()));
  }
  return warnings;
}

}  // namespace hypershift
