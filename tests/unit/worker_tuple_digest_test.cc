// Promise: the digest doesn't depend on the order of rows or on how they are split, and changes when any value, NULL or
// field boundary does; values that compression may rewrite are summed apart.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "worker/stream_digest.h"
#include "worker/tuple_digest.h"

namespace hypershift {
namespace {

using Fields = std::vector<std::optional<std::string>>;

std::string Tuple(const Fields& fields) {
  std::string tuple = {'\0', static_cast<char>(fields.size())};
  for (const auto& field : fields) {
    if (!field) {
      tuple += "\xff\xff\xff\xff";
      continue;
    }
    tuple += std::string{'\0', '\0', static_cast<char>(field->size() >> 8), static_cast<char>(field->size())};
    tuple += *field;
  }
  return tuple;
}

Digest OfBinary(const std::vector<Fields>& rows, const std::vector<int32_t>& rewritable = {}) {
  TupleDigest digest(rows.empty() ? 0 : static_cast<int>(rows[0].size()), rewritable);
  for (const Fields& row : rows) EXPECT_TRUE(digest.AddBinary(Tuple(row)).ok());
  return digest.digest();
}

Digest OfText(int fields, const std::vector<std::string>& lines, const std::vector<int32_t>& rewritable = {}) {
  TupleDigest digest(fields, rewritable);
  for (const std::string& line : lines) EXPECT_TRUE(digest.AddText(line).ok());
  return digest.digest();
}

TEST(TupleDigestTest, OrderDoesNotMatter) {
  EXPECT_EQ(OfBinary({{"a", "b"}, {"c", "d"}, {"e", std::nullopt}}),
            OfBinary({{"e", std::nullopt}, {"a", "b"}, {"c", "d"}}));
  EXPECT_NE(OfBinary({{"a", "b"}, {"c", "d"}}), OfBinary({{"a", "d"}, {"c", "b"}}));
}

TEST(TupleDigestTest, DigestsOfPartsAddUp) {
  for (const std::vector<int32_t>& rewritable : {std::vector<int32_t>{}, std::vector<int32_t>{1}}) {
    Digest sum = OfBinary({{"a", "b"}, {"c", "d"}}, rewritable);
    sum += OfBinary({{"e", "f"}}, rewritable);
    EXPECT_EQ(sum, OfBinary({{"a", "b"}, {"c", "d"}, {"e", "f"}}, rewritable));
    EXPECT_EQ(sum.rows, 3);
  }
}

TEST(TupleDigestTest, SumsDoNotCancelOut) {
  // With XOR two equal rows would vanish.
  EXPECT_NE(OfBinary({{"a"}, {"a"}}).sum, absl::uint128(0));
  EXPECT_NE(OfBinary({{"a"}, {"a"}}).sum, OfBinary({{"b"}, {"b"}}).sum);
}

TEST(TupleDigestTest, BoundariesAndNullsAreBound) {
  for (const std::vector<int32_t>& rewritable : {std::vector<int32_t>{}, std::vector<int32_t>{2}}) {
    EXPECT_NE(OfBinary({{"ab", "c", "x"}}, rewritable).sum, OfBinary({{"a", "bc", "x"}}, rewritable).sum);
    EXPECT_NE(OfBinary({{"", std::nullopt, "x"}}, rewritable).sum, OfBinary({{std::nullopt, "", "x"}}, rewritable).sum);
    EXPECT_NE(OfBinary({{"", "", "x"}}, rewritable).sum, OfBinary({{std::nullopt, std::nullopt, "x"}}, rewritable).sum);
  }
  EXPECT_NE(OfText(3, {"ab\tc\tx"}, {2}).sum, OfText(3, {"a\tbc\tx"}, {2}).sum);
}

TEST(TupleDigestTest, RewritableFieldsAreSummedApart) {
  const Digest before = OfBinary({{"1", "ABC", "2"}}, {1});
  const Digest after = OfBinary({{"1", "abc", "2"}}, {1});
  EXPECT_EQ(before.sum, after.sum);
  EXPECT_NE(before.rewritable_sum, after.rewritable_sum);
  EXPECT_NE(OfBinary({{"1", "ABC", "3"}}, {1}).sum, before.sum);
  EXPECT_EQ(OfBinary({{"1", "ABC", "3"}}, {1}).rewritable_sum, before.rewritable_sum);
  EXPECT_EQ(OfBinary({{"1", "ABC", "2"}}).rewritable_sum, absl::uint128(0));

  const Digest text_before = OfText(3, {"1\tABC\t2"}, {1});
  const Digest text_after = OfText(3, {"1\tabc\t2"}, {1});
  EXPECT_EQ(text_before.sum, text_after.sum);
  EXPECT_NE(text_before.rewritable_sum, text_after.rewritable_sum);
}

TEST(TupleDigestTest, EveryFieldRewritable) {
  const Digest digest = OfBinary({{"a", "b"}}, {0, 1});
  EXPECT_EQ(digest.rows, 1);
  EXPECT_EQ(digest.rewritable_sum, OfBinary({{"a", "b"}}, {1, 0}).rewritable_sum);
  EXPECT_NE(digest.rewritable_sum, OfBinary({{"a", "c"}}, {0, 1}).rewritable_sum);
}

TEST(TupleDigestTest, PiecewiseEqualsWholeForLongRows) {
  // The split path must give what a hash in one go over the same bytes gives, also beyond XXH3's short-input limit.
  const std::string value(300, 'v');
  const Digest split = OfBinary({{value, value, "r"}}, {2});
  TupleDigest whole(2, {});
  const std::string both = Tuple({value, value});
  ASSERT_TRUE(whole.AddText(both.substr(2)).ok());
  EXPECT_EQ(split.sum, whole.digest().sum);
}

TEST(TupleDigestTest, MalformedRowsAreErrors) {
  TupleDigest digest(2, {1});
  EXPECT_TRUE(absl::IsDataLoss(digest.AddBinary(Tuple({"a"}))));
  EXPECT_TRUE(absl::IsDataLoss(digest.AddBinary(Tuple({"a", "b"}).substr(0, 8))));
  EXPECT_TRUE(absl::IsDataLoss(digest.AddText("a")));
  EXPECT_TRUE(absl::IsDataLoss(digest.AddText("a\tb\tc")));
}

TEST(TupleDigestTest, HexIs32Digits) {
  EXPECT_EQ(DigestHex(0), "00000000000000000000000000000000");
  EXPECT_EQ(DigestHex(absl::MakeUint128(1, 0xabc)), "00000000000000010000000000000abc");
}

TEST(StreamDigestTest, CountsRowsOfBothFormats) {
  StreamDigest binary(v1::COPY_FORMAT_BINARY, 1, {});
  ASSERT_TRUE(binary.Message(std::string("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19) + Tuple({"a"})).ok());
  ASSERT_TRUE(binary.Message(Tuple({"b"})).ok());
  EXPECT_FALSE(binary.End().ok());
  ASSERT_TRUE(binary.Message("\xff\xff").ok());
  EXPECT_TRUE(binary.End().ok());
  EXPECT_EQ(binary.digest(), OfBinary({{"b"}, {"a"}}));
  EXPECT_EQ(binary.RewritableHex(), "");

  StreamDigest text(v1::COPY_FORMAT_TEXT, 2, {0});
  ASSERT_TRUE(text.Message("a\tb\n").ok());
  EXPECT_FALSE(text.Message("a\tb").ok());
  EXPECT_EQ(text.digest().rows, 1);
  EXPECT_EQ(text.RewritableHex().size(), 32u);
}

}  // namespace
}  // namespace hypershift
