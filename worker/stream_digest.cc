#include "worker/stream_digest.h"

#include <optional>

#include "common/status_macros.h"

namespace hypershift {

StreamDigest::StreamDigest(v1::CopyFormat format, int field_count, const std::vector<int32_t>& rewritable_fields)
    : binary_(format == v1::COPY_FORMAT_BINARY), framing_(field_count), tuples_(field_count, rewritable_fields) {}

absl::Status StreamDigest::Message(absl::string_view message) {
  if (!binary_) {
    HS_ASSIGN_OR_RETURN(const absl::string_view line, TextCopyLine(message));
    return tuples_.AddText(line);
  }
  HS_ASSIGN_OR_RETURN(const std::optional<absl::string_view> tuple, framing_.Message(message));
  return tuple.has_value() ? tuples_.AddBinary(*tuple) : absl::OkStatus();
}

absl::Status StreamDigest::End() const { return binary_ ? framing_.End() : absl::OkStatus(); }

std::string StreamDigest::RewritableHex() const {
  return tuples_.has_rewritable_fields() ? DigestHex(tuples_.digest().rewritable_sum) : "";
}

}  // namespace hypershift
