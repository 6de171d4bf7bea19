#include "coordinator/run_flags.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/coordinator_address.h"
#include "common/pg_status.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

std::optional<std::string> Environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

absl::StatusOr<absl::Duration> ParseTime(const std::string& text, absl::string_view flag) {
  absl::StatusOr<Interval> interval = ParseInterval(text);
  if (!interval.ok() || !interval->has_unit) {
    return absl::InvalidArgumentError(absl::StrCat(flag, ": '", text, "' is no time: say 20s, 15m or 2h"));
  }
  return absl::Microseconds(interval->value);
}

absl::StatusOr<bool> EnvironmentFlag(const char* name) {
  const std::optional<std::string> value = Environment(name);
  if (!value.has_value()) return false;
  if (*value == "1" || *value == "true" || *value == "yes" || *value == "on") return true;
  if (*value == "0" || *value == "false" || *value == "no" || *value == "off") return false;
  return absl::InvalidArgumentError(absl::StrCat(name, ": '", *value, "' is neither true nor false"));
}

absl::StatusOr<std::optional<WebOptions>> WebOptionsOf(const RunFlags& flags, const TransportSecurity& security) {
  if (flags.http.empty()) return std::nullopt;
  WebOptions web;
  web.http.address = flags.http;
  web.http.tls_certificate_file = security.certificate_file;
  web.http.tls_key_file = security.key_file;
  web.http.insecure = security.insecure;
  web.token = security.token;
  HS_ASSIGN_OR_RETURN(web.linger, ParseTime(flags.http_linger, "--http-linger"));
  HS_RETURN_IF_ERROR(WithContext(CheckHttpOptions(web.http), "--http"));
  return web;
}

absl::StatusOr<CoordinatorOptions> RunOptions(const RunFlags& flags) {
  CoordinatorOptions options;
  HS_ASSIGN_OR_RETURN(options.config, LayConfig(flags));
  HS_ASSIGN_OR_RETURN(options.target, TargetOf(flags, options.config));
  options.listen = flags.listen;
  options.advertise = flags.advertise;
  if (!flags.advertise.empty())
    HS_RETURN_IF_ERROR(WithContext(CheckCoordinatorAddress(flags.advertise), "--advertise"));
  HS_ASSIGN_OR_RETURN(options.security, ReadSecurity(flags.security));
  HS_ASSIGN_OR_RETURN(options.web, WebOptionsOf(flags, options.security));
  HS_ASSIGN_OR_RETURN(options.times.lease_duration, ParseTime(flags.lease_duration, "--lease-duration"));
  HS_ASSIGN_OR_RETURN(options.leader_lease, ParseTime(flags.leader_lease, "--leader-lease"));
  options.times.heartbeat_interval =
      std::clamp(options.times.lease_duration / 5, absl::Milliseconds(200), absl::Seconds(2));
  return options;
}

}  // namespace

void AddSourceFlags(CLI::App* app, RunFlags* flags) {
  app->add_option("-s,-S,--source,--source-uri", flags->source, "Source database: a URI or key=value pairs")
      ->type_name("URI");
  app->add_option("--source-password", flags->source_password, "The source's password, apart from the URI")
      ->type_name("PASSWORD");
}

void AddTargetFlags(CLI::App* app, RunFlags* flags) {
  app->add_option("-t,-T,--target,--target-uri", flags->target, "Target database, likewise")->type_name("URI");
  app->add_option("--target-password", flags->target_password, "The target's password, apart from the URI")
      ->type_name("PASSWORD");
}

void AddRunFlags(CLI::App* app, RunFlags* flags) {
  app->add_option("-c,-C,--config-file,--config", flags->config_file, "hypershift.yml")->type_name("PATH");
  app->add_option("--parallel", flags->parallel, "Tasks at the same time (8)")->type_name("N");
  app->add_flag("--hide-progress", flags->hide_progress, "No progress display");
  app->add_flag("--verbose", flags->verbose, "A detailed log beside the progress");
  app->add_option("--listen", flags->listen,
                  "Where workers and `hypershift status` find this run: host:port or unix:PATH")
      ->type_name("ADDRESS");
  app->add_option("--http", flags->http, "Where the web page and the metrics are served: host:port (nowhere)")
      ->type_name("ADDRESS");
  app->add_option("--http-linger", flags->http_linger, "How long they show the end of the migration (3s)")
      ->type_name("TIME");
  app->add_option("--lease-duration", flags->lease_duration, "How long a task stays a silent worker's (20s)")
      ->type_name("TIME");
  app->add_option("--leader-lease", flags->leader_lease, "How long a silent coordinator leads (10s)")
      ->type_name("TIME");
}

void AddCloneFlags(CLI::App* app, RunFlags* flags) {
  app->add_flag("--verify", flags->verify, "Compare source and target data after the copy");
  app->add_flag("--ignore-missing-time-index", flags->ignore_missing_time_index,
                "Go on although a table that becomes a hypertable has no index led by its time column");
  app->add_flag("--source-unchanged", flags->source_unchanged,
                "The snapshot is lost, but you vouch that the source has not been written to since");
  app->add_flag("--restart-tables", flags->restart_tables,
                "The snapshot is lost: copy unfinished tables again from nothing");
  app->add_flag("--allow-inconsistent", flags->allow_inconsistent,
                "The snapshot is lost: go on, unfinished tables mix two moments");
  app->add_flag("--fail-on-value-rewrite", flags->fail_on_value_rewrite,
                "Refuse tables in which compression may replace values by equal but not identical ones");
  app->add_option("--keeper-grace", flags->keeper_grace, "How long the snapshot outlives a crash of this command (15m)")
      ->type_name("TIME");
  app->add_option("--keeper-wait", flags->keeper_wait, "How long a resumed run looks for that snapshot (15s)")
      ->type_name("TIME");
  app->add_option("--source-sort-budget", flags->sort_budget_mib,
                  "MiB of the source's memory for sorting, in all (1024)")
      ->type_name("MIB");
  app->add_option("--source-standby", flags->source_standbys,
                  "A stand-by of the source, for max-replication-lag; may be repeated")
      ->type_name("URI");
  app->add_option("--retry-limit", flags->retry_limit, "Attempts of one task before its table fails (5)")
      ->type_name("N");
}

