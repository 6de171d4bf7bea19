#include "cli/format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/names.h"

namespace hypershift {
namespace {

constexpr absl::string_view kEllipsis = "…";

struct CodePoint {
  char32_t value = 0;
  int bytes = 0;  // 0 = not valid UTF-8.
};

// The code point at the front of `text`, which isn't empty. Overlong forms, surrogates and values above U+10FFFF are
// not valid.
CodePoint DecodeFirst(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const int length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || static_cast<int>(text.size()) < length) return {};
  char32_t value = lead & (0xFF >> (length + 1));
  for (int i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    value = (value << 6) | (byte(i) & 0x3F);
  }
  if (length == 3 && (value < 0x800 || (value >= 0xD800 && value <= 0xDFFF))) return {};
  if (length == 4 && (value < 0x10000 || value > 0x10FFFF)) return {};
  return {value, length};
}

struct CodePointRange {
  char32_t first;
  char32_t last;
};

template <size_t kSize>
bool InRanges(char32_t value, const CodePointRange (&ranges)[kSize]) {
  return std::any_of(std::begin(ranges), std::end(ranges),
                     [&](const CodePointRange& range) { return value >= range.first && value <= range.last; });
}

// What a reader can't see, or what changes the order in which the rest is shown.
bool IsHidden(char32_t value) {
  static constexpr CodePointRange kHidden[] = {{0xAD, 0xAD},     {0x61C, 0x61C},   {0x115F, 0x1160},  {0x180E, 0x180E},
                                               {0x200B, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x206F},  {0x3164, 0x3164},
                                               {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE0FFF}};
  return InRanges(value, kHidden);
}

bool IsControl(char32_t value) { return value < 0x20 || (value >= 0x7F && value <= 0x9F); }

int ColumnsOf(char32_t value) {
  static constexpr CodePointRange kCombining[] = {
      {0x300, 0x36F}, {0x483, 0x489},   {0x591, 0x5BD},   {0x610, 0x61A},   {0x64B, 0x65F},   {0xE31, 0xE31},
      {0xE34, 0xE3A}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}};
  static constexpr CodePointRange kWide[] = {{0x1100, 0x115E},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},
                                             {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
                                             {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F},
                                             {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
  if (value < 0x300) return 1;
  if (InRanges(value, kCombining)) return 0;
  return InRanges(value, kWide) ? 2 : 1;
}

// Bytes of the colour sequence at the front of `text`; 0 if there is none.
size_t ColorSequenceBytes(absl::string_view text) {
  if (text.size() < 3 || text[0] != '\x1b' || text[1] != '[') return 0;
  size_t end = 2;
  while (end < text.size() && absl::ascii_isdigit(text[end])) ++end;
  return end < text.size() && text[end] == 'm' ? end + 1 : 0;
}

// Three significant digits.
std::string ThreeDigits(double value) {
  if (value >= 99.95) return absl::StrFormat("%.0f", value);
  if (value >= 9.995) return absl::StrFormat("%.1f", value);
  return absl::StrFormat("%.2f", value);
}

std::string Spaces(int count) { return std::string(std::max(count, 0), ' '); }

// Any text behind a safe prefix, broken between words into lines that are indented by the prefix' width.
std::string Wrapped(absl::string_view prefix, absl::string_view text, int width) {
  const std::string safe = SafeText(text);
  const int indent = DisplayWidth(prefix);
  // Where so little is left, broken lines are no easier to read.
  constexpr int kMinText = 20;
  if (width - indent < kMinText) return absl::StrCat(prefix, safe, "\n");
  std::string wrapped(prefix);
  int used = indent;
  for (absl::string_view word : absl::StrSplit(safe, ' ', absl::SkipEmpty())) {
    const int word_width = DisplayWidth(word);
    if (used > indent && used + 1 + word_width > width) {
      absl::StrAppend(&wrapped, "\n", Spaces(indent));
      used = indent;
    }
    if (used > indent) wrapped += ' ';
    absl::StrAppend(&wrapped, word);
    used += word_width + (used > indent ? 1 : 0);
  }
  return absl::StrCat(wrapped, "\n");
}

using TextRows = std::vector<std::vector<std::string>>;

absl::string_view CellOf(const std::vector<std::string>& row, size_t column) {
  return column < row.size() ? absl::string_view(row[column]) : absl::string_view();
}

bool SameInEveryRow(const TextRows& rows, size_t column) {
  absl::string_view seen;
  for (const std::vector<std::string>& row : rows) {
    const absl::string_view cell = CellOf(row, column);
    if (!seen.empty() && !cell.empty() && cell != seen) return false;
    if (!cell.empty()) seen = cell;
  }
  return true;
}

// The width of each column; 0 = left out.
std::vector<int> NaturalWidths(const std::vector<TextColumn>& columns, const TextRows& rows) {
  std::vector<int> widths;
  for (size_t column = 0; column < columns.size(); ++column) {
    int widest = 0;
    for (const auto& row : rows) widest = std::max(widest, DisplayWidth(CellOf(row, column)));
    widths.push_back(widest == 0 ? 0 : std::max(widest, DisplayWidth(columns[column].header)));
  }
  return widths;
}

int LineWidth(const std::vector<int>& widths, int gap) {
  const int shown = static_cast<int>(std::count_if(widths.begin(), widths.end(), [](int width) { return width > 0; }));
  return std::accumulate(widths.begin(), widths.end(), 0) + gap * std::max(shown - 1, 0);
}

// Takes from the columns that can shrink what the line is too wide by.
void Shrink(const std::vector<TextColumn>& columns, int excess, std::vector<int>* widths) {
  for (size_t column = 0; column < columns.size(); ++column) {
    int& width = (*widths)[column];
    if (!columns[column].shrinks || width <= columns[column].min_width) continue;
    const int taken = std::clamp(excess, 0, width - columns[column].min_width);
    width -= taken;
    excess -= taken;
  }
}

// Whether the line fits with names that can still be told apart.
bool FitsReadably(const std::vector<TextColumn>& columns, std::vector<int> widths, int gap, int width) {
  constexpr int kReadable = 20;
  std::vector<TextColumn> readable = columns;
  for (TextColumn& column : readable) column.min_width = std::max(column.min_width, kReadable);
  Shrink(readable, LineWidth(widths, gap) - width, &widths);
  return LineWidth(widths, gap) <= width;
}

// First the optional columns go, then the gaps narrow, then names are shortened. Returns the gap.
int FitWidths(const std::vector<TextColumn>& columns, const TextRows& rows, int width, std::vector<int>* widths) {
  constexpr int kWideGap = 2;
  constexpr int kNarrowGap = 1;
  if (width <= 0) return kWideGap;
  for (size_t column = 0; column < columns.size() && LineWidth(*widths, kWideGap) > width; ++column) {
    if (columns[column].optional && SameInEveryRow(rows, column)) (*widths)[column] = 0;
  }
  if (LineWidth(*widths, kWideGap) <= width) return kWideGap;
  // A few columns less of a name read better than crammed numbers.
  constexpr int kLittle = 8;
  if (LineWidth(*widths, kWideGap) - width <= kLittle) {
    std::vector<int> shrunk = *widths;
    Shrink(columns, LineWidth(shrunk, kWideGap) - width, &shrunk);
    if (LineWidth(shrunk, kWideGap) <= width) {
      *widths = shrunk;
      return kWideGap;
    }
  }
  for (size_t column = columns.size(); column-- > 0 && !FitsReadably(columns, *widths, kNarrowGap, width);) {
    if (columns[column].droppable) (*widths)[column] = 0;
  }
  Shrink(columns, LineWidth(*widths, kNarrowGap) - width, widths);
  return kNarrowGap;
}

}  // namespace

std::string FormatBytes(int64_t bytes) {
  if (bytes < 1024) return absl::StrCat(std::max<int64_t>(bytes, 0), " B");
  static constexpr std::array<absl::string_view, 6> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // 1,000 and above would take a fourth digit.
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return absl::StrCat(ThreeDigits(value), " ", kUnits[unit]);
}

std::string FormatByteRate(double bytes_per_second) {
  if (!(bytes_per_second >= 1)) return "";
  return absl::StrCat(FormatBytes(static_cast<int64_t>(std::min(bytes_per_second, 9e18))), "/s");
}

std::string FormatCount(int64_t count) {
  std::string text = absl::StrCat(count);
  const int first_digit = count < 0 ? 1 : 0;
  for (int at = static_cast<int>(text.size()) - 3; at > first_digit; at -= 3) text.insert(at, ",");
  return text;
}

std::string FormatCountWithin(int64_t count, int width) {
  std::string text = FormatCount(count);
  for (absl::string_view unit : {" k", " M", " G", " T"}) {
    if (static_cast<int>(text.size()) <= width) break;
    count = (count + 500) / 1000;
    text = absl::StrCat(FormatCount(count), unit);
  }
  return text;
}

std::string HumanDuration(absl::Duration duration) {
  duration = std::clamp(duration, absl::ZeroDuration(), absl::Hours(24 * 36500));
  const double seconds = absl::ToDoubleSeconds(duration);
  if (seconds < 59.95) return absl::StrFormat("%.1f s", seconds);
  const int64_t whole = std::llround(seconds);
  if (whole < 3600) return absl::StrFormat("%dm %02ds", whole / 60, whole % 60);
  if (whole < 86400) return absl::StrFormat("%dh %02dm", whole / 3600, whole % 3600 / 60);
  return absl::StrFormat("%dd %02dh", whole / 86400, whole % 86400 / 3600);
}

std::string FormatPercent(double share) {
  if (share >= 1) return "100%";
  return absl::StrCat(share > 0 ? std::min(static_cast<int>(share * 100 + 1e-9), 99) : 0, "%");
}

std::string FormatBar(double share, int width) {
  static constexpr std::array<absl::string_view, 8> kEighths = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int all = width * 8;
  int filled = share >= 1 ? all : share > 0 ? std::min(static_cast<int>(share * all), all - 1) : 0;
  std::string bar;
  int cells = 0;
  for (; filled >= 8; filled -= 8, ++cells) bar += "█";
  if (filled > 0) {
    bar.append(kEighths[filled].data(), kEighths[filled].size());
    ++cells;
  }
  for (; cells < width; ++cells) bar += "░";
  return bar;
}

std::string SafeText(absl::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  while (!text.empty()) {
    const CodePoint first = DecodeFirst(text);
    const size_t bytes = std::max(first.bytes, 1);
    if (first.bytes == 0) {
      absl::StrAppendFormat(&safe, "\\x%02x", static_cast<unsigned char>(text[0]));
    } else if (first.value == '\n' || first.value == '\r' || first.value == '\t') {
      safe += ' ';
    } else if (IsControl(first.value)) {
      absl::StrAppendFormat(&safe, "\\x%02x", static_cast<unsigned>(first.value));
    } else if (IsHidden(first.value)) {
      absl::StrAppendFormat(&safe, "\\u{%04X}", static_cast<unsigned>(first.value));
    } else {
      safe.append(text.data(), bytes);
    }
    text.remove_prefix(bytes);
  }
  return safe;
}

int DisplayWidth(absl::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const size_t color_bytes = ColorSequenceBytes(text);
    if (color_bytes > 0) {
      text.remove_prefix(color_bytes);
      continue;
    }
    const CodePoint first = DecodeFirst(text);
    width += first.bytes == 0 ? 1 : ColumnsOf(first.value);
    text.remove_prefix(std::max(first.bytes, 1));
  }
  return width;
}

