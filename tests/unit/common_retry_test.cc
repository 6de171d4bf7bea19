#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "common/clock.h"
#include "common/retry.h"

namespace hypershift {
namespace {

TEST(BackoffTest, GrowsToItsMaximumAndEnds) {
  const BackoffPolicy policy{absl::Milliseconds(100), absl::Seconds(1), 2.0, 6};
  EXPECT_EQ(BackoffDelay(policy, 1), absl::Milliseconds(100));
  EXPECT_EQ(BackoffDelay(policy, 2), absl::Milliseconds(200));
  EXPECT_EQ(BackoffDelay(policy, 4), absl::Milliseconds(800));
  EXPECT_EQ(BackoffDelay(policy, 5), absl::Seconds(1));
  EXPECT_EQ(BackoffDelay(policy, 6), absl::Seconds(1));
  EXPECT_EQ(BackoffDelay(policy, 7), std::nullopt);
  EXPECT_EQ(BackoffDelay(policy, 0), std::nullopt);
}

// No policy overflows, hangs or shrinks.
TEST(BackoffTest, OddPoliciesAreSafe) {
  const int many = std::numeric_limits<int>::max();
  EXPECT_EQ(BackoffDelay({absl::Milliseconds(1), absl::Hours(1), 10.0, many}, many), absl::Hours(1));
  EXPECT_EQ(BackoffDelay({absl::Milliseconds(5), absl::Hours(1), 0.1, many}, many), absl::Milliseconds(5));
  EXPECT_EQ(BackoffDelay({absl::ZeroDuration(), absl::Hours(1), 2.0, many}, many), absl::ZeroDuration());
  EXPECT_EQ(BackoffDelay({absl::Seconds(5), absl::Seconds(1), 2.0, 3}, 1), absl::Seconds(1));
  EXPECT_EQ(BackoffDelay({absl::Seconds(5), absl::Seconds(1), 2.0, 0}, 1), std::nullopt);
}

// Workers that failed together don't come back together, yet a run can be repeated exactly.
TEST(BackoffTest, JitterSpreadsAndIsDeterministic) {
  const BackoffPolicy policy{absl::Seconds(8), absl::Seconds(8), 2.0, 3};
  std::set<absl::Duration> delays;
  absl::Duration sum;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    const auto delay = BackoffDelayWithJitter(policy, 1, seed);
    ASSERT_TRUE(delay);
    EXPECT_GT(*delay, absl::Seconds(4));
    EXPECT_LE(*delay, absl::Seconds(8));
    EXPECT_EQ(delay, BackoffDelayWithJitter(policy, 1, seed));
    EXPECT_NE(delay, BackoffDelayWithJitter(policy, 2, seed));
    delays.insert(*delay);
    sum += *delay;
  }
  EXPECT_GT(delays.size(), 990u);
  EXPECT_GT(sum / 1000, absl::Seconds(5.8));
  EXPECT_LT(sum / 1000, absl::Seconds(6.2));
  EXPECT_EQ(BackoffDelayWithJitter(policy, 4, 1), std::nullopt);
}

TEST(ClockTest, FakeClockMovesOnlyWhenTold) {
  FakeClock clock(absl::FromUnixSeconds(100));
  const Clock& shared = clock;
  EXPECT_EQ(shared.Now(), absl::FromUnixSeconds(100));
  clock.Advance(absl::Seconds(5));
  EXPECT_EQ(shared.Now(), absl::FromUnixSeconds(105));
  EXPECT_GT(SystemClock::Get()->Now(), absl::FromUnixSeconds(1700000000));
}

}  // namespace
}  // namespace hypershift
