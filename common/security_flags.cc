#include "common/security_flags.h"

#include <cstdlib>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/bearer_token.h"
#include "common/certificate_files.h"
#include "common/pg_status.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr char kTokenVariable[] = "HYPERSHIFT_TOKEN";

absl::StatusOr<Secret> ReadTokenFile(const std::string& path) {
  HS_RETURN_IF_ERROR(WithContext(CheckIsPrivate(path), "--token-file"));
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  if (!file.good() && !file.eof()) return absl::NotFoundError(absl::StrCat("--token-file: ", path, " can't be read"));
  Secret token{std::string(absl::StripAsciiWhitespace(line))};
  HS_RETURN_IF_ERROR(WithContext(CheckToken(token), absl::StrCat("--token-file: ", path)));
  return token;
}

absl::StatusOr<Secret> ReadToken(const std::string& path) {
  if (!path.empty()) return ReadTokenFile(path);
  const char* variable = std::getenv(kTokenVariable);
  if (variable == nullptr || *variable == '\0') return Secret();
  Secret token{std::string(variable)};
  HS_RETURN_IF_ERROR(WithContext(CheckToken(token), kTokenVariable));
  return token;
}

void AddFiles(CLI::App* app, SecurityFlags* flags, const char* certificate, const char* authorities) {
  app->add_option("--tls-cert", flags->certificate, certificate)->type_name("PATH");
  app->add_option("--tls-key", flags->key, "Its key, PEM")->type_name("PATH");
  app->add_option("--tls-ca", flags->authorities, authorities)->type_name("PATH");
}

}  // namespace

void AddTokenFlag(CLI::App* app, SecurityFlags* flags) {
  app->add_option("--token-file", flags->token_file,
                  "A file with the token that callers must know; else HYPERSHIFT_TOKEN has it")
      ->type_name("PATH");
}

void AddServerSecurityFlags(CLI::App* app, SecurityFlags* flags) {
  AddFiles(app, flags, "Serve TLS with this certificate, PEM", "Let nobody in without a certificate of this authority");
  AddTokenFlag(app, flags);
  app->add_flag("--insecure", flags->insecure, "Listen off this machine without TLS, or without asking who calls");
}

void AddClientSecurityFlags(CLI::App* app, SecurityFlags* flags) {
  AddFiles(app, flags, "The certificate to show the coordinator, PEM",
           "Use TLS; the coordinator's certificate must be of this authority");
  app->add_flag("--tls", flags->tls, "Use TLS; its certificate must be of one of the system's authorities");
  app->add_option("--tls-server-name", flags->server_name, "The name in its certificate, if not the address' host")
      ->type_name("NAME");
  AddTokenFlag(app, flags);
  app->add_flag("--insecure", flags->insecure, "Speak to a coordinator on another machine without TLS");
}

absl::StatusOr<TransportSecurity> ReadSecurity(const SecurityFlags& flags) {
  TransportSecurity security;
  HS_ASSIGN_OR_RETURN(security.token, ReadToken(flags.token_file));
  security.certificate_file = flags.certificate;
  security.key_file = flags.key;
  security.authorities_file = flags.authorities;
  security.server_name = flags.server_name;
  security.system_authorities = flags.tls;
  security.insecure = flags.insecure;
  return security;
}

}  // namespace hypershift
