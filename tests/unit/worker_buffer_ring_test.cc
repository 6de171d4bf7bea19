// Promise: what goes into the ring comes out, in order and whole; memory stays bounded; neither side waits for one that
// has gone.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>

#include "worker/buffer_ring.h"

namespace hypershift {
namespace {

// Reads to the end; the pieces' sizes go to `sizes`.
absl::StatusOr<std::string> ReadAll(BufferRing* ring, std::vector<size_t>* sizes = nullptr) {
  std::string all;
  while (true) {
    absl::StatusOr<std::optional<absl::string_view>> piece = ring->Next();
    if (!piece.ok()) return piece.status();
    if (!piece->has_value()) return all;
    if (sizes != nullptr) sizes->push_back((*piece)->size());
    all.append((*piece)->data(), (*piece)->size());
  }
}

TEST(BufferRingTest, PassesABigStreamUnchanged) {
  BufferRing ring(3, 1000);
  std::mt19937 random(7);
  std::string sent;
  for (int i = 0; i < 5000; ++i) sent += std::string(random() % 200, static_cast<char>('a' + i % 26));
  std::thread producer([&] {
    std::mt19937 cut(8);
    for (size_t at = 0; at < sent.size();) {
      // Now and then a piece larger than a buffer.
      const size_t bytes = std::min<size_t>(cut() % 50 == 0 ? 3500 : cut() % 300, sent.size() - at);
      ASSERT_TRUE(ring.Append(absl::string_view(sent).substr(at, bytes)));
      at += bytes;
    }
    ring.Finish(absl::OkStatus());
  });
  EXPECT_EQ(ReadAll(&ring).value(), sent);
  producer.join();
}

TEST(BufferRingTest, FillsBuffersToTheBrim) {
  BufferRing ring(4, 10);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(ring.Append("abc"));
  ring.Finish(absl::OkStatus());
  std::vector<size_t> sizes;
  EXPECT_EQ(ReadAll(&ring, &sizes).value().size(), 24u);
  EXPECT_EQ(sizes, (std::vector<size_t>{10, 10, 4}));
}

// Promise: no part's bytes are another's, be they few or none, and what is said at the end comes after the last of
// them.
TEST(BufferRingTest, PartsEndOneByOne) {
  BufferRing ring(3, 10);
  const std::vector<std::string> parts = {"abc", "", std::string(35, 'd'), "", "", "e", std::string(10, 'f')};
  std::thread producer([&] {
    for (const std::string& part : parts) {
      for (size_t at = 0; at < part.size(); at += 4) ASSERT_TRUE(ring.Append(absl::string_view(part).substr(at, 4)));
      ASSERT_TRUE(ring.EndPart());
    }
    ring.Finish(absl::AbortedError("at the end"));
  });
  for (const std::string& part : parts) {
    const absl::StatusOr<std::string> read = ReadAll(&ring);
    // An error overtakes what has not been read yet.
    if (!read.ok()) break;
    EXPECT_EQ(*read, part);
  }
  EXPECT_TRUE(absl::IsAborted(ring.Next().status()));
  producer.join();

  ring.Reset();
  ASSERT_TRUE(ring.Append("g") && ring.EndPart());
  ring.Finish(absl::OkStatus());
  EXPECT_EQ(ReadAll(&ring).value(), "g");
  EXPECT_EQ(ring.Next().value(), std::nullopt);
  ring.Reset();
  ring.Abandon();
  EXPECT_FALSE(ring.EndPart());
}

TEST(BufferRingTest, AnEmptyStreamEnds) {
  BufferRing ring(2, 10);
  ring.Finish(absl::OkStatus());
  EXPECT_EQ(ReadAll(&ring).value(), "");
}

TEST(BufferRingTest, TheProducerWaitsWhenAllBuffersAreFull) {
  BufferRing ring(2, 10);
  std::atomic<int> appended{0};
  std::thread producer([&] {
    for (int i = 0; i < 5; ++i) {
      ASSERT_TRUE(ring.Append("0123456789abcde"));
      ++appended;
    }
    ring.Finish(absl::OkStatus());
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_LE(appended, 1);
  EXPECT_EQ(ReadAll(&ring).value().size(), 75u);
  producer.join();
}

TEST(BufferRingTest, ALargePieceIsLentNotCopied) {
  BufferRing ring(2, 10);
  const std::string large(1000, 'x');
  std::thread producer([&] {
    ASSERT_TRUE(ring.Append("abc"));
    ASSERT_TRUE(ring.Append(large));
    ring.Finish(absl::OkStatus());
  });
  EXPECT_EQ(ring.Next().value(), "abc");
  EXPECT_EQ(ring.Next().value()->data(), large.data());
  EXPECT_EQ(ring.Next().value(), std::nullopt);
  producer.join();
}

TEST(BufferRingTest, AnErrorOfTheProducerReachesTheConsumer) {
  BufferRing ring(2, 10);
  ASSERT_TRUE(ring.Append("abc"));
  ring.Finish(absl::DataLossError("cut"));
  EXPECT_TRUE(absl::IsDataLoss(ring.Next().status()));
}

TEST(BufferRingTest, AConsumerThatLeavesSetsTheProducerFree) {
  for (const size_t piece : {5, 500}) {
    BufferRing ring(2, 10);
    std::thread producer([&] {
      const std::string bytes(piece, 'x');
      while (ring.Append(bytes)) {
      }
      ring.Finish(absl::CancelledError("gone"));
    });
    ASSERT_TRUE(ring.Next().ok());
    ring.Abandon();
    producer.join();
  }
}

TEST(BufferRingTest, CanBeUsedAgain) {
  BufferRing ring(2, 10);
  ASSERT_TRUE(ring.Append("left over"));
  ring.Abandon();
  ring.Reset();
  ASSERT_TRUE(ring.Append("new"));
  ring.Finish(absl::OkStatus());
  EXPECT_EQ(ReadAll(&ring).value(), "new");
}

}  // namespace
}  // namespace hypershift
