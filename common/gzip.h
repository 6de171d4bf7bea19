// Compression for HTTP's Content-Encoding: gzip.
#ifndef HYPERSHIFT_COMMON_GZIP_H_
#define HYPERSHIFT_COMMON_GZIP_H_

#include <string>

#include "absl/strings/string_view.h"

namespace hypershift {

// Fast rather than small.
std::string Gzip(absl::string_view text);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_GZIP_H_
