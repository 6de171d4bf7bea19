// Promise: time is cut where the rows are, by what the statistics say, whatever the calendar says; and pieces always
// make up the whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "coordinator/time_profile.h"

namespace hypershift {
namespace {

constexpr int64_t kDay = 86'400'000'000;

// Shares of the pieces that cuts make.
std::vector<double> Shares(const TimeProfile& profile, int64_t start, int64_t end, const std::vector<int64_t>& cuts) {
  std::vector<double> shares;
  int64_t from = start;
  for (const int64_t cut : cuts) shares.push_back(profile.ShareOf(std::exchange(from, cut), cut, kDay));
  shares.push_back(profile.ShareOf(from, end, kDay));
  return shares;
}

TEST(TimeProfileTest, WithoutStatisticsPiecesAreEquallyLong) {
  EXPECT_EQ(TimeProfile().Cut(0, 100, 4, 1), (std::vector<int64_t>{25, 50, 75}));
  EXPECT_EQ(TimeProfile().Cut(-100, 0, 2, 1), (std::vector<int64_t>{-50}));
  EXPECT_TRUE(TimeProfile().Cut(0, 100, 1, 1).empty());
}

TEST(TimeProfileTest, AYearOfWhichMostLiesInOneDay) {
  TimeProfile profile;
  profile.statistics.resize(1);
  // 5 % before that day, 90 % in it, 5 % after.
  for (int i = 0; i <= 5; ++i) profile.statistics[0].histogram.push_back(i * 20 * kDay);
  for (int i = 1; i <= 90; ++i) profile.statistics[0].histogram.push_back(100 * kDay + i * kDay / 90);
  for (int i = 1; i <= 5; ++i) profile.statistics[0].histogram.push_back(101 * kDay + i * 50 * kDay);
  const std::vector<int64_t> cuts = profile.Cut(0, 365 * kDay, 10, 1);
  ASSERT_EQ(cuts.size(), 9);
  for (const double share : Shares(profile, 0, 365 * kDay, cuts)) EXPECT_NEAR(share, 0.1, 0.001);
  EXPECT_EQ(std::count_if(cuts.begin(), cuts.end(), [](int64_t cut) { return cut > 100 * kDay && cut < 101 * kDay; }),
            9);
}

TEST(TimeProfileTest, ValuesThatManyShareCount) {
  TimeProfile profile;
  profile.statistics.resize(1);
  profile.statistics[0].common = {{10, 0.25}, {50, 0.75}};  // A quarter has 10, half has 50, a quarter lies elsewhere.
  profile.statistics[0].histogram = {0, 100};
  EXPECT_NEAR(profile.ShareOf(0, 10, 100), 0.025, 1e-9);
  EXPECT_NEAR(profile.ShareOf(10, 11, 100), 0.2525, 1e-9);
  EXPECT_NEAR(profile.ShareOf(0, 50, 100), 0.375, 1e-9);
  EXPECT_NEAR(profile.ShareOf(0, 51, 100), 0.8775, 1e-9);
  EXPECT_NEAR(profile.ShareOf(0, 101, 100), 1, 1e-9);
}

TEST(TimeProfileTest, AValueIsNeverCutInTwo) {
  TimeProfile profile;
  profile.statistics.resize(1);
  profile.statistics[0].common = {{50, 1.0}};
  EXPECT_EQ(profile.Cut(0, 100, 10, 1), (std::vector<int64_t>{51}));
}

TEST(TimeProfileTest, CutsOfDatesAreDays) {
  TimeProfile profile;
  profile.statistics.resize(1);
  for (int i = 0; i <= 100; ++i) profile.statistics[0].histogram.push_back(i * kDay / 10);
  for (const int64_t cut : profile.Cut(0, 10 * kDay, 40, kDay)) EXPECT_EQ(cut % kDay, 0);
  EXPECT_EQ(profile.Cut(0, 10 * kDay, 40, kDay).size(), 9);
  // Before 1970 too.
  EXPECT_EQ(TimeProfile().Cut(-3 * kDay, 0, 2, kDay), (std::vector<int64_t>{-1 * kDay}));
}

TEST(TimeProfileTest, PartitionsCountByTheirSize) {
  TimeProfile profile;
  profile.statistics.resize(2);
  profile.statistics[0].histogram = {0, 100};
  profile.statistics[0].weight = 1;
  profile.statistics[1].histogram = {100, 200};
  profile.statistics[1].weight = 3;
  EXPECT_NEAR(profile.ShareOf(0, 100, 100), 0.25, 1e-9);
  EXPECT_NEAR(profile.ShareOf(100, 200, 100), 0.75, 1e-9);
  EXPECT_EQ(profile.Cut(0, 200, 2, 1), (std::vector<int64_t>{134}));
}

TEST(TimeProfileTest, CutsAscendWithinWhateverTheStatisticsSay) {
  std::mt19937_64 random(7);
  const auto number = [&random](int64_t from, int64_t to) {
    return std::uniform_int_distribution<int64_t>(from, to)(random);
  };
  for (int round = 0; round < 2000; ++round) {
    TimeProfile profile;
    profile.statistics.resize(1);
    for (int64_t i = number(0, 20); i > 0; --i) profile.statistics[0].histogram.push_back(number(-1000, 1000));
    std::sort(profile.statistics[0].histogram.begin(), profile.statistics[0].histogram.end());
    double sum = 0;
    for (int64_t i = number(0, 5), value = -1000; i > 0; --i) {
      value += number(1, 400);
      sum += 0.19;
      profile.statistics[0].common.emplace_back(value, sum);
    }
    const int64_t start = number(-1200, 1000);
    const int64_t end = start + number(1, 1000);
    int64_t last = start;
    const std::vector<int64_t> cuts = profile.Cut(start, end, number(1, 50), number(1, 3));
    for (const int64_t cut : cuts) {
      ASSERT_GT(cut, last) << round;
      ASSERT_LT(cut, end) << round;
      last = cut;
    }
    const std::vector<double> shares = Shares(profile, start, end, cuts);
    double all = 0;
    for (const double share : shares) {
      ASSERT_GE(share, -1e-9) << round;
      all += share;
    }
    if (!profile.statistics[0].empty()) {
      ASSERT_NEAR(all, profile.ShareOf(start, end, kDay), 1e-9) << round;
    }
  }
}

}  // namespace
}  // namespace hypershift
