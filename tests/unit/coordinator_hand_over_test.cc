// Promises: a last range is handed over only to somebody who begins it anew and still is done much sooner; the one with
// the most time left first.
#include <gtest/gtest.h>

#include "coordinator/hand_over.h"

namespace hypershift {
namespace {

RunningCopy Copy(int64_t id, absl::Duration running, int64_t done, int64_t total, const std::string& worker = "slow") {
  return {.id = id, .attempt = 1, .worker = worker, .running = running, .bytes_done = done, .bytes_total = total};
}

Helper Idle(const std::string& name, double speed, int slots = 1) {
  return {.worker = name, .free_slots = slots, .slot_bytes_per_second = speed};
}

TEST(HandOverTest, ToWhoIsDoneMuchSooner) {
  // 90 s are left; anew it takes 10.
  const auto chosen = ChooseHandOvers({Copy(7, absl::Seconds(10), 100, 1000)}, {Idle("fast", 100)});
  ASSERT_EQ(chosen.size(), 1);
  EXPECT_EQ(chosen[0].id, 7);
  EXPECT_EQ(chosen[0].attempt, 1);
  EXPECT_EQ(chosen[0].from, "slow");
  EXPECT_EQ(chosen[0].to, "fast");
}

TEST(HandOverTest, NotToWhoIsHardlySooner) {
  // 90 s are left; anew it takes 60 and a second to begin.
  EXPECT_TRUE(ChooseHandOvers({Copy(7, absl::Seconds(10), 100, 1000)}, {Idle("fast", 1000.0 / 60)}).empty());
}

TEST(HandOverTest, NotBeforeItsSpeedIsKnown) {
  EXPECT_TRUE(ChooseHandOvers({Copy(7, absl::Seconds(4), 1, 1000)}, {Idle("fast", 1000)}).empty());
  EXPECT_TRUE(ChooseHandOvers({Copy(7, absl::Seconds(60), 0, 1000)}, {Idle("fast", 1000)}).empty());
}

TEST(HandOverTest, NotToWhoseSpeedIsNotKnown) {
  EXPECT_TRUE(ChooseHandOvers({Copy(7, absl::Seconds(10), 1, 1000)}, {Idle("new", 0)}).empty());
}

TEST(HandOverTest, NotWhatMayBeDoneAnyMoment) {
  // More has come than was estimated.
  EXPECT_TRUE(ChooseHandOvers({Copy(7, absl::Seconds(60), 1200, 1000)}, {Idle("fast", 1000)}).empty());
}

TEST(HandOverTest, NotToTheWorkerThatHasIt) {
  EXPECT_TRUE(ChooseHandOvers({Copy(7, absl::Seconds(10), 1, 1000, "fast")}, {Idle("fast", 1000)}).empty());
}

TEST(HandOverTest, TheSlowestRangeToTheFastestHelper) {
  const auto chosen = ChooseHandOvers({Copy(1, absl::Seconds(10), 500, 1000), Copy(2, absl::Seconds(10), 10, 1000),
                                       Copy(3, absl::Seconds(10), 100, 1000)},
                                      {Idle("fair", 90), Idle("fast", 200)});
  ASSERT_EQ(chosen.size(), 2);
  EXPECT_EQ(chosen[0].id, 2);
  EXPECT_EQ(chosen[0].to, "fast");
  EXPECT_EQ(chosen[1].id, 3);
  EXPECT_EQ(chosen[1].to, "fair");
}

TEST(HandOverTest, NoMoreThanThereAreSlots) {
  const std::vector<RunningCopy> copies = {Copy(1, absl::Seconds(10), 10, 1000), Copy(2, absl::Seconds(10), 10, 1000),
                                           Copy(3, absl::Seconds(10), 10, 1000)};
  EXPECT_EQ(ChooseHandOvers(copies, {Idle("fast", 500, 2)}).size(), 2);
}

}  // namespace
}  // namespace hypershift
