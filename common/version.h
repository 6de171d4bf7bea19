// The version that --version prints and that coordinator and workers must share.
#ifndef HYPERSHIFT_COMMON_VERSION_H_
#define HYPERSHIFT_COMMON_VERSION_H_

namespace hypershift {

inline constexpr char kVersion[] = "0.7.0";

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_VERSION_H_
