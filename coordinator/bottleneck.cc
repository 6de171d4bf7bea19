#include "coordinator/bottleneck.h"

#include <algorithm>

namespace hypershift {
namespace {

constexpr size_t kMaxLooks = 10;
// Sessions seen, over all looks: fewer say nothing.
constexpr int kLeastSessions = 4;

}  // namespace

void CopyLooks::Add(const CopySessions& sessions) {
  looks_.push_back(sessions);
  if (looks_.size() > kMaxLooks) looks_.pop_front();
}

CopyLooks& CopyLooks::operator+=(const CopyLooks& other) {
  looks_.insert(looks_.end(), other.looks_.begin(), other.looks_.end());
  return *this;
}

v1::Bottleneck::Part CopyLooks::Judge(bool limited) const {
  int copies = 0;
  int source_waits = 0;
  int target_waits = 0;
  for (const CopySessions& look : looks_) {
    copies += std::max(look.source, look.target);
    // A range that the source has sent to its end while the target still takes it waits as well, and the other way
    // round.
    source_waits += look.source_waits + std::max(0, look.target - look.source);
    target_waits += look.target_waits + std::max(0, look.source - look.target);
  }
  if (copies < kLeastSessions) return v1::Bottleneck::PART_UNSPECIFIED;
  const bool source_is_ahead = 2 * source_waits >= copies;
  const bool target_is_ahead = 2 * target_waits >= copies;
  if (source_is_ahead && target_is_ahead) return limited ? v1::Bottleneck::PART_LIMIT : v1::Bottleneck::PART_LINK;
  if (source_is_ahead == target_is_ahead) {
    // Both are busy: the busier one.
    return source_waits <= target_waits ? v1::Bottleneck::PART_SOURCE_READ : v1::Bottleneck::PART_TARGET_WRITE;
  }
  return target_is_ahead ? v1::Bottleneck::PART_SOURCE_READ : v1::Bottleneck::PART_TARGET_WRITE;
}

}  // namespace hypershift
