// Looks at a COPY stream as it passes: checks its framing, counts its rows, sums their digest.
//
// Not thread-safe. Errors are kDataLoss (a malformed stream), kUnimplemented (an unknown header flag).
#ifndef HYPERSHIFT_WORKER_STREAM_DIGEST_H_
#define HYPERSHIFT_WORKER_STREAM_DIGEST_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "hypershift/v1/types.pb.h"
#include "worker/copy_framing.h"
#include "worker/tuple_digest.h"

namespace hypershift {

class StreamDigest {
 public:
  StreamDigest(v1::CopyFormat format, int field_count, const std::vector<int32_t>& rewritable_fields);

  // One message of the stream, as CopyReader gives it.
  absl::Status Message(absl::string_view message);
  // The stream has ended: was it complete?
  absl::Status End() const;

  const Digest& digest() const { return tuples_.digest(); }
  // For the journal: the sum of the rewritable fields, '' when there are none.
  std::string RewritableHex() const;

 private:
  const bool binary_;
  BinaryCopyFraming framing_;
  TupleDigest tuples_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_STREAM_DIGEST_H_
