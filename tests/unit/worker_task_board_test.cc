#include <gtest/gtest.h>

#include <thread>

#include "worker/task_board.h"

namespace hypershift {
namespace {

v1::LeasedTask Lease(int64_t id, int64_t bundle) {
  v1::LeasedTask lease;
  lease.set_id(id);
  lease.set_attempt(1);
  lease.set_bundle(bundle);
  return lease;
}

std::vector<int64_t> Ids(const std::vector<TaskBoard::EntryPtr>& entries) {
  std::vector<int64_t> ids;
  for (const auto& entry : entries) ids.push_back(entry->lease.id());
  return ids;
}

// Promise: one slot takes a bundle as a whole, and nothing else with it.
TEST(TaskBoardTest, ABundleIsTakenTogether) {
  TaskBoard board;
  board.Add({Lease(1, 0), Lease(2, 0), Lease(3, 3), Lease(4, 3), Lease(5, 3), Lease(6, 6), Lease(7, 6)});
  EXPECT_EQ(board.size(), 7);
  EXPECT_EQ(board.slots(), 4);
  board.Revoke(4, 1);
  const auto first = board.Take(nullptr);
  EXPECT_EQ(Ids(first), (std::vector<int64_t>{1}));
  EXPECT_EQ(Ids(board.Take(nullptr)), (std::vector<int64_t>{2}));
  const auto bundle = board.Take(nullptr);
  EXPECT_EQ(Ids(bundle), (std::vector<int64_t>{3, 5})) << "what was revoked before it began is no part of it";
  EXPECT_EQ(Ids(board.Take(nullptr)), (std::vector<int64_t>{6, 7}));
  EXPECT_EQ(board.unended(), 6);
  for (const auto& entry : bundle) board.Ended(entry);
  EXPECT_EQ(board.unended(), 4);
  EXPECT_EQ(board.slots(), 4) << "its end is still to be reported";
  for (const auto& entry : bundle) board.Forget(entry);
  EXPECT_EQ(board.slots(), 3);
}

// Promise: a bundle that comes while a slot waits is not torn apart.
TEST(TaskBoardTest, ASlotThatWaitsGetsAllOfIt) {
  TaskBoard board;
  std::vector<int64_t> taken;
  std::thread slot([&] { taken = Ids(board.Take(nullptr)); });
  board.Add({Lease(1, 1), Lease(2, 1), Lease(3, 1)});
  slot.join();
  EXPECT_EQ(taken, (std::vector<int64_t>{1, 2, 3}));
  board.Close();
  EXPECT_TRUE(board.Take(nullptr).empty());
}

// Promise: an attempt that is on the board already is not run twice.
TEST(TaskBoardTest, AnAttemptComesOnce) {
  TaskBoard board;
  board.Add({Lease(1, 0)});
  board.Add({Lease(1, 0), Lease(2, 0)});
  EXPECT_EQ(board.size(), 2);
}

}  // namespace
}  // namespace hypershift
