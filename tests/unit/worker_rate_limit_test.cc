// Promise: what a worker reads stays within its share, in bursts of less than a second, whatever its slots
// do; none of them starves, and each can be stopped while it is held back.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "worker/rate_limit.h"

namespace hypershift {
namespace {

const auto kNever = [] { return false; };

// Takes as fast as it is let until the time is over; the bytes of each thread.
std::vector<int64_t> TakeFor(RateLimit* limit, absl::Duration time, const std::vector<int64_t>& pieces) {
  std::vector<int64_t> taken(pieces.size());
  std::vector<std::thread> threads;
  const absl::Time end = absl::Now() + time;
  for (size_t i = 0; i < pieces.size(); ++i) {
    threads.emplace_back([&, i] {
      while (absl::Now() < end && limit->Take(pieces[i], [&] { return absl::Now() >= end; })) taken[i] += pieces[i];
    });
  }
  for (std::thread& thread : threads) thread.join();
  return taken;
}

TEST(RateLimitTest, WithoutALimitNobodyWaits) {
  RateLimit limit;
  EXPECT_EQ(limit.quantum(), 0);
  EXPECT_TRUE(limit.Take(int64_t{1} << 40, [] { return true; }));
  limit.Charge(int64_t{1} << 40);
  EXPECT_EQ(limit.waited(), absl::ZeroDuration());
  // Nothing of it is owed when there is one.
  limit.SetRate(1000000);
  EXPECT_TRUE(limit.Take(1000, kNever));
}

TEST(RateLimitTest, HoldsWithinTenPercentAndFairly) {
  RateLimit limit;
  limit.SetRate(10000000);
  const std::vector<int64_t> taken = TakeFor(&limit, absl::Seconds(3), {65536, 65536, 65536, 65536});
  int64_t sum = 0;
  for (const int64_t bytes : taken) sum += bytes;
  EXPECT_GT(sum, 27000000);
  EXPECT_LT(sum, 33000000);
  for (const int64_t bytes : taken) EXPECT_NEAR(bytes, sum / 4, sum / 20);
  EXPECT_GT(limit.waited(), absl::Seconds(10));
}

// A row larger than a second's worth is paid off by those that follow.
TEST(RateLimitTest, ALargePieceIsPaidOff) {
  RateLimit limit;
  limit.SetRate(1000000);
  const absl::Time began = absl::Now();
  EXPECT_TRUE(limit.Take(500000, kNever));
  EXPECT_TRUE(limit.Take(1, kNever));
  EXPECT_GE(absl::Now() - began, absl::Milliseconds(480));
  // What was not waited for counts as well.
  limit.Charge(300000);
  const absl::Time charged = absl::Now();
  EXPECT_TRUE(limit.Take(1, kNever));
  EXPECT_GE(absl::Now() - charged, absl::Milliseconds(280));
}

TEST(RateLimitTest, AnIdleBucketHoldsLessThanASecond) {
  FakeClock clock;
  RateLimit limit(&clock);
  limit.SetRate(1000000);
  clock.Advance(absl::Hours(1));
  EXPECT_TRUE(limit.Take(750000, kNever));
  EXPECT_FALSE(limit.Take(1, [] { return true; })) << "more than that at once";
}

TEST(RateLimitTest, WhoIsHeldBackCanBeStoppedAndKeepsNobodyWaiting) {
  RateLimit limit;
  limit.SetRate(10);
  ASSERT_TRUE(limit.Take(1, kNever));
  ASSERT_TRUE(limit.Take(1000000, kNever));  // A day's debt.
  std::atomic<bool> stop{false};
  std::atomic<bool> second_took{false};
  std::thread first([&] { EXPECT_FALSE(limit.Take(1, [&] { return stop.load(); })); });
  absl::SleepFor(absl::Milliseconds(50));
  std::thread second([&] { second_took = limit.Take(1, kNever); });
  stop = true;
  const absl::Time asked = absl::Now();
  first.join();
  EXPECT_LT(absl::Now() - asked, absl::Milliseconds(500));
  // Nor does it wait on when the limit is taken away.
  limit.SetRate(0);
  second.join();
  EXPECT_TRUE(second_took);
}

TEST(RateLimitTest, AnotherShareHoldsAtOnce) {
  RateLimit limit;
  limit.SetRate(1000000);
  std::thread change([&] {
    absl::SleepFor(absl::Seconds(1));
    limit.SetRate(5000000);
  });
  const std::vector<int64_t> taken = TakeFor(&limit, absl::Seconds(2), {20000, 20000});
  change.join();
  EXPECT_NEAR(taken[0] + taken[1], 6000000, 700000);
}

}  // namespace
}  // namespace hypershift
