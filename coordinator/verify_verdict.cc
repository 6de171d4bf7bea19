#include "coordinator/verify_verdict.h"

#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace hypershift {

v1::Digest AddDigests(const v1::Digest& a, const v1::Digest& b) {
  const absl::uint128 sum = absl::MakeUint128(a.sum_high(), a.sum_low()) + absl::MakeUint128(b.sum_high(), b.sum_low());
  const absl::uint128 rewritable = absl::MakeUint128(a.rewritable_sum_high(), a.rewritable_sum_low()) +
                                   absl::MakeUint128(b.rewritable_sum_high(), b.rewritable_sum_low());
  v1::Digest total;
  total.set_rows(a.rows() + b.rows());
  total.set_sum_high(absl::Uint128High64(sum));
  total.set_sum_low(absl::Uint128Low64(sum));
  total.set_rewritable_sum_high(absl::Uint128High64(rewritable));
  total.set_rewritable_sum_low(absl::Uint128Low64(rewritable));
  return total;
}

Verdict JudgeTable(const std::vector<VerifiedRange>& ranges, const std::vector<std::string>& rewritable_columns) {
  Verdict verdict;
  verdict.result = v1::VerifyResult::RESULT_EQUAL;
  int64_t different = 0;
  for (const VerifiedRange& range : ranges) {
    if (!range.checked) {
      verdict.result = v1::VerifyResult::RESULT_NOT_CHECKED;
      verdict.detail = absl::StrCat(range.description, " was not read back");
      return verdict;
    }
    const v1::Digest& copied = range.copied;
    const v1::Digest& found = range.found;
    const bool equal =
        copied.rows() == found.rows() && copied.sum_high() == found.sum_high() && copied.sum_low() == found.sum_low();
    if (!equal && ++different == 1) {
      verdict.detail = absl::StrCat(range.description, ": ", copied.rows(), " rows were copied, ", found.rows(),
                                    " are there", copied.rows() == found.rows() ? ", with other values" : "");
    }
    const bool rewritten = copied.rewritable_sum_high() != found.rewritable_sum_high() ||
                           copied.rewritable_sum_low() != found.rewritable_sum_low();
    if (rewritten && verdict.result == v1::VerifyResult::RESULT_EQUAL) {
      verdict.result = v1::VerifyResult::RESULT_EQUAL_REWRITTEN;
    }
  }
  if (different > 0) {
    verdict.result = v1::VerifyResult::RESULT_DIFFERENT;
    if (different > 1) absl::StrAppend(&verdict.detail, "; ", different - 1, " more ranges differ");
  } else if (verdict.result == v1::VerifyResult::RESULT_EQUAL_REWRITTEN) {
    verdict.detail = absl::StrCat("compression rewrote values of ", absl::StrJoin(rewritable_columns, ", "),
                                  "; the other columns are equal");
  }
  return verdict;
}

}  // namespace hypershift
