#include "tests/fault/failpoint_rules.h"

#include <algorithm>
#include <regex>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/status_macros.h"
#include "hypershift/v1/types.pb.h"
#include "hypershift/v1/worker.pb.h"

namespace hypershift {
namespace {

constexpr std::array kActions = {
    std::pair(FailpointAction::kError, absl::string_view("error")),
    std::pair(FailpointAction::kExit, absl::string_view("exit")),
    std::pair(FailpointAction::kPause, absl::string_view("pause")),
    std::pair(FailpointAction::kRunThenError, absl::string_view("run-then-error")),
    std::pair(FailpointAction::kRunThenPause, absl::string_view("run-then-pause")),
};

constexpr bool InOrder() {
  for (size_t i = 0; i < kFailpoints.size(); ++i) {
    if (static_cast<size_t>(kFailpoints[i].point) != i) return false;
  }
  return static_cast<size_t>(Failpoint::kCoordinatorSnapshotExport) + 1 == kFailpoints.size();
}
static_assert(InOrder(), "kFailpoints must list the enumeration in its order");

bool DetailExists(FailpointDetail kind, const std::string& detail) {
  switch (kind) {
    case FailpointDetail::kNone:
      return false;
    case FailpointDetail::kTaskKind: {
      v1::TaskKind::Kind parsed = v1::TaskKind::KIND_UNSPECIFIED;
      return v1::TaskKind::Kind_Parse(detail, &parsed);
    }
    case FailpointDetail::kRpc:
      return v1::SynchronizeRequest::descriptor()
                 ->file()
                 ->FindServiceByName("WorkerService")
                 ->FindMethodByName(detail) != nullptr;
    case FailpointDetail::kJournalWrite:
      return std::find(kJournalWrites.begin(), kJournalWrites.end(), detail) != kJournalWrites.end();
  }
  return false;
}

FailpointSide SideOf(FailpointAction action) {
  const bool runs = action == FailpointAction::kRunThenError || action == FailpointAction::kRunThenPause;
  return runs ? FailpointSide::kAfter : FailpointSide::kBefore;
}

absl::StatusOr<int> ParseCount(const std::string& digits, absl::string_view what) {
  if (digits.empty()) return 1;
  int count = 0;
  if (!absl::SimpleAtoi(digits, &count) || count < 1) {
    return absl::InvalidArgumentError(absl::StrCat(what, " '", digits, "' is no count from 1"));
  }
  return count;
}

absl::Status ParsePoint(const std::string& name, const std::string& detail, FailpointRule* rule) {
  const auto* const entry =
      std::find_if(kFailpoints.begin(), kFailpoints.end(), [&](const FailpointEntry& e) { return e.name == name; });
  if (entry == kFailpoints.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no failpoint '", name, "'; there are ",
        absl::StrJoin(kFailpoints, ", ",
                      [](std::string* out, const FailpointEntry& e) { out->append(e.name.data(), e.name.size()); })));
  }
  if (!detail.empty() && !DetailExists(entry->detail, detail)) {
    return absl::InvalidArgumentError(absl::StrCat(name, " never says '", detail, "'"));
  }
  rule->point = entry->point;
  rule->detail = detail;
  return absl::OkStatus();
}

absl::Status ParseAction(const std::string& name, const std::string& argument, FailpointRule* rule) {
  const auto* const found =
      std::find_if(kActions.begin(), kActions.end(), [&](const auto& action) { return action.second == name; });
  if (found == kActions.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no action '", name, "'; there are error, exit, pause, run-then-error and run-then-pause"));
  }
  rule->action = found->first;
  if (rule->action != FailpointAction::kPause && rule->action != FailpointAction::kRunThenPause) {
    if (argument.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(name, " takes no argument"));
  }
  if (!absl::ParseDuration(argument, &rule->pause) || rule->pause <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ":'", argument, "' is no time such as 500ms or 2s"));
  }
  return absl::OkStatus();
}

absl::StatusOr<FailpointRule> ParseRule(const std::string& text) {
  static const std::regex kPattern(
      R"(^(keeper:)?([a-z_.]+)(\[([A-Za-z_]+)\])?=([a-z-]+?)(:([0-9a-z.]*?))?(@([0-9]+))?(x([0-9]+))?$)");
  std::smatch match;
  if (!std::regex_match(text, match, kPattern)) {
    return absl::InvalidArgumentError("not of the form [keeper:]name[[detail]]=action[:argument][@first][xtimes]");
  }
  FailpointRule rule;
  rule.text = text;
  rule.keeper = match[1].matched;
  HS_RETURN_IF_ERROR(ParsePoint(match[2].str(), match[4].str(), &rule));
  HS_RETURN_IF_ERROR(ParseAction(match[5].str(), match[7].str(), &rule));
  HS_ASSIGN_OR_RETURN(rule.first, ParseCount(match[9].str(), "the first pass"));
  HS_ASSIGN_OR_RETURN(rule.times, ParseCount(match[11].str(), "the number of passes"));
  return rule;
}

}  // namespace

absl::string_view FailpointName(Failpoint point) { return kFailpoints.at(static_cast<size_t>(point)).name; }

absl::string_view FailpointActionName(FailpointAction action) {
  return kActions.at(static_cast<size_t>(action)).second;
}

absl::StatusOr<std::vector<FailpointRule>> ParseFailpointRules(absl::string_view text) {
  std::vector<FailpointRule> rules;
  for (const absl::string_view piece : absl::StrSplit(text, ';', absl::SkipWhitespace())) {
    absl::StatusOr<FailpointRule> rule = ParseRule(std::string(absl::StripAsciiWhitespace(piece)));
    if (!rule.ok()) return absl::InvalidArgumentError(absl::StrCat("'", piece, "': ", rule.status().message()));
    rules.push_back(*std::move(rule));
  }
  return rules;
}

FailpointTrigger::FailpointTrigger(std::vector<FailpointRule> rules, bool in_keeper) {
  for (FailpointRule& rule : rules) {
    if (rule.keeper == in_keeper) rules_.push_back({std::move(rule)});
  }
}

std::optional<FailpointRule> FailpointTrigger::Pass(Failpoint point, FailpointSide side, absl::string_view detail) {
  std::optional<FailpointRule> firing;
  for (Counted& counted : rules_) {
    const FailpointRule& rule = counted.rule;
    if (rule.point != point || SideOf(rule.action) != side || (!rule.detail.empty() && rule.detail != detail)) continue;
    ++counted.passes;
    const bool fires = counted.passes >= rule.first && counted.passes - rule.first < rule.times;
    if (fires && !firing.has_value()) firing = rule;
  }
  return firing;
}

}  // namespace hypershift
