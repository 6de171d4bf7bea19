// What a verification found: the digests of what streamed past against those of what the target returned.
//
// Pure.
#ifndef HYPERSHIFT_COORDINATOR_VERIFY_VERDICT_H_
#define HYPERSHIFT_COORDINATOR_VERIFY_VERDICT_H_

#include <string>
#include <vector>

#include "hypershift/v1/types.pb.h"

namespace hypershift {

// Sums modulo 2^128; digests of disjoint sets of rows add up to the digest of their union.
v1::Digest AddDigests(const v1::Digest& a, const v1::Digest& b);

struct VerifiedRange {
  std::string description;
  bool checked = false;
  v1::Digest copied;
  v1::Digest found;
};

struct Verdict {
  v1::VerifyResult::Result result = v1::VerifyResult::RESULT_UNSPECIFIED;
  std::string detail;  // The first differing range with both counts, or the rewritten columns.
};

Verdict JudgeTable(const std::vector<VerifiedRange>& ranges, const std::vector<std::string>& rewritable_columns);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_VERIFY_VERDICT_H_
