#include "common/bearer_token.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace hypershift {
namespace {

constexpr size_t kMinTokenBytes = 16;
constexpr size_t kMaxTokenBytes = 512;
constexpr absl::string_view kScheme = "Bearer ";

using Hash = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

Hash HashOf(absl::string_view text) {
  Hash hash;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data());
  return hash;
}

}  // namespace

absl::Status CheckToken(const Secret& token) {
  const std::string& text = token.Reveal();
  if (text.size() < kMinTokenBytes || text.size() > kMaxTokenBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a token has ", kMinTokenBytes, " to ", kMaxTokenBytes,
                                                   " characters: make one with openssl rand -hex 32"));
  }
  if (!std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isgraph(c); })) {
    return absl::InvalidArgumentError("a token holds visible ASCII characters only, no spaces");
  }
  return absl::OkStatus();
}

Secret AuthorizationOf(const Secret& token) { return Secret(absl::StrCat(kScheme, token.Reveal())); }

bool Authorizes(absl::string_view authorization, const Secret& token) {
  // The scheme's name is of any case (RFC 9110).
  if (token.empty() || !absl::StartsWithIgnoreCase(authorization, kScheme)) return false;
  // Hashes are of one length, so that not even the token's length shows.
  const Hash given = HashOf(authorization.substr(kScheme.size()));
  const Hash wanted = HashOf(token.Reveal());
  return CRYPTO_memcmp(given.data(), wanted.data(), wanted.size()) == 0;
}

}  // namespace hypershift
