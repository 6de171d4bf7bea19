#include "coordinator/hand_over.h"

#include <algorithm>
#include <utility>

namespace hypershift {
namespace {

// Before that, how fast a range goes can't be told.
constexpr absl::Duration kLeastRunning = absl::Seconds(5);
// A helper has to be so much quicker, since both speeds are estimates; and to begin takes some time.
constexpr double kMuchQuicker = 1.5;
constexpr absl::Duration kBeginning = absl::Seconds(1);

// Zero: it can't be told, or it does not move at all, and then would wait for the same lock elsewhere.
absl::Duration TimeLeft(const RunningCopy& copy) {
  if (copy.running < kLeastRunning || copy.bytes_done <= 0 || copy.bytes_done >= copy.bytes_total) {
    return absl::ZeroDuration();
  }
  const double share = static_cast<double>(copy.bytes_done) / static_cast<double>(copy.bytes_total);
  return copy.running * ((1 - share) / share);
}

}  // namespace

std::vector<HandOver> ChooseHandOvers(const std::vector<RunningCopy>& copies, std::vector<Helper> helpers) {
  std::vector<std::pair<absl::Duration, const RunningCopy*>> slowest;
  for (const RunningCopy& copy : copies) slowest.emplace_back(TimeLeft(copy), &copy);
  std::sort(slowest.begin(), slowest.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second->id < b.second->id;
  });
  std::stable_sort(helpers.begin(), helpers.end(),
                   [](const Helper& a, const Helper& b) { return a.slot_bytes_per_second > b.slot_bytes_per_second; });
  std::vector<HandOver> chosen;
  auto helper = helpers.begin();
  for (const auto& [left, copy] : slowest) {
    while (helper != helpers.end() && helper->free_slots == 0) ++helper;
    if (helper == helpers.end() || helper->slot_bytes_per_second <= 0) break;
    if (helper->worker == copy->worker) continue;
    const absl::Duration anew =
        absl::Seconds(static_cast<double>(copy->bytes_total) / helper->slot_bytes_per_second) + kBeginning;
    if (anew * kMuchQuicker >= left) break;
    chosen.push_back({copy->id, copy->attempt, copy->worker, helper->worker});
    --helper->free_slots;
  }
  return chosen;
}

}  // namespace hypershift
