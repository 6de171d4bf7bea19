#include "worker/command_line.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/pg_status.h"
#include "common/security_flags.h"
#include "common/settings_file.h"
#include "common/status_macros.h"
#include "common/version.h"

namespace hypershift {
namespace {

constexpr size_t kMaxStandardInputBytes = 64 << 10;
constexpr int kMaxSlots = 256;

// As written, before anything is looked at.
struct Arguments {
  std::string config_file;
  std::vector<std::string> coordinators;
  std::string source;
  std::string target;
  std::string source_password;
  std::string target_password;
  std::string name;
  std::string zone;
  std::string migration;  // This and the token from standard input alone: only who starts a keeper knows them.
  std::string token;
  int slots = 4;
  std::string keeper_grace = "15m";
  std::string log_format = "text";
  bool verbose = false;
  bool keeper = false;
  std::string http;
  bool connections_from_stdin = false;
  bool version = false;
  SecurityFlags security;
};

void Declare(CLI::App* app, Arguments* arguments) {
  app->add_option("-c,--config-file", arguments->config_file, "A YAML file with what neither flags nor environment say")
      ->envname("HYPERSHIFT_WORKER_CONFIG_FILE")
      ->type_name("PATH");
  app->add_option("--coordinator", arguments->coordinators, "Where a coordinator listens: host:port or unix:/path")
      ->allow_extra_args(false)
      ->delimiter(',')
      ->envname("HYPERSHIFT_COORDINATOR");
  app->add_option("-s,--source", arguments->source, "The source database; without it the coordinator's own")
      ->envname("HYPERSHIFT_SOURCE_URI");
  app->add_option("-t,--target", arguments->target, "The target database")->envname("HYPERSHIFT_TARGET_URI");
  app->add_option("--source-password", arguments->source_password, "The source's password");
  app->add_option("--target-password", arguments->target_password, "The target's password");
  app->add_flag("--connections-from-stdin", arguments->connections_from_stdin,
                "Read {\"source\": \"...\", \"target\": \"...\"} from standard input");
  app->add_option("--name", arguments->name, "Unique in the migration; default: host name and process id")
      ->envname("HYPERSHIFT_WORKER_NAME");
  app->add_option("--zone", arguments->zone, "Where this worker runs, for people")->envname("HYPERSHIFT_ZONE");
  app->add_option("--slots", arguments->slots, "Tasks at a time; 0 = only hold the snapshot (default 4)")
      ->envname("HYPERSHIFT_SLOTS");
  app->add_option("--keeper-grace", arguments->keeper_grace,
                  "How long to go on without a coordinator, as 15m (default)");
  app->add_flag("--keeper", arguments->keeper, "Outlive the process that starts this one, and its terminal");
  app->add_option("--http", arguments->http, "Where metrics are served: a loopback host:port");
  app->add_option("--log-format", arguments->log_format, "text (default) or json");
  app->add_flag("--verbose", arguments->verbose, "Log more");
  app->add_flag("--version", arguments->version, "Print the version");
  AddClientSecurityFlags(app, &arguments->security);
}

// What may stand in the file, and for which flag. No passwords apart from the URIs, and nothing of a single run.
constexpr std::pair<absl::string_view, absl::string_view> kFileKeys[] = {{"coordinators", "--coordinator"},
                                                                         {"source", "--source"},
                                                                         {"target", "--target"},
                                                                         {"name", "--name"},
                                                                         {"zone", "--zone"},
                                                                         {"slots", "--slots"},
                                                                         {"keeper_grace", "--keeper-grace"},
                                                                         {"http", "--http"},
                                                                         {"tls", "--tls"},
                                                                         {"tls_ca", "--tls-ca"},
                                                                         {"tls_cert", "--tls-cert"},
                                                                         {"tls_key", "--tls-key"},
                                                                         {"tls_server_name", "--tls-server-name"},
                                                                         {"token_file", "--token-file"},
                                                                         {"insecure", "--insecure"},
                                                                         {"log_format", "--log-format"},
                                                                         {"verbose", "--verbose"}};

// Sets what neither the command line nor the environment has set.
absl::Status LayUnder(const std::string& path, CLI::App* app) {
  std::vector<std::string> keys;
  for (const auto& [key, flag] : kFileKeys) keys.emplace_back(key);
  HS_ASSIGN_OR_RETURN(const std::vector<FileSetting> settings, LoadSettingsFile(path, keys));
  for (const FileSetting& setting : settings) {
    const auto* const entry = std::find_if(std::begin(kFileKeys), std::end(kFileKeys),
                                           [&setting](const auto& known) { return known.first == setting.key; });
    CLI::Option* const option = app->get_option(std::string(entry->second));
    if (option->count() > 0) continue;
    if (setting.values.size() != 1 && setting.key != "coordinators") {
      return absl::InvalidArgumentError(absl::StrCat(setting.place, ": '", setting.key, "' takes one value"));
    }
    try {
      option->add_result(setting.values);
      option->run_callback();
    } catch (const CLI::Error&) {
      // CLI11 repeats the value, which may be a connection string.
      return absl::InvalidArgumentError(absl::StrCat(
          setting.place, ": '", setting.key,
          "' can't have that value: ", setting.key == "slots" ? "it must be a number" : "say true or false"));
    }
  }
  return absl::OkStatus();
}

// Names an option as far as its '='; never a value, which may be a connection string with a password.
absl::Status UnexpectedArgument(const std::vector<std::string>& remaining) {
  for (const std::string& argument : remaining) {
    if (argument.size() < 2 || argument[0] != '-') continue;
    return absl::InvalidArgumentError(
        absl::StrCat("unknown option ", argument.substr(0, argument.find('=')), "; --help lists them all"));
  }
  return absl::InvalidArgumentError("an argument that belongs to no option; --help lists them all");
}

std::string DefaultName() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return absl::StrCat(host.data()[0] == '\0' ? "worker" : host.data(), "-", getpid());
}

absl::Status ReadConnections(std::istream& standard_input, Arguments* arguments) {
  std::string text;
  for (char c; text.size() <= kMaxStandardInputBytes && standard_input.get(c);) text.push_back(c);
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::InvalidArgumentError(R"(standard input does not hold {"source": "...", "target": "..."})");
  }
  for (const auto& [key, value] :
       {std::pair("source", &arguments->source), std::pair("target", &arguments->target),
        std::pair("migration", &arguments->migration), std::pair("token", &arguments->token)}) {
    const auto found = json.find(key);
    if (found == json.end()) continue;
    if (!found->is_string())
      return absl::InvalidArgumentError(absl::StrCat("'", key, "' on standard input is no text"));
    *value = found->get<std::string>();
  }
  return absl::OkStatus();
}