std::string Truncate(absl::string_view text, int width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  if (width <= 0) return "";
  int used = 0;
  size_t bytes = 0;
  while (bytes < text.size()) {
    const CodePoint next = DecodeFirst(text.substr(bytes));
    const int columns = next.bytes == 0 ? 1 : ColumnsOf(next.value);
    if (used + columns > width - 1) break;
    used += columns;
    bytes += std::max(next.bytes, 1);
  }
  return absl::StrCat(text.substr(0, bytes), kEllipsis);
}

std::string PadRight(absl::string_view text, int width) {
  std::string cut = Truncate(text, width);
  cut += Spaces(width - DisplayWidth(cut));
  return cut;
}

std::string PadLeft(absl::string_view text, int width) {
  const std::string cut = Truncate(text, width);
  return absl::StrCat(Spaces(width - DisplayWidth(cut)), cut);
}

std::string TableName(absl::string_view schema, absl::string_view name) {
  return SafeText(QualifiedName{std::string(schema), std::string(name)}.Display());
}

std::string Colored(absl::string_view text, Color color) {
  if (text.empty()) return "";
  absl::string_view code;
  switch (color) {
    case Color::kNone:
      return std::string(text);
    case Color::kDim:
      code = "2";
      break;
    case Color::kBold:
      code = "1";
      break;
    case Color::kRed:
      code = "31";
      break;
    case Color::kGreen:
      code = "32";
      break;
    case Color::kYellow:
      code = "33";
      break;
    case Color::kCyan:
      code = "36";
      break;
  }
  return absl::StrCat("\x1b[", code, "m", text, "\x1b[0m");
}

std::string FormatTable(const std::vector<TextColumn>& columns, const TextRows& rows, int width) {
  std::vector<int> widths = NaturalWidths(columns, rows);
  const int gap = FitWidths(columns, rows, width, &widths);
  std::string table;
  const auto append = [&](const auto& cell_of) {
    std::string line;
    for (size_t column = 0; column < columns.size(); ++column) {
      if (widths[column] == 0) continue;
      if (!line.empty()) line += Spaces(gap);
      line +=
          columns[column].right ? PadLeft(cell_of(column), widths[column]) : PadRight(cell_of(column), widths[column]);
    }
    absl::StrAppend(&table, absl::StripTrailingAsciiWhitespace(line), "\n");
  };
  append([&](size_t column) -> absl::string_view { return columns[column].header; });
  for (const std::vector<std::string>& row : rows) append([&](size_t column) { return CellOf(row, column); });
  return table;
}

std::string FormatItem(absl::string_view mark, absl::string_view text, int width) {
  return Wrapped(absl::StrCat("  ", mark, " "), text, width);
}

std::string FormatParagraph(absl::string_view text, int width) { return Wrapped("", text, width); }

}  // namespace hypershift
