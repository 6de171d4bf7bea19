#include "cli/text_section.h"

#include "absl/strings/str_cat.h"
#include "cli/format.h"

namespace hypershift {
namespace {

constexpr int kMaxItems = 50;

}  // namespace

std::string Plural(int64_t count, absl::string_view one) {
  return absl::StrCat(FormatCount(count), " ", one, count == 1 ? "" : "s");
}

void TextSection::Add(absl::string_view text) {
  if (++count_ <= kMaxItems) items_ += FormatItem(mark_, text, columns_);
}

std::string TextSection::Text() const {
  if (count_ == 0) return "";
  const std::string more =
      count_ > kMaxItems ? absl::StrCat("  … and ", FormatCount(count_ - kMaxItems), " more\n") : "";
  return absl::StrCat("\n", title_, "\n", items_, more);
}

}  // namespace hypershift
