#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "common/log.h"

namespace hypershift {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::MatchesRegex;

class LogTest : public testing::Test {
 protected:
  void Start(LogFormat format, LogLevel level = LogLevel::kInfo) {
    LogOptions options;
    options.format = format;
    options.level = level;
    options.sink = [this](absl::string_view line) { lines_.emplace_back(line); };
    InitLog(options);
  }
  void TearDown() override { InitLog({}); }

  std::vector<std::string> lines_;
};

TEST_F(LogTest, TextIsTimeLevelMessageFields) {
  Start(LogFormat::kText);
  LogInfo("range copied", {{"task", 7}, {"rows", int64_t{1} << 40}, {"table", "public.flights"}});
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_THAT(lines_[0], MatchesRegex("[0-9-]+T[0-9:]+\\.[0-9][0-9][0-9]Z INFO range copied task=7 rows=1099511627776 "
                                      "table=public\\.flights"));
}

// A line can't be forged by data from a server.
TEST_F(LogTest, TextValuesCannotBreakOut) {
  Start(LogFormat::kText);
  LogWarning("x\ny", {{"error", "a\n2026 ERROR \"forged\" task=9"}, {"empty", ""}, {"escape", "\x1b[2J"}, {"n", "ü"}});
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_THAT(lines_[0], EndsWith("WARNING x\\x0ay error=\"a\\n2026 ERROR \\\"forged\\\" task=9\" empty=\"\" "
                                  "escape=\"\\x1b[2J\" n=ü"));
}

TEST_F(LogTest, JsonIsOneObjectPerLine) {
  Start(LogFormat::kJson);
  LogError("it \"broke\"\n", {{"task", 7}, {"level", "forged"}, {"bytes", "\xff\xfe"}});
  ASSERT_EQ(lines_.size(), 1u);
  const auto line = nlohmann::json::parse(lines_[0]);
  EXPECT_EQ(line["level"], "error");
  EXPECT_EQ(line["message"], "it \"broke\"\n");
  EXPECT_EQ(line["task"], "7");
  EXPECT_EQ(line["field_level"], "forged");
  EXPECT_TRUE(line.contains("time"));
  EXPECT_EQ(lines_[0].find('\n'), std::string::npos);
}

TEST_F(LogTest, LevelsBelowTheChosenOneAreDropped) {
  Start(LogFormat::kText, LogLevel::kWarning);
  LogDebug("a");
  LogInfo("b");
  LogWarning("c");
  LogError("d");
  EXPECT_THAT(lines_, ElementsAre(EndsWith("WARNING c"), EndsWith("ERROR d")));
  Start(LogFormat::kText, LogLevel::kDebug);
  LogDebug("e");
  EXPECT_THAT(lines_.back(), EndsWith("DEBUG e"));
}

// The sink is called under a lock: a progress display needs none of its own.
TEST_F(LogTest, ThreadsDoNotMixLines) {
  Start(LogFormat::kText);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int n = 0; n < 500; ++n) LogInfo("hello", {{"n", n}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lines_.size(), 2000u);
  std::vector<std::string> others;
  SetLogSink([&](absl::string_view line) { others.emplace_back(line); });
  LogInfo("elsewhere");
  EXPECT_EQ(lines_.size(), 2000u);
  EXPECT_EQ(others.size(), 1u);
}

}  // namespace
}  // namespace hypershift
