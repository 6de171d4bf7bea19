// The flags of a program that runs a migration, and what they mean together with the environment and the configuration
// file: shared by `hypershift clone`, `hypershift verify` and hypershift-coordinator.
//
// A flag wins over the environment, which wins over the file. Single-threaded, at the start of a program. Errors are
// one line for the user (kInvalidArgument, kNotFound), never with a password.
#ifndef HYPERSHIFT_COORDINATOR_RUN_FLAGS_H_
#define HYPERSHIFT_COORDINATOR_RUN_FLAGS_H_

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/security_flags.h"
#include "coordinator/coordinator.h"

namespace hypershift {

// What was given on the command line; unset = not given.
struct RunFlags {
  std::optional<std::string> source;
  std::optional<std::string> target;
  std::optional<std::string> source_password;
  std::optional<std::string> target_password;
  std::vector<std::string> source_standbys;
  std::optional<std::string> config_file;
  std::optional<int> parallel;
  bool verify = false;
  bool ignore_missing_time_index = false;
  bool hide_progress = false;
  bool verbose = false;
  bool source_unchanged = false;
  bool restart_tables = false;
  bool allow_inconsistent = false;
  bool fail_on_value_rewrite = false;
  std::string listen = "127.0.0.1:0";
  std::string http;  // Empty = no web page.
  std::string http_linger = "3s";
  std::string keeper_grace = "15m";
  std::string keeper_wait = "15s";
  std::string lease_duration = "20s";
  std::string leader_lease = "10s";
  int64_t sort_budget_mib = 1024;
  int retry_limit = 5;
  bool standby = false;  // This and what follows only of a coordinator on its own.
  std::string advertise;
  SecurityFlags security;  // Of the others the token alone.
  std::string report;
};

// Each adds options that write into `flags`, which must live as long as `app` parses.
void AddSourceFlags(CLI::App* app, RunFlags* flags);
void AddTargetFlags(CLI::App* app, RunFlags* flags);
void AddRunFlags(CLI::App* app, RunFlags* flags);    // What every run has.
void AddCloneFlags(CLI::App* app, RunFlags* flags);  // What only a migration has.

void AddCoordinatorFlags(CLI::App* app, RunFlags* flags);  // For a coordinator that others reach from elsewhere.

void AddReportFlag(CLI::App* app, RunFlags* flags);  // For programs that write a summary.

// Flags, environment and file laid over each other.
absl::StatusOr<Config> LayConfig(const RunFlags& flags);
absl::StatusOr<ConnectionString> TargetOf(const RunFlags& flags, const Config& config);
absl::StatusOr<CoordinatorOptions> CloneOptions(const RunFlags& flags);
absl::StatusOr<CoordinatorOptions> VerifyOptions(const RunFlags& flags);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_RUN_FLAGS_H_
