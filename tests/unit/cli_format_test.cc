// Promise: numbers and times read well at every size, and nothing a server says can command a terminal.
#include <gtest/gtest.h>

#include <limits>

#include "cli/format.h"

namespace hypershift {
namespace {

TEST(FormatTest, BytesHaveThreeSignificantDigits) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(-5), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1024), "1.00 KiB");
  EXPECT_EQ(FormatBytes(1260), "1.23 KiB");
  EXPECT_EQ(FormatBytes(10234), "9.99 KiB");
  EXPECT_EQ(FormatBytes(10239), "10.0 KiB");
  EXPECT_EQ(FormatBytes(957 << 20), "957 MiB");
  EXPECT_EQ(FormatBytes(1023 << 20), "1.00 GiB");
  EXPECT_EQ(FormatBytes(std::numeric_limits<int64_t>::max()), "8.00 EiB");
}

TEST(FormatTest, RatesAreEmptyAtAStandstill) {
  EXPECT_EQ(FormatByteRate(107.0 * (1 << 20)), "107 MiB/s");
  EXPECT_EQ(FormatByteRate(0), "");
  EXPECT_EQ(FormatByteRate(std::numeric_limits<double>::quiet_NaN()), "");
}

TEST(FormatTest, CountsHaveSeparators) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(3000000), "3,000,000");
  EXPECT_EQ(FormatCount(-123456), "-123,456");
  EXPECT_EQ(FormatCountWithin(999999999, 11), "999,999,999");
  EXPECT_EQ(FormatCountWithin(1234567890, 11), "1,234,568 k");
  EXPECT_EQ(FormatCountWithin(12345000000000, 11), "12,345 G");
}

TEST(FormatTest, DurationsUseTheUnitsOfTheirSize) {
  EXPECT_EQ(HumanDuration(absl::Seconds(-1)), "0.0 s");
  EXPECT_EQ(HumanDuration(absl::Milliseconds(400)), "0.4 s");
  EXPECT_EQ(HumanDuration(absl::Milliseconds(12300)), "12.3 s");
  EXPECT_EQ(HumanDuration(absl::Milliseconds(59970)), "1m 00s");
  EXPECT_EQ(HumanDuration(absl::Seconds(125)), "2m 05s");
  EXPECT_EQ(HumanDuration(absl::Seconds(3725)), "1h 02m");
  EXPECT_EQ(HumanDuration(absl::Hours(76)), "3d 04h");
}

TEST(FormatTest, OnlyTheWholeIsAHundredPercent) {
  EXPECT_EQ(FormatPercent(-1), "0%");
  EXPECT_EQ(FormatPercent(0.29), "29%");
  EXPECT_EQ(FormatPercent(0.9999), "99%");
  EXPECT_EQ(FormatPercent(1), "100%");
  EXPECT_EQ(FormatPercent(7), "100%");
}

TEST(FormatTest, TheBarIsFullOnlyAtTheEnd) {
  EXPECT_EQ(FormatBar(0, 4), "░░░░");
  EXPECT_EQ(FormatBar(0.5, 4), "██░░");
  EXPECT_EQ(FormatBar(0.625, 4), "██▌░");
  EXPECT_EQ(FormatBar(0.99999, 4), "███▉");
  EXPECT_EQ(FormatBar(1, 4), "████");
  EXPECT_EQ(FormatBar(-1, 2), "░░");
  EXPECT_EQ(FormatBar(0.5, 0), "");
  for (double share = 0; share <= 1; share += 0.01) EXPECT_EQ(DisplayWidth(FormatBar(share, 17)), 17);
}

