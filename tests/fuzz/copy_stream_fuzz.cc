// Promise: whatever a source sends as a COPY stream, the framing takes exactly what the format's description allows,
// looks at no byte outside it, and passes on what it was given; and the digest of the rows does not depend on their
// order, nor on how they are divided.
//
// Input: the number of fields, the rewritable ones as bits, then the stream's messages, each after its length in two
// bytes.
#include <optional>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "worker/copy_framing.h"
#include "worker/tuple_digest.h"

namespace hypershift::fuzz {
namespace {

constexpr int kMostFields = 8;
constexpr absl::string_view kSignature("PGCOPY\n\377\r\n\0", 11);

uint32_t BigEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (const char c : bytes) value = (value << 8) | static_cast<unsigned char>(c);
  return value;
}

// The format again, from its description and as plainly as it can be said.
// https://www.postgresql.org/docs/15/sql-copy.html
class Reference {
 public:
  explicit Reference(int fields) : fields_(fields) {}

  bool Takes(absl::string_view message) {
    if (ended_) return false;
    if (!begun_) {
      if (message.substr(0, 11) != kSignature || message.size() < 19) return false;
      if (BigEndian(message.substr(11, 2)) != 0) return false;
      const uint64_t extension = BigEndian(message.substr(15, 4));
      if (19 + extension > message.size()) return false;
      message.remove_prefix(19 + extension);
      begun_ = true;
      if (message.empty()) return true;
    }
    if (message == absl::string_view("\377\377", 2)) {
      ended_ = true;
      return true;
    }
    tuple_ = message;
    return IsTuple(message);
  }
  bool ended() const { return ended_; }
  absl::string_view tuple() const { return tuple_; }

  bool IsTuple(absl::string_view bytes) const {
    if (bytes.size() < 2 || BigEndian(bytes.substr(0, 2)) != static_cast<uint32_t>(fields_)) return false;
    bytes.remove_prefix(2);
    for (int i = 0; i < fields_; ++i) {
      if (bytes.size() < 4) return false;
      const uint32_t length = BigEndian(bytes.substr(0, 4));
      bytes.remove_prefix(4);
      if (length == 0xffffffff) continue;
      if (length > 0x7fffffff || length > bytes.size()) return false;
      bytes.remove_prefix(length);
    }
    return bytes.empty();
  }

 private:
  const int fields_;
  bool begun_ = false;
  bool ended_ = false;
  absl::string_view tuple_;
};

void CheckFields(absl::string_view tuple, int fields) {
  std::string walked;
  bool whole = true;
  absl::StatusOr<TupleFields> steps = TupleFields::Parse(tuple);
  if (steps.ok() && steps->count() == fields) {
    walked = std::string(tuple.substr(0, 2));
    while (whole && !steps->done()) {
      const absl::StatusOr<absl::string_view> field = steps->Next();
      whole = field.ok();
      if (whole) walked += std::string(*field);
    }
    whole = whole && steps->CheckEnd().ok();
  } else {
    whole = false;
  }
  Require(whole == Reference(fields).IsTuple(tuple), "a tuple is understood exactly or refused");
  Require(whole == CheckTuple(tuple, fields).ok(), "both ways through a tuple judge alike");
  Require(!whole || walked == tuple, "the fields of a tuple are the tuple");
}

void CheckText(absl::string_view message) {
  const absl::StatusOr<absl::string_view> line = TextCopyLine(message);
  const bool is_line = !message.empty() && message.find('\n') == message.size() - 1;
  Require(line.ok() == is_line, "a line of text is a line");
  if (line.ok()) Require(std::string(*line) + "\n" == message, "a line is passed on as it came");
}

Digest Sum(const std::vector<std::string>& tuples, int fields, const std::vector<int32_t>& rewritable, bool text) {
  TupleDigest digest(fields, rewritable);
  for (const std::string& tuple : tuples) {
    const absl::Status added = text ? digest.AddText(tuple) : digest.AddBinary(tuple);
    Require(added.ok(), "a row that is one is hashed", added.message());
  }
  return digest.digest();
}

void CheckDigest(const std::vector<std::string>& rows, int fields, const std::vector<int32_t>& rewritable, bool text,
                 size_t cut) {
  const Digest whole = Sum(rows, fields, rewritable, text);
  const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.empty() ? 0 : cut % (rows.size() + 1));
  Digest parts = Sum({middle, rows.end()}, fields, rewritable, text);
  parts += Sum({rows.begin(), middle}, fields, rewritable, text);
  Require(parts == whole, "digests of parts add up to that of the whole");
  Require(Sum({rows.rbegin(), rows.rend()}, fields, rewritable, text) == whole, "the order of rows does not matter");
  if (rows.empty()) return;
  std::vector<std::string> fewer(rows.begin() + 1, rows.end());
  Require(!(Sum(fewer, fields, rewritable, text) == whole), "a row less is another digest");
  // A field that belongs to the key of nothing else: any change of any byte must show in one of the sums.
  std::string& changed = fewer.emplace_back(rows.front());
  if (text || changed.size() <= 2) return;
  const size_t last = changed.size() - 1;
  changed[last] = static_cast<char>(changed[last] ^ 1);
  if (!Reference(fields).IsTuple(changed)) return;  // It was the length of a field.
  Require(!(Sum(fewer, fields, rewritable, text) == whole), "a changed row is another digest");
}

void Check(Input input) {
  const int fields = input.Byte() % (kMostFields + 1);
  const uint8_t bits = input.Byte();
  const uint8_t cut = input.Byte();
  std::vector<int32_t> rewritable;
  for (int32_t field = 0; field < fields; ++field) {
    if ((bits >> field) & 1) rewritable.push_back(field);
  }
  BinaryCopyFraming framing(fields);
  Reference reference(fields);
  std::vector<std::string> tuples;
  std::vector<std::string> lines;
  bool broken = false;
  while (!input.empty()) {
    const size_t length = static_cast<size_t>(input.Byte()) << 8 | input.Byte();
    // A copy on the heap of exactly this size, so that AddressSanitizer sees a read beyond it.
    const absl::string_view bytes = input.Take(length);
    const std::vector<char> memory(bytes.begin(), bytes.end());
    const absl::string_view message(memory.data(), memory.size());
    CheckFields(message, fields);
    CheckText(message);
    TupleDigest(fields, rewritable).AddBinary(message).IgnoreError();
    TupleDigest text(fields, rewritable);
    const bool is_line = message.find('\n') == absl::string_view::npos;
    if (text.AddText(message).ok() && is_line) lines.emplace_back(message);
    if (broken) continue;
    const absl::StatusOr<std::optional<absl::string_view>> tuple = framing.Message(message);
    const bool taken = reference.Takes(message);
    Require(tuple.ok() == taken, "the framing takes what the format allows", tuple.status().message());
    broken = !taken;
    if (!taken || !tuple->has_value()) continue;
    Require(**tuple == reference.tuple(), "the tuple is where the format has it");
    tuples.emplace_back(**tuple);
  }
  if (!broken) Require(framing.End().ok() == reference.ended(), "a stream that is cut short is noticed");
  CheckDigest(tuples, fields, rewritable, /*text=*/false, cut);
  CheckDigest(lines, fields, rewritable, /*text=*/true, cut);
}

}  // namespace
}  // namespace hypershift::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hypershift::fuzz::Check(hypershift::fuzz::Input(data, size));
  return 0;
}
