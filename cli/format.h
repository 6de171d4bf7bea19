// How numbers, times and names are written for people: the status, the progress display and the summary.
//
// Pure functions; any thread. Widths are terminal columns. Names and messages come from servers: everything of theirs
// that reaches a terminal goes through SafeText() first, so that none can move the cursor or forge a line.
#ifndef HYPERSHIFT_CLI_FORMAT_H_
#define HYPERSHIFT_CLI_FORMAT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace hypershift {

// "512 B", "1.23 KiB", "957 MiB", "12.3 GiB": three significant digits. Negative values count as 0.
std::string FormatBytes(int64_t bytes);
// "107 MiB/s"; empty if it isn't above 0.
std::string FormatByteRate(double bytes_per_second);
// "3,000,000".
std::string FormatCount(int64_t count);
// The same in `width` columns at most: "12,345 M" where "12,345,000,000" is too wide.
std::string FormatCountWithin(int64_t count, int width);
// "0.4 s", "12.3 s", "2m 05s", "1h 02m", "3d 04h". Negative values count as 0.
std::string HumanDuration(absl::Duration duration);
// "41%", rounded down; "100%" for 1 and above only.
std::string FormatPercent(double share);
// Eighths of a block: "████▌░░░░░". `share` is brought into [0, 1]; full for 1 only.
std::string FormatBar(double share, int width);

// Valid UTF-8 without anything a terminal could obey: line breaks and tabs as spaces, other control characters (C0,
// DEL, C1), invisible marks and marks that turn the direction of writing as \xNN or \u{NNNN}.
std::string SafeText(absl::string_view text);
// Columns that safe text takes: East Asian wide characters and emoji 2, combining ones 0, others 1. The colour
// sequences of Colored() take none.
int DisplayWidth(absl::string_view text);
// At most `width` columns of safe, uncoloured text: the beginning and "…" where it is longer.
std::string Truncate(absl::string_view text, int width);
// Safe text brought to exactly `width` columns with spaces, truncated where it is longer. May be coloured if it fits.
std::string PadRight(absl::string_view text, int width);
std::string PadLeft(absl::string_view text, int width);

// A table in its schema as people write it, public.flights or "Mixed"."Table"; safe text.
std::string TableName(absl::string_view schema, absl::string_view name);

enum class Color { kNone, kDim, kBold, kRed, kGreen, kYellow, kCyan };
// The text between the terminal's sequences for that colour; unchanged for kNone and empty text.
std::string Colored(absl::string_view text, Color color);

struct TextColumn {
  std::string header;
  bool right = false;  // Numbers.
  // Its cells may be shortened for want of room, to `min_width` at least. Others never are.
  bool shrinks = false;
  int min_width = 12;
  // May be left out for want of room if it says the same in every row.
  bool optional = false;
  // May be left out whatever it says, rather than that names are shortened below 20 columns; the last such goes first.
  bool droppable = false;
};

// Lines of a table with its header, each cell as wide as its column's widest. Cells are safe text; missing ones are
// empty; a column without any text is left out. Fits into `width` if it can: 0 = no limit.
std::string FormatTable(const std::vector<TextColumn>& columns, const std::vector<std::vector<std::string>>& rows,
                        int width);

// "  mark text", broken between words into lines that fit into `width`, indented like the first; 0 = one line. Takes
// any text; ends with a line break.
std::string FormatItem(absl::string_view mark, absl::string_view text, int width);
// The same without mark and indent.
std::string FormatParagraph(absl::string_view text, int width);

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_FORMAT_H_
