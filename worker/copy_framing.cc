#include "worker/copy_framing.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr char kSignature[] = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', '\377', '\r', '\n', '\0'};
constexpr size_t kSignatureBytes = sizeof(kSignature);
constexpr size_t kHeaderBytes = kSignatureBytes + 4 + 4;  // Then comes the extension.
// A reader must refuse a set flag of these that it doesn't know; the lower 16 are of no consequence.
constexpr uint32_t kCriticalFlags = 0xffff0000u;
constexpr int16_t kTrailer = -1;

// Network byte order. The callers have checked that the bytes are there.
int16_t ReadInt16(const char* bytes) {
  const auto* b = reinterpret_cast<const unsigned char*>(bytes);
  return static_cast<int16_t>((b[0] << 8) | b[1]);
}

uint32_t ReadUint32(const char* bytes) {
  const auto* b = reinterpret_cast<const unsigned char*>(bytes);
  return (uint32_t{b[0]} << 24) | (uint32_t{b[1]} << 16) | (uint32_t{b[2]} << 8) | uint32_t{b[3]};
}

// The size of the header at the front of `message`, its extension included.
absl::StatusOr<size_t> HeaderSize(absl::string_view message) {
  if (message.size() < kHeaderBytes || std::memcmp(message.data(), kSignature, kSignatureBytes) != 0) {
    return absl::DataLossError("the COPY stream does not begin with the binary format's header");
  }
  const uint32_t flags = ReadUint32(message.data() + kSignatureBytes);
  if ((flags & kCriticalFlags) != 0) {
    return absl::UnimplementedError(absl::StrCat("the COPY header has flags ", flags, ", which are not known"));
  }
  const uint32_t extension_bytes = ReadUint32(message.data() + kSignatureBytes + 4);
  if (extension_bytes > message.size() - kHeaderBytes) {
    return absl::DataLossError("the COPY header's extension is cut short");
  }
  return kHeaderBytes + extension_bytes;
}

}  // namespace

absl::StatusOr<TupleFields> TupleFields::Parse(absl::string_view tuple) {
  if (tuple.size() < 2) return absl::DataLossError("a tuple of the COPY stream is cut short");
  const int16_t count = ReadInt16(tuple.data());
  if (count < 0) return absl::DataLossError(absl::StrCat("a tuple of the COPY stream has ", count, " fields"));
  return TupleFields(count, tuple.substr(2));
}

absl::StatusOr<absl::string_view> TupleFields::Next() {
  if (done()) return absl::DataLossError("a tuple of the COPY stream has no more fields");
  if (rest_.size() < 4) return absl::DataLossError("a field of the COPY stream is cut short");
  const auto length = static_cast<int32_t>(ReadUint32(rest_.data()));
  if (length < -1) return absl::DataLossError(absl::StrCat("a field of the COPY stream has length ", length));
  const size_t bytes = length < 0 ? 0 : static_cast<size_t>(length);
  if (bytes > rest_.size() - 4) return absl::DataLossError("a field of the COPY stream is cut short");
  const absl::string_view raw = rest_.substr(0, 4 + bytes);
  rest_.remove_prefix(raw.size());
  ++index_;
  return raw;
}

absl::Status TupleFields::CheckEnd() const {
  if (!done()) return absl::DataLossError("a tuple of the COPY stream was not read to its end");
  if (!rest_.empty()) {
    return absl::DataLossError(
        absl::StrCat("a message of the COPY stream holds ", rest_.size(), " bytes after its tuple"));
  }
  return absl::OkStatus();
}

absl::Status CheckFieldCount(absl::string_view tuple, int field_count) {
  if (tuple.size() < 2) return absl::DataLossError("a tuple of the COPY stream is cut short");
  const int16_t count = ReadInt16(tuple.data());
  if (count == field_count && count >= 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("a tuple of the COPY stream has ", count, " fields, not ", field_count));
}

// Written out, not through TupleFields: it runs for many rows of every table.
absl::Status CheckTuple(absl::string_view tuple, int field_count) {
  HS_RETURN_IF_ERROR(CheckFieldCount(tuple, field_count));
  const char* at = tuple.data() + 2;
  size_t left = tuple.size() - 2;
  for (int field = 0; field < field_count; ++field) {
    if (left < 4) return absl::DataLossError("a field of the COPY stream is cut short");
    const auto length = static_cast<int32_t>(ReadUint32(at));
    if (length < -1) return absl::DataLossError(absl::StrCat("a field of the COPY stream has length ", length));
    at += 4;
    left -= 4;
    const size_t bytes = length < 0 ? 0 : static_cast<size_t>(length);
    if (bytes > left) return absl::DataLossError("a field of the COPY stream is cut short");
    at += bytes;
    left -= bytes;
  }
  if (left != 0) {
    return absl::DataLossError(absl::StrCat("a message of the COPY stream holds ", left, " bytes after its tuple"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<absl::string_view>> BinaryCopyFraming::Message(absl::string_view message) {
  if (expect_ == Expect::kNothing) return absl::DataLossError("the COPY stream goes on after its trailer");
  if (expect_ == Expect::kHeader) {
    HS_ASSIGN_OR_RETURN(const size_t header_bytes, HeaderSize(message));
    message.remove_prefix(header_bytes);
    expect_ = Expect::kTuple;
    if (message.empty()) return std::nullopt;
  }
  if (message.size() == 2 && ReadInt16(message.data()) == kTrailer) {
    expect_ = Expect::kNothing;
    return std::nullopt;
  }
  const bool in_full = tuples_ < kCheckedTuples || tuples_ % kCheckInterval == 0;
  ++tuples_;
  HS_RETURN_IF_ERROR(in_full ? CheckTuple(message, field_count_) : CheckFieldCount(message, field_count_));
  return message;
}

absl::Status BinaryCopyFraming::End() const {
  if (expect_ == Expect::kNothing) return absl::OkStatus();
  return absl::DataLossError("the COPY stream ended without its trailer");
}

absl::StatusOr<absl::string_view> TextCopyLine(absl::string_view message) {
  // A newline inside a value is written as \n, so the only raw one ends the line.
  const void* newline = message.empty() ? nullptr : std::memchr(message.data(), '\n', message.size());
  if (newline == nullptr) return absl::DataLossError("a line of the COPY stream has no end");
  if (newline != message.data() + message.size() - 1) {
    return absl::DataLossError("a message of the COPY stream holds more than one line");
  }
  message.remove_suffix(1);
  return message;
}

}  // namespace hypershift
