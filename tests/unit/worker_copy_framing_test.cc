// Promise: whatever a source sends, the framing is either understood exactly or refused, and no byte outside it is
// read.
#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "worker/copy_framing.h"

namespace hypershift {
namespace {

using Fields = std::vector<std::optional<std::string>>;

std::string Int16(int value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }

std::string Int32(int64_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string Tuple(const Fields& fields) {
  std::string tuple = Int16(static_cast<int>(fields.size()));
  for (const auto& field : fields) {
    tuple += Int32(field ? static_cast<int64_t>(field->size()) : -1);
    if (field) tuple += *field;
  }
  return tuple;
}

std::string Header(int64_t flags = 0, const std::string& extension = "") {
  return std::string("PGCOPY\n\377\r\n\0", 11) + Int32(flags) + Int32(static_cast<int64_t>(extension.size())) +
         extension;
}

// A copy on the heap of exactly this size, so that AddressSanitizer sees a read beyond it.
class Exact {
 public:
  explicit Exact(const std::string& bytes) : size_(bytes.size()), memory_(new char[bytes.size()]) {
    bytes.copy(memory_.get(), size_);
  }
  absl::string_view view() const { return {memory_.get(), size_}; }

 private:
  size_t size_;
  std::unique_ptr<char[]> memory_;
};

TEST(CopyFramingTest, FollowsAStream) {
  BinaryCopyFraming framing(2);
  const std::string first = Tuple({"a", std::nullopt});
  EXPECT_EQ(framing.Message(Header() + first).value(), first);
  const std::string second = Tuple({"", "bc"});
  EXPECT_EQ(framing.Message(second).value(), second);
  EXPECT_FALSE(framing.End().ok());
  EXPECT_EQ(framing.Message(Int16(-1)).value(), std::nullopt);
  EXPECT_TRUE(framing.End().ok());
  EXPECT_FALSE(framing.Message(second).ok());
}

TEST(CopyFramingTest, TakesAnEmptyStreamAndAHeaderWithExtension) {
  BinaryCopyFraming empty(3);
  EXPECT_EQ(empty.Message(Header() + Int16(-1)).value(), std::nullopt);
  EXPECT_TRUE(empty.End().ok());
  BinaryCopyFraming extended(0);
  EXPECT_EQ(extended.Message(Header(1, "xyz")).value(), std::nullopt);
  EXPECT_EQ(extended.Message(Tuple({})).value(), Tuple({}));
}

TEST(CopyFramingTest, KeepsCheckingALongStream) {
  const std::string good = Tuple({"a"});
  // Two tuples in each message from some point on: found before long, though not every tuple is looked through.
  BinaryCopyFraming framing(1);
  ASSERT_TRUE(framing.Message(Header()).ok());
  for (int64_t i = 0; i < BinaryCopyFraming::kCheckedTuples; ++i) {
    ASSERT_TRUE(framing.Message(good).ok());
  }
  int64_t passed = 0;
  while (framing.Message(good + good).ok()) ++passed;
  EXPECT_LT(passed, BinaryCopyFraming::kCheckInterval);
  // Another field count is seen at once.
  EXPECT_FALSE(framing.Message(Tuple({"a", "b"})).ok());
  EXPECT_FALSE(framing.Message("").ok());
}

TEST(CopyFramingTest, RefusesABadHeader) {
  EXPECT_FALSE(BinaryCopyFraming(1).Message("").ok());
  EXPECT_FALSE(BinaryCopyFraming(1).Message(Tuple({"a"})).ok());
  EXPECT_TRUE(absl::IsUnimplemented(BinaryCopyFraming(1).Message(Header(1 << 16)).status()));
  std::string long_extension = Header();
  long_extension.back() = 1;
  EXPECT_TRUE(absl::IsDataLoss(BinaryCopyFraming(1).Message(long_extension).status()));
}

TEST(CopyFramingTest, RefusesOtherFieldCountsLengthsAndRests) {
  EXPECT_TRUE(CheckTuple(Tuple({"a", "b"}), 2).ok());
  EXPECT_FALSE(CheckTuple(Tuple({"a"}), 2).ok());
  EXPECT_FALSE(CheckTuple(Tuple({"a", "b"}) + "x", 2).ok());
  EXPECT_FALSE(CheckTuple(Int16(1) + Int32(-2), 1).ok());
  EXPECT_FALSE(CheckTuple(Int16(1) + Int32(0x7fffffff) + "x", 1).ok());
  EXPECT_FALSE(CheckTuple(Int16(1) + Int32(0x80000000), 1).ok());
  EXPECT_FALSE(CheckTuple(Int16(-1), -1).ok());
}

TEST(CopyFramingTest, RefusesEveryTruncation) {
  const std::string whole = Tuple({"abc", std::nullopt, "", "defg"});
  for (size_t size = 0; size < whole.size(); ++size) {
    const Exact cut(whole.substr(0, size));
    EXPECT_FALSE(CheckTuple(cut.view(), 4).ok()) << size;
    absl::StatusOr<TupleFields> fields = TupleFields::Parse(cut.view());
    bool failed = !fields.ok();
    while (!failed && !fields->done()) failed = !fields->Next().ok();
    EXPECT_TRUE(failed || !fields->CheckEnd().ok()) << size;
  }
}

TEST(CopyFramingTest, SurvivesNoise) {
  std::mt19937 random(1);
  const std::string whole = Header() + Tuple({"abc", std::nullopt, "defg"});
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = whole;
    for (int changes = 0; changes < 3; ++changes) bytes[random() % bytes.size()] = static_cast<char>(random());
    const Exact noise(bytes.substr(0, random() % (bytes.size() + 1)));
    BinaryCopyFraming(3).Message(noise.view()).IgnoreError();
    CheckTuple(noise.view(), 3).IgnoreError();
    TextCopyLine(noise.view()).IgnoreError();
  }
}

TEST(CopyFramingTest, FieldsGiveTheirRawBytes) {
  const std::string tuple = Tuple({"ab", std::nullopt});
  absl::StatusOr<TupleFields> fields = TupleFields::Parse(tuple);
  ASSERT_TRUE(fields.ok());
  EXPECT_EQ(fields->Next().value(), Int32(2) + "ab");
  EXPECT_FALSE(fields->CheckEnd().ok());
  EXPECT_EQ(fields->Next().value(), Int32(-1));
  EXPECT_TRUE(fields->CheckEnd().ok());
  EXPECT_FALSE(fields->Next().ok());
}

TEST(CopyFramingTest, TextIsOneLineAMessage) {
  EXPECT_EQ(TextCopyLine("a\tb\n").value(), "a\tb");
  EXPECT_EQ(TextCopyLine("\n").value(), "");
  EXPECT_FALSE(TextCopyLine("").ok());
  EXPECT_FALSE(TextCopyLine("a\tb").ok());
  EXPECT_FALSE(TextCopyLine("a\nb\n").ok());
}

}  // namespace
}  // namespace hypershift
