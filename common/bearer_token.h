// The join token: a secret that whoever calls a coordinator must know. It travels as the header
// "authorization: Bearer TOKEN", in gRPC's metadata as in HTTP. Pure functions.
#ifndef HYPERSHIFT_COMMON_BEARER_TOKEN_H_
#define HYPERSHIFT_COMMON_BEARER_TOKEN_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/secret.h"

namespace hypershift {

inline constexpr char kAuthorizationHeader[] = "authorization";

// kInvalidArgument: shorter than 16 or longer than 512 characters, or of others than visible ASCII. The message does
// not repeat it.
absl::Status CheckToken(const Secret& token);

// The header's value.
Secret AuthorizationOf(const Secret& token);

// Whether `authorization`, a header's value as a caller sent it, holds this token. How long it takes tells nothing of
// the token. Every coordinator's interface asks this and nothing else.
bool Authorizes(absl::string_view authorization, const Secret& token);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_BEARER_TOKEN_H_
