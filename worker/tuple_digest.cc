#include "worker/tuple_digest.h"

// Inlined: the call for a short row would cost as much as its hash.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/status_macros.h"
#include "worker/copy_framing.h"

namespace hypershift {
namespace {

absl::uint128 ToUint128(XXH128_hash_t hash) { return absl::MakeUint128(hash.high64, hash.low64); }

}  // namespace

// A hash fed piece by piece; equal to the hash of all pieces in one go.
struct TupleDigest::Hasher {
  void Begin() { XXH3_128bits_reset(&state); }
  void Update(absl::string_view bytes) { XXH3_128bits_update(&state, bytes.data(), bytes.size()); }
  absl::uint128 End() { return ToUint128(XXH3_128bits_digest(&state)); }

  XXH3_state_t state;
};

Digest& Digest::operator+=(const Digest& other) {
  rows += other.rows;
  sum += other.sum;
  rewritable_sum += other.rewritable_sum;
  return *this;
}

std::string DigestHex(absl::uint128 sum) {
  return absl::StrFormat("%016x%016x", absl::Uint128High64(sum), absl::Uint128Low64(sum));
}

TupleDigest::TupleDigest(int field_count, const std::vector<int32_t>& rewritable_fields)
    : field_count_(field_count), rewritable_(static_cast<size_t>(std::max(field_count, 0)), false) {
  for (const int32_t field : rewritable_fields) {
    if (field < 0 || field >= field_count) continue;
    rewritable_[static_cast<size_t>(field)] = true;
    has_rewritable_fields_ = true;
  }
  if (has_rewritable_fields_) {
    exact_hasher_ = std::make_unique<Hasher>();
    rewritable_hasher_ = std::make_unique<Hasher>();
  }
}

TupleDigest::~TupleDigest() = default;

absl::Status TupleDigest::AddBinary(absl::string_view tuple) {
  if (!has_rewritable_fields_) {
    AddWhole(tuple);
    return absl::OkStatus();
  }
  HS_ASSIGN_OR_RETURN(TupleFields fields, TupleFields::Parse(tuple));
  if (fields.count() != field_count_) {
    return absl::DataLossError(absl::StrCat("a row has ", fields.count(), " fields, not ", field_count_));
  }
  // Which fields go where is the same for every row, so length and bytes of each, in order, bind the boundaries.
  exact_hasher_->Begin();
  rewritable_hasher_->Begin();
  for (int field = 0; field < field_count_; ++field) {
    HS_ASSIGN_OR_RETURN(const absl::string_view raw, fields.Next());
    (rewritable_[static_cast<size_t>(field)] ? rewritable_hasher_ : exact_hasher_)->Update(raw);
  }
  HS_RETURN_IF_ERROR(fields.CheckEnd());
  FinishSplitRow();
  return absl::OkStatus();
}

absl::Status TupleDigest::AddText(absl::string_view line) {
  if (!has_rewritable_fields_) {
    AddWhole(line);
    return absl::OkStatus();
  }
  exact_hasher_->Begin();
  rewritable_hasher_->Begin();
  // A tab inside a value is written as \t, so every raw one ends a field; hashed with the field, it binds the boundary.
  for (int field = 0; field < field_count_; ++field) {
    const size_t tab = line.find('\t');
    if ((tab == absl::string_view::npos) != (field == field_count_ - 1)) {
      return absl::DataLossError(absl::StrCat("a line does not have ", field_count_, " fields"));
    }
    const size_t bytes = tab == absl::string_view::npos ? line.size() : tab + 1;
    (rewritable_[static_cast<size_t>(field)] ? rewritable_hasher_ : exact_hasher_)->Update(line.substr(0, bytes));
    line.remove_prefix(bytes);
  }
  FinishSplitRow();
  return absl::OkStatus();
}

void TupleDigest::AddWhole(absl::string_view bytes) {
  digest_.sum += ToUint128(XXH3_128bits(bytes.data(), bytes.size()));
  ++digest_.rows;
}

void TupleDigest::FinishSplitRow() {
  digest_.sum += exact_hasher_->End();
  digest_.rewritable_sum += rewritable_hasher_->End();
  ++digest_.rows;
}

}  // namespace hypershift
