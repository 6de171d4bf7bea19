// Promises: where rows pile up is told from where they are waited for, by what the servers' sessions wait for; and
// nothing is said as long as too little was seen.
#include <gtest/gtest.h>

#include "coordinator/bottleneck.h"

namespace hypershift {
namespace {

using Part = v1::Bottleneck::Part;

Part JudgeSame(const CopySessions& sessions, int looks, bool limited = false) {
  CopyLooks all;
  for (int i = 0; i < looks; ++i) all.Add(sessions);
  return all.Judge(limited);
}

TEST(BottleneckTest, TheSideThatNobodyWaitsFor) {
  EXPECT_EQ(JudgeSame({.source = 4, .source_waits = 0, .target = 4, .target_waits = 4}, 3),
            v1::Bottleneck::PART_SOURCE_READ);
  EXPECT_EQ(JudgeSame({.source = 4, .source_waits = 4, .target = 4, .target_waits = 0}, 3),
            v1::Bottleneck::PART_TARGET_WRITE);
}

TEST(BottleneckTest, BothWaitForWhatIsBetween) {
  const CopySessions both = {.source = 4, .source_waits = 4, .target = 4, .target_waits = 3};
  EXPECT_EQ(JudgeSame(both, 3), v1::Bottleneck::PART_LINK);
  EXPECT_EQ(JudgeSame(both, 3, /*limited=*/true), v1::Bottleneck::PART_LIMIT);
}

TEST(BottleneckTest, TheBusierOneIfBothAreBusy) {
  EXPECT_EQ(JudgeSame({.source = 4, .source_waits = 0, .target = 4, .target_waits = 1}, 3),
            v1::Bottleneck::PART_SOURCE_READ);
  EXPECT_EQ(JudgeSame({.source = 4, .source_waits = 1, .target = 4, .target_waits = 0}, 3),
            v1::Bottleneck::PART_TARGET_WRITE);
}

// A source that has sent a whole range into buffers has no COPY any more, and is ahead all the same.
TEST(BottleneckTest, ACopyThatHasEndedOnOneSideWaits) {
  EXPECT_EQ(JudgeSame({.source = 0, .source_waits = 0, .target = 4, .target_waits = 0}, 3),
            v1::Bottleneck::PART_TARGET_WRITE);
  EXPECT_EQ(JudgeSame({.source = 4, .source_waits = 0, .target = 0, .target_waits = 0}, 3),
            v1::Bottleneck::PART_SOURCE_READ);
}

TEST(BottleneckTest, SaysNothingBeforeEnoughWasSeen) {
  EXPECT_EQ(CopyLooks().Judge(false), v1::Bottleneck::PART_UNSPECIFIED);
  EXPECT_EQ(JudgeSame({.source = 1, .source_waits = 1, .target = 1, .target_waits = 0}, 3),
            v1::Bottleneck::PART_UNSPECIFIED);
}

TEST(BottleneckTest, ForgetsWhatIsLongAgo) {
  CopyLooks looks;
  for (int i = 0; i < 50; ++i) looks.Add({.source = 4, .source_waits = 0, .target = 4, .target_waits = 4});
  for (int i = 0; i < 10; ++i) looks.Add({.source = 4, .source_waits = 4, .target = 4, .target_waits = 0});
  EXPECT_EQ(looks.Judge(false), v1::Bottleneck::PART_TARGET_WRITE);
}

TEST(BottleneckTest, OfAllWorkersTogether) {
  CopyLooks one;
  CopyLooks two;
  for (int i = 0; i < 4; ++i) one.Add({.source = 1, .source_waits = 1, .target = 1, .target_waits = 0});
  for (int i = 0; i < 4; ++i) two.Add({.source = 8, .source_waits = 0, .target = 8, .target_waits = 8});
  one += two;
  EXPECT_EQ(one.Judge(false), v1::Bottleneck::PART_SOURCE_READ);
}

}  // namespace
}  // namespace hypershift