absl::StatusOr<LogFormat> ParseLogFormat(const std::string& text) {
  if (text == "text") return LogFormat::kText;
  if (text == "json") return LogFormat::kJson;
  return absl::InvalidArgumentError(absl::StrCat("--log-format '", text, "' is neither text nor json"));
}

absl::StatusOr<absl::Duration> ParseGrace(const std::string& text) {
  absl::Duration grace;
  int64_t seconds = 0;
  if (absl::SimpleAtoi(text, &seconds)) {
    grace = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &grace)) {
    return absl::InvalidArgumentError(absl::StrCat("--keeper-grace '", text, "' is not a time such as 15m or 90s"));
  }
  if (grace < absl::ZeroDuration()) return absl::InvalidArgumentError("--keeper-grace can't be negative");
  return grace;
}

// Empty: the coordinator will be asked for it, and knows the password.
absl::StatusOr<ConnectionString> ParseConnection(const std::string& text, absl::string_view what,
                                                 std::string password) {
  if (text.empty()) {
    if (password.empty()) return ConnectionString();
    return absl::InvalidArgumentError(absl::StrCat("--", what, "-password is of no use without --", what));
  }
  return ConnectionString::Parse(text, what, Secret(std::move(password)));
}

absl::StatusOr<WorkerCommand> Interpret(Arguments arguments) {
  WorkerCommand command;
  WorkerOptions& options = command.options;
  if (arguments.coordinators.empty()) {
    return absl::InvalidArgumentError("no coordinator: give --coordinator host:port or --coordinator unix:/path");
  }
  HS_ASSIGN_OR_RETURN(options.security, ReadSecurity(arguments.security));
  if (!arguments.token.empty()) options.security.token = Secret(std::move(arguments.token));
  HS_RETURN_IF_ERROR(CheckClientFiles(options.security));
  for (const std::string& address : arguments.coordinators) {
    HS_RETURN_IF_ERROR(CheckConnecting(address, options.security));
  }
  if (arguments.slots < 0 || arguments.slots > kMaxSlots) {
    return absl::InvalidArgumentError(absl::StrCat("--slots ", arguments.slots, " is not between 0 and ", kMaxSlots));
  }
  HS_ASSIGN_OR_RETURN(options.source,
                      ParseConnection(arguments.source, "source", std::move(arguments.source_password)));
  HS_ASSIGN_OR_RETURN(options.target,
                      ParseConnection(arguments.target, "target", std::move(arguments.target_password)));
  HS_ASSIGN_OR_RETURN(options.keeper_grace, ParseGrace(arguments.keeper_grace));
  HS_ASSIGN_OR_RETURN(command.log_format, ParseLogFormat(arguments.log_format));
  if (!arguments.http.empty()) {
    command.http = {.address = std::move(arguments.http),
                    .tls_certificate_file = options.security.certificate_file,
                    .tls_key_file = options.security.key_file,
                    .insecure = options.security.insecure};
    HS_RETURN_IF_ERROR(WithContext(CheckHttpOptions(command.http), "--http"));
  }
  options.coordinators = std::move(arguments.coordinators);
  options.name = arguments.name.empty() ? DefaultName() : std::move(arguments.name);
  options.zone = std::move(arguments.zone);
  options.migration = std::move(arguments.migration);
  options.slots = arguments.slots;
  command.verbose = arguments.verbose;
  command.keeper = arguments.keeper;
  return command;
}

}  // namespace

absl::StatusOr<WorkerCommand> ParseWorkerCommand(int argc, const char* const* argv, std::istream& standard_input) {
  Arguments arguments;
  CLI::App app("Runs tasks of a migration for a Hypershift coordinator, and holds the source's snapshot open.",
               "hypershift-worker");
  Declare(&app, &arguments);
  WorkerCommand command;
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    command.message = app.help();
    return command;
  } catch (const CLI::ExtrasError&) {
    return UnexpectedArgument(app.remaining());
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  if (arguments.version) {
    command.message = absl::StrCat("hypershift-worker ", kVersion, "\n");
    return command;
  }
  if (!arguments.config_file.empty()) HS_RETURN_IF_ERROR(LayUnder(arguments.config_file, &app));
  if (arguments.connections_from_stdin) HS_RETURN_IF_ERROR(ReadConnections(standard_input, &arguments));
  return Interpret(std::move(arguments));
}

}  // namespace hypershift
