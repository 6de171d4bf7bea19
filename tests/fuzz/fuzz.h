// What the fuzz targets share: how a broken property ends the program, and how an input is cut into parts.
#ifndef HYPERSHIFT_TESTS_FUZZ_FUZZ_H_
#define HYPERSHIFT_TESTS_FUZZ_FUZZ_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"

// What libFuzzer calls for each input.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace hypershift::fuzz {

// Ends the program, which is how libFuzzer learns of a finding.
inline void Require(bool holds, absl::string_view promise, absl::string_view what = "") {
  if (holds) return;
  std::fprintf(stderr, "broken: %.*s: %.*s\n", static_cast<int>(promise.size()), promise.data(),
               static_cast<int>(what.size()), what.data());
  std::abort();
}

// An input from its beginning to its end: first what decides how to test, then the text or bytes that are tested.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  // 0 when nothing is left.
  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  // At most so many bytes.
  absl::string_view Take(size_t size) {
    const absl::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  // Up to a byte that texts seldom hold, which is taken off as well.
  absl::string_view Line() {
    const absl::string_view line = rest_.substr(0, rest_.find('\n'));
    rest_.remove_prefix(std::min(rest_.size(), line.size() + 1));
    return line;
  }
  absl::string_view rest() const { return rest_; }
  bool empty() const { return rest_.empty(); }

 private:
  absl::string_view rest_;
};

}  // namespace hypershift::fuzz

#endif  // HYPERSHIFT_TESTS_FUZZ_FUZZ_H_
