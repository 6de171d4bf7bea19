#ifndef HYPERSHIFT_COMMON_LOOPBACK_H_
#define HYPERSHIFT_COMMON_LOOPBACK_H_
#include "absl/status/status.h"
namespace hypershift {
inline absl::Status CheckLoopback(const std::string&) { return absl::OkStatus(); }
}  // namespace hypershift
#endif
