// The flags of common/transport_security, alike in all programs, and the token, which is never on a command line.
//
// Single-threaded, at the start of a program. Errors are one line for the user, never with a token.
#ifndef HYPERSHIFT_COMMON_SECURITY_FLAGS_H_
#define HYPERSHIFT_COMMON_SECURITY_FLAGS_H_

#include <CLI/CLI.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "common/transport_security.h"

namespace hypershift {

// As given; empty = not given.
struct SecurityFlags {
  std::string certificate;
  std::string key;
  std::string authorities;
  std::string token_file;
  std::string server_name;
  bool tls = false;
  bool insecure = false;
};

// Each adds options that write into `flags`, which must live as long as `app` parses.
void AddTokenFlag(CLI::App* app, SecurityFlags* flags);            // Of a program that listens on this machine only.
void AddServerSecurityFlags(CLI::App* app, SecurityFlags* flags);  // With the token.
void AddClientSecurityFlags(CLI::App* app, SecurityFlags* flags);  // With the token.

// Reads the token from its file, else from HYPERSHIFT_TOKEN. kInvalidArgument, kNotFound: the file can't be read,
// others can read it, or it holds no token.
absl::StatusOr<TransportSecurity> ReadSecurity(const SecurityFlags& flags);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_SECURITY_FLAGS_H_
