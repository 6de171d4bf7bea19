// Promise: limits read the same in hypershift.yml, on the command line and in the journal, and a wrong one is one line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/config.h"
#include "common/limits.h"
#include "common/proto_time.h"

namespace hypershift {
namespace {

using ::testing::HasSubstr;

TEST(ParseBytesTest, KnowsDecimalAndBinaryUnits) {
  for (const auto& [text, bytes] : std::initializer_list<std::pair<const char*, int64_t>>{
           {"0", 0}, {"1000", 1000}, {"50MB", 50000000}, {"50 mb", 50000000}, {"1GiB", 1 << 30}, {"7kB", 7000}}) {
    const absl::StatusOr<int64_t> parsed = ParseBytes(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(*parsed, bytes) << text;
  }
  for (const char* text : {"", "MB", "-1", "1.5GB", "5 parsecs", "99999999999TB", "0x10"}) {
    EXPECT_FALSE(ParseBytes(text).ok()) << text;
  }
}

TEST(ParseBytesTest, ReadsWhatFormatWrites) {
  for (const int64_t bytes :
       {int64_t{0}, int64_t{1}, int64_t{1000}, int64_t{1024}, int64_t{52428800}, int64_t{50000000}, int64_t{1234567}}) {
    EXPECT_EQ(*ParseBytes(FormatExactBytes(bytes)), bytes);
  }
  EXPECT_EQ(FormatExactBytes(50000000), "50MB");
  EXPECT_EQ(FormatExactBytes(int64_t{1} << 30), "1GiB");
  EXPECT_EQ(FormatMeasuredBytes(1300000000), "1.21 GiB");
}

TEST(ParseLimitTest, SetsEachLimitAndShowsItAgain) {
  v1::Limits limits;
  for (const auto& [name, value] :
       std::initializer_list<std::pair<const char*, const char*>>{{"max-slots", "4"},
                                                                  {"max_bytes_per_second", "50MB"},
                                                                  {"max-source-load", "8"},
                                                                  {"max-replication-lag", "10s"},
                                                                  {"max-target-wal", "1GiB"}}) {
    ASSERT_TRUE(ParseLimit(name, value, &limits).ok()) << name;
  }
  EXPECT_EQ(limits.max_slots(), 4);
  EXPECT_EQ(limits.max_bytes_per_second(), 50000000);
  EXPECT_EQ(FromProto(limits.max_replication_lag()), absl::Seconds(10));
  std::string all;
  for (const std::string& name : LimitNames()) absl::StrAppend(&all, FormatLimit(limits, name), " ");
  EXPECT_EQ(all, "4 50MB 8 10s 1GiB ");
  // The journal's form keeps all of them.
  EXPECT_EQ(LimitsToJson(LimitsFromJson(LimitsToJson(limits))), LimitsToJson(limits));
  EXPECT_EQ(LimitsFromJson("nonsense").ByteSizeLong(), 0);
  for (const std::string& name : LimitNames()) {
    ASSERT_TRUE(ParseLimit(name, "off", &limits).ok());
    EXPECT_EQ(FormatLimit(limits, name), "none");
  }
}

TEST(ParseLimitTest, AWrongOneIsOneLineThatSaysWhatThereIs) {
  v1::Limits limits;
  const absl::Status unknown = ParseLimit("max-speed", "1", &limits);
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("'max-speed': there are max-slots, max-bytes-per-second"));
  EXPECT_THAT(std::string(ParseLimit("max-slots", "-1", &limits).message()), HasSubstr("max-slots: "));
  EXPECT_THAT(std::string(ParseLimit("max-replication-lag", "5", &limits).message()), HasSubstr("no time"));
  EXPECT_EQ(limits.ByteSizeLong(), 0);
}

// A lag of 0 takes the limit away, although 0 is also what an unset field reads as.
TEST(OverlayLimitsTest, ZeroTakesALimitAwayAndUnsetKeepsIt) {
  v1::Limits limits;
  ASSERT_TRUE(ParseLimit("max-replication-lag", "10s", &limits).ok());
  ASSERT_TRUE(ParseLimit("max-slots", "4", &limits).ok());
  v1::Limits changes;
  changes.mutable_max_replication_lag();
  OverlayLimits(changes, &limits);
  EXPECT_EQ(FormatLimit(limits, "max-replication-lag"), "none");
  EXPECT_EQ(limits.max_slots(), 4);
}

TEST(CheckLimitsTest, RefusesWhatIsBelowZero) {
  v1::Limits limits;
  EXPECT_TRUE(CheckLimits(limits).ok());
  limits.set_max_bytes_per_second(-1);
  EXPECT_TRUE(absl::IsInvalidArgument(CheckLimits(limits)));
}

TEST(ConfigLimitsTest, StandInTheFile) {
  const absl::StatusOr<Config> config = ParseConfig(
      "max_slots: 3\nmax_bytes_per_second: 50MB\nmax_source_load: 8\nmax_replication_lag: 1m\nmax_target_wal: 1GiB\n"
      "source_standbys: ['host=b', 'host=c']\n",
      "h.yml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->limits.max_slots(), 3);
  EXPECT_EQ(config->limits.max_target_wal(), 1 << 30);
  EXPECT_EQ(config->source_standbys.size(), 2);
  // They are not what makes a migration another one.
  EXPECT_EQ(config->Fingerprint(), Config().Fingerprint());
  const absl::StatusOr<Config> wrong = ParseConfig("verify: true\nmax_slots: many\n", "h.yml");
  EXPECT_EQ(wrong.status().message(), "h.yml:2: max-slots: 'many' is no number from 0 to 2147483647");
}

}  // namespace
}  // namespace hypershift