TEST(FormatTest, NoTextCanCommandATerminal) {
  EXPECT_EQ(SafeText("plain, öäü, 日本"), "plain, öäü, 日本");
  EXPECT_EQ(SafeText("\x1b[2J\x07\x7f"), "\\x1b[2J\\x07\\x7f");
  EXPECT_EQ(SafeText("\xc2\x9b"
                     "2J"),
            "\\x9b2J")
      << "C1 controls count too";
  EXPECT_EQ(SafeText("a\r\nb\tc"), "a  b c") << "no line can be forged";
  EXPECT_EQ(SafeText("a\u202Eb"), "a\\u{202E}b") << "nor the order of what is shown";
  EXPECT_EQ(SafeText(absl::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(SafeText("\xff\xc0\xaf\xe2\x82"), "\\xff\\xc0\\xaf\\xe2\\x82") << "invalid UTF-8";
  EXPECT_EQ(SafeText("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogates";
}

TEST(FormatTest, EveryByteIsMadeSafe) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string safe = SafeText(std::string{static_cast<char>(first), static_cast<char>(second)});
      for (unsigned char c : safe) EXPECT_TRUE(c >= 0x20 && c != 0x7f);
      EXPECT_EQ(SafeText(safe), safe);
    }
  }
}

TEST(FormatTest, WidthsAreTerminalColumns) {
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("öäü…█"), 5);
  EXPECT_EQ(DisplayWidth("日本"), 4);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1);
  EXPECT_EQ(DisplayWidth(Colored("abc", Color::kRed)), 3);
}

TEST(FormatTest, TruncationKeepsTheWidth) {
  EXPECT_EQ(Truncate("public.flights", 14), "public.flights");
  EXPECT_EQ(Truncate("public.flights", 8), "public.…");
  EXPECT_EQ(Truncate("日本語", 4), "日…") << "half a character never shows";
  EXPECT_EQ(Truncate("abc", 1), "…");
  EXPECT_EQ(Truncate("abc", 0), "");
  EXPECT_EQ(PadRight("日本語", 4), "日… ");
  EXPECT_EQ(PadLeft("42", 5), "   42");
}

TEST(FormatTest, TableNamesAreWrittenAsInSql) {
  EXPECT_EQ(TableName("public", "flights"), "public.flights");
  EXPECT_EQ(TableName("public", "Order Lines"), "public.\"Order Lines\"");
  EXPECT_EQ(TableName("public", "a\x1b[31mb"), "public.\"a\\x1b[31mb\"");
}

TEST(FormatTest, TablesAlignNumbersRightAndLeaveEmptyColumnsOut) {
  const std::vector<TextColumn> columns = {
      {.header = "table", .shrinks = true}, {.header = "rows", .right = true}, {.header = "verify"}};
  EXPECT_EQ(FormatTable(columns, {{"a.b", "7"}, {"long.name", "1,000"}}, 0),
            "table       rows\n"
            "a.b            7\n"
            "long.name  1,000\n");
}

TEST(FormatTest, TablesFitIntoTheirWidth) {
  const std::vector<TextColumn> columns = {
      {.header = "table", .shrinks = true}, {.header = "rows", .right = true}, {.header = "format", .optional = true}};
  const std::vector<std::vector<std::string>> same = {{"public.device_measurements", "1,000", "binary"},
                                                      {"b", "1", "binary"}};
  EXPECT_EQ(FormatTable(columns, same, 34),
            "table                        rows\n"
            "public.device_measurements  1,000\n"
            "b                               1\n")
      << "what says the same in every row goes first";
  const std::vector<std::vector<std::string>> mixed = {{"public.device_measurements", "1,000", "binary"},
                                                       {"b", "1", "text"}};
  EXPECT_EQ(FormatTable(columns, mixed, 36),
            "table                   rows  format\n"
            "public.device_measur…  1,000  binary\n"
            "b                          1  text\n");
}

TEST(FormatTest, NamesStayReadableAtTheCostOfLesserColumns) {
  const std::vector<TextColumn> columns = {{.header = "table", .shrinks = true},
                                           {.header = "ranges", .right = true, .droppable = true},
                                           {.header = "rows", .right = true}};
  const std::vector<std::vector<std::string>> rows = {{"public.device_measurements", "512", "1,000"}};
  EXPECT_EQ(FormatTable(columns, rows, 28),
            "table                   rows\n"
            "public.device_measure… 1,000\n");
}

TEST(FormatTest, ItemsBreakBetweenWords) {
  EXPECT_EQ(FormatItem("!", "one two", 0), "  ! one two\n");
  EXPECT_EQ(FormatItem("!", "a table has no primary key: add one", 26),
            "  ! a table has no primary\n"
            "    key: add one\n");
  EXPECT_EQ(FormatItem("!", "x\ny\x1b", 0), "  ! x y\\x1b\n");
}

}  // namespace
}  // namespace hypershift
