// Titled lists of lines in what is printed for people.
//
// Pure; any thread. Takes any text: it is made safe for a terminal.
#ifndef HYPERSHIFT_CLI_TEXT_SECTION_H_
#define HYPERSHIFT_CLI_TEXT_SECTION_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace hypershift {

// "12 tables", "1 table": a word whose plural is regular.
std::string Plural(int64_t count, absl::string_view one);

// A title and its items, no more than fit on a screen; nothing without items. `columns`: 0 = no limit.
class TextSection {
 public:
  TextSection(absl::string_view title, absl::string_view mark, int columns)
      : title_(title), mark_(mark), columns_(columns) {}
  void Add(absl::string_view text);
  // Begins with an empty line.
  std::string Text() const;

 private:
  const std::string title_;
  const std::string mark_;
  const int columns_;
  int count_ = 0;
  std::string items_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_CLI_TEXT_SECTION_H_
