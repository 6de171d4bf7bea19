// The digest of a set of rows, as they look in a COPY stream: their count and the sum, modulo 2^128, of a 128-bit hash
// (XXH3) of each. It doesn't depend on the order of rows, and digests of disjoint sets add up to that of their union.
//
// Not a defence against somebody who constructs collisions; it finds rows that were lost, doubled or changed.
//
// A row's hash covers the fields that must arrive unchanged. Fields whose values compression may rewrite into equal but
// not identical ones ("rewritable") go into a second sum. Field boundaries and NULLs are part of what is hashed.
// Digests of binary and of text streams can't be compared with each other.
//
// Not thread-safe.
#ifndef HYPERSHIFT_WORKER_TUPLE_DIGEST_H_
#define HYPERSHIFT_WORKER_TUPLE_DIGEST_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hypershift {

struct Digest {
  int64_t rows = 0;
  absl::uint128 sum = 0;
  absl::uint128 rewritable_sum = 0;

  Digest& operator+=(const Digest& other);
  bool operator==(const Digest&) const = default;
};

// 32 hexadecimal digits, the high half first: as the journal keeps a sum.
std::string DigestHex(absl::uint128 sum);

class TupleDigest {
 public:
  // `rewritable_fields` are 0-based; those outside 0 … field_count - 1 are ignored.
  TupleDigest(int field_count, const std::vector<int32_t>& rewritable_fields);
  ~TupleDigest();
  TupleDigest(const TupleDigest&) = delete;
  TupleDigest& operator=(const TupleDigest&) = delete;

  // Adds a binary tuple. Without rewritable fields its bytes are hashed in one go, unlooked at. kDataLoss: malformed;
  // the digest is then of no use.
  absl::Status AddBinary(absl::string_view tuple);
  // Adds a line of text format, without its newline. kDataLoss: not that many fields.
  absl::Status AddText(absl::string_view line);

  const Digest& digest() const { return digest_; }
  bool has_rewritable_fields() const { return has_rewritable_fields_; }

 private:
  struct Hasher;

  void AddWhole(absl::string_view bytes);
  void FinishSplitRow();

  const int field_count_;
  std::vector<bool> rewritable_;
  bool has_rewritable_fields_ = false;
  Digest digest_;
  std::unique_ptr<Hasher> exact_hasher_;
  std::unique_ptr<Hasher> rewritable_hasher_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_TUPLE_DIGEST_H_