void AddCoordinatorFlags(CLI::App* app, RunFlags* flags) {
  app->add_flag("--standby", flags->standby, "Wait, and take over when the coordinator that leads has died");
  app->add_option("--advertise", flags->advertise, "Where workers find this coordinator, if not where it listens")
      ->type_name("ADDRESS");
  AddServerSecurityFlags(app, &flags->security);
}

void AddReportFlag(CLI::App* app, RunFlags* flags) {
  app->add_option("--report", flags->report, "Write the summary as JSON to this file")->type_name("PATH");
}

absl::StatusOr<Config> LayConfig(const RunFlags& flags) {
  Config config;
  std::optional<std::string> path = flags.config_file;
  if (!path.has_value()) path = Environment("HYPERSHIFT_CONFIG_FILE");
  if (path.has_value()) {
    HS_ASSIGN_OR_RETURN(config, LoadConfigFile(*path));
  }
  if (const std::optional<std::string> source = Environment("HYPERSHIFT_SOURCE_URI")) config.source = *source;
  if (const std::optional<std::string> target = Environment("HYPERSHIFT_TARGET_URI")) config.target = *target;
  HS_ASSIGN_OR_RETURN(const bool ignore, EnvironmentFlag("HYPERSHIFT_IGNORE_MISSING_TIME_INDEX"));
  if (Environment("HYPERSHIFT_IGNORE_MISSING_TIME_INDEX").has_value()) config.ignore_missing_time_index = ignore;
  if (flags.source.has_value()) config.source = *flags.source;
  if (flags.target.has_value()) config.target = *flags.target;
  if (!flags.source_standbys.empty()) config.source_standbys = flags.source_standbys;
  if (flags.parallel.has_value()) config.parallel = *flags.parallel;
  config.verify = config.verify || flags.verify;
  config.ignore_missing_time_index = config.ignore_missing_time_index || flags.ignore_missing_time_index;
  config.hide_progress = config.hide_progress || flags.hide_progress;
  config.verbose = config.verbose || flags.verbose;
  HS_RETURN_IF_ERROR(ValidateConfig(config));
  return config;
}

absl::StatusOr<ConnectionString> TargetOf(const RunFlags& flags, const Config& config) {
  if (config.target.empty()) {
    return absl::InvalidArgumentError(
        "target: no database given: say --target URI, HYPERSHIFT_TARGET_URI or target: in the configuration");
  }
  return ConnectionString::Parse(config.target, "target", Secret(flags.target_password.value_or("")));
}

absl::StatusOr<CoordinatorOptions> CloneOptions(const RunFlags& flags) {
  HS_ASSIGN_OR_RETURN(CoordinatorOptions options, RunOptions(flags));
  if (options.config.source.empty()) {
    return absl::InvalidArgumentError(
        "source: no database given: say --source URI, HYPERSHIFT_SOURCE_URI or source: in the configuration");
  }
  HS_ASSIGN_OR_RETURN(options.source, ConnectionString::Parse(options.config.source, "source",
                                                              Secret(flags.source_password.value_or(""))));
  for (const std::string& standby : options.config.source_standbys) {
    HS_ASSIGN_OR_RETURN(options.source_standbys.emplace_back(), ConnectionString::Parse(standby, "source stand-by"));
  }
  if (flags.source_unchanged + flags.restart_tables + flags.allow_inconsistent > 1) {
    return absl::InvalidArgumentError(
        "--source-unchanged, --restart-tables and --allow-inconsistent exclude each other: give one");
  }
  if (flags.source_unchanged) options.lost_snapshot = LostSnapshot::kSourceUnchanged;
  if (flags.restart_tables) options.lost_snapshot = LostSnapshot::kRestartTables;
  if (flags.allow_inconsistent) options.lost_snapshot = LostSnapshot::kAllowInconsistent;
  options.standby = flags.standby;
  options.fail_on_value_rewrite = flags.fail_on_value_rewrite;
  HS_ASSIGN_OR_RETURN(options.times.keeper_grace, ParseTime(flags.keeper_grace, "--keeper-grace"));
  HS_ASSIGN_OR_RETURN(options.keeper_wait, ParseTime(flags.keeper_wait, "--keeper-wait"));
  if (flags.sort_budget_mib < 1) return absl::InvalidArgumentError("--source-sort-budget: at least 1 MiB is needed");
  if (flags.retry_limit < 1) return absl::InvalidArgumentError("--retry-limit: at least 1 attempt is needed");
  options.sort_budget_bytes = flags.sort_budget_mib << 20;
  options.retry_limit = flags.retry_limit;
  return options;
}

absl::StatusOr<CoordinatorOptions> VerifyOptions(const RunFlags& flags) {
  HS_ASSIGN_OR_RETURN(CoordinatorOptions options, RunOptions(flags));
  options.verify_only = true;
  // Verification compares with what streamed past: the source is not read again.
  options.source = options.target;
  return options;
}

}  // namespace hypershift
