#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/list_commands.h"
#include "cli/set_command.h"
#include "common/coordinator_address.h"
#include "common/pg_status.h"
#include "common/security_flags.h"
#include "common/status_macros.h"
#include "common/version.h"
#include "coordinator/run_flags.h"

namespace hypershift {
namespace {

struct Flags {
  RunFlags run;
  StatusOptions status;
  SecurityFlags security;
  std::string table;
  std::string worker;
  std::string state;
  std::vector<std::string> limits;
  bool yes = false;
  bool force = false;
  bool json = false;
};

absl::StatusOr<Command> RunCommand(CommandKind kind, const RunFlags& flags) {
  Command command;
  command.kind = kind;
  HS_ASSIGN_OR_RETURN(command.coordinator, kind == CommandKind::kVerify ? VerifyOptions(flags) : CloneOptions(flags));
  // Its own worker and keeper would need names and certificates to call it from this same machine.
  HS_RETURN_IF_ERROR(WithContext(CheckListenAddress(flags.listen), "--listen"));
  if (!IsLocalAddress(flags.listen)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--listen: ", flags.listen,
                     " is not on loopback: listen on 127.0.0.1 or unix:PATH here; hypershift-coordinator listens "
                     "elsewhere, with TLS"));
  }
  command.report_file = flags.report;
  return command;
}

absl::StatusOr<Command> TargetCommand(CommandKind kind, const Flags& flags) {
  Command command;
  command.kind = kind;
  command.status = flags.status;
  command.table = flags.table;
  command.worker = flags.worker;
  command.yes = flags.yes;
  command.change_limits = !flags.limits.empty();
  HS_ASSIGN_OR_RETURN(command.limits, ParseSetWords(flags.limits));
  HS_ASSIGN_OR_RETURN(command.state, ParseTaskState(flags.state));
  command.force = flags.force;
  const bool asks_coordinator = kind != CommandKind::kCleanup;
  if (asks_coordinator) {
    HS_ASSIGN_OR_RETURN(command.status.security, ReadSecurity(flags.security));
    HS_RETURN_IF_ERROR(CheckClientFiles(command.status.security));
  }
  if (asks_coordinator && !flags.status.coordinator.empty()) return command;
  HS_ASSIGN_OR_RETURN(const Config config, LayConfig(flags.run));
  if (asks_coordinator && config.target.empty()) {
    return absl::InvalidArgumentError(
        "say --coordinator ADDRESS, or --target URI to find the coordinator by the target's journal");
  }
  HS_ASSIGN_OR_RETURN(command.target, TargetOf(flags.run, config));
  return command;
}

// What every command has that asks a running coordinator.
void AddClientFlags(CLI::App* app, Flags* flags) {
  app->add_option("--coordinator", flags->status.coordinator, "The coordinator's address")->type_name("ADDRESS");
  AddClientSecurityFlags(app, &flags->security);
  AddTargetFlags(app, &flags->run);
}

// A command that asks a running coordinator.
CLI::App* AddControl(CLI::App* app, const std::string& name, const std::string& what, Flags* flags) {
  CLI::App* command = app->add_subcommand(name, what);
  AddClientFlags(command, flags);
  return command;
}

std::map<CommandKind, CLI::App*> AddControls(CLI::App* app, Flags* flags) {
  std::map<CommandKind, CLI::App*> added;
  for (const auto& [kind, name, what] :
       {std::tuple(CommandKind::kTables, "tables", "Show a running migration's tables"),
        std::tuple(CommandKind::kTasks, "tasks", "Show its tasks, and what each waits for"),
        std::tuple(CommandKind::kWorkers, "workers", "Show its workers")}) {
    added[kind] = AddControl(app, name, what, flags);
    added[kind]->add_flag("--json", flags->status.json, "As JSON");
  }
  added[CommandKind::kTasks]
      ->add_option("--table", flags->table, "Only of this table, schema.name")
      ->type_name("TABLE");
  added[CommandKind::kTasks]
      ->add_option("--state", flags->state, "Only in this state: pending, leased, done, failed")
      ->type_name("STATE");
  added[CommandKind::kPause] = AddControl(app, "pause", "Begin nothing more until resume; running tasks finish", flags);
  added[CommandKind::kResume] = AddControl(app, "resume", "End a pause", flags);
  added[CommandKind::kCancel] = AddControl(app, "cancel", "Give the migration up for good", flags);
  added[CommandKind::kCancel]->add_flag("--yes", flags->yes, "Don't ask");
  added[CommandKind::kDrain] = AddControl(app, "drain", "Send a worker home when its tasks have ended", flags);
  added[CommandKind::kDrain]->add_option("worker", flags->worker, "Its name")->type_name("WORKER")->required();
  added[CommandKind::kSet] = AddControl(app, "set", "Change limits, or show them", flags);
  added[CommandKind::kSet]
      ->add_option("limits", flags->limits, "max-slots 4 max-bytes-per-second 50MB …")
      ->type_name("NAME VALUE");
  return added;
}

// What moves a database, or would.
CLI::App* AddClone(CLI::App* app, const std::string& name, const std::string& what, Flags* flags) {
  CLI::App* clone = app->add_subcommand(name, what);
  AddSourceFlags(clone, &flags->run);
  AddTargetFlags(clone, &flags->run);
  AddRunFlags(clone, &flags->run);
  AddCloneFlags(clone, &flags->run);
  AddReportFlag(clone, &flags->run);
  AddTokenFlag(clone, &flags->run.security);
  return clone;
}

// Early versions had no commands: their flags alone mean clone.
std::vector<std::string> WithCommand(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) return {"--help"};
  const std::string& first = arguments.front();
  const bool is_flag = first.size() > 1 && first[0] == '-';
  if (is_flag && first != "-h" && first != "--help" && first != "--version") {
    arguments.insert(arguments.begin(), "clone");
  }
  return arguments;
}

}  // namespace

absl::StatusOr<Command> ParseCommand(int argc, const char* const* argv) {
  Flags flags;
  CLI::App app("Moves a PostgreSQL database into TimescaleDB, compressed, in one step.", "hypershift");
  app.set_version_flag("--version", std::string(kVersion));
  app.require_subcommand(1);
  CLI::App* clone =
      AddClone(&app, "clone", "Move a PostgreSQL database into TimescaleDB; the same command resumes", &flags);
  CLI::App* plan = AddClone(&app, "plan", "Show what clone would do with the same flags; writes nothing", &flags);
  plan->add_flag("--json", flags.json, "As JSON");
  CLI::App* verify = app.add_subcommand("verify", "Read a migrated target back and compare it with what was copied");
  AddTargetFlags(verify, &flags.run);
  AddRunFlags(verify, &flags.run);
  AddReportFlag(verify, &flags.run);
  AddTokenFlag(verify, &flags.run.security);
  CLI::App* status = app.add_subcommand("status", "Show a running migration");
  AddClientFlags(status, &flags);
  status->add_flag("--watch", flags.status.watch, "Follow it to its end");
  status->add_flag("--json", flags.status.json, "As JSON");
  CLI::App* retry = app.add_subcommand("retry", "Try a table's failed steps again while the migration runs");
  retry->add_option("table", flags.table, "The table, as schema.name")->type_name("TABLE")->required();
  AddClientFlags(retry, &flags);
  const std::map<CommandKind, CLI::App*> controls = AddControls(&app, &flags);
  CLI::App* cleanup = app.add_subcommand("cleanup", "Remove the journal (schema _hypershift) from the target");
  cleanup->add_flag("--force", flags.force, "Even while a coordinator leads a migration there");
  AddTargetFlags(cleanup, &flags.run);
  app.footer("Further programs in one: hypershift worker … (see hypershift worker --help).");

  std::vector<std::string> arguments = WithCommand(argc, argv);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back.
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    Command command;
    const std::vector<CLI::App*> chosen = app.get_subcommands();
    command.message = chosen.empty() ? app.help() : chosen.front()->help();
    return command;
  } catch (const CLI::CallForVersion&) {
    Command command;
    command.message = absl::StrCat("hypershift ", kVersion, "\n");
    return command;
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(absl::StrCat(error.what(), " (see hypershift --help)"));
  }
  if (clone->parsed()) return RunCommand(CommandKind::kClone, flags.run);
  if (plan->parsed()) {
    HS_ASSIGN_OR_RETURN(Command command, RunCommand(CommandKind::kPlan, flags.run));
    command.json = flags.json;
    return command;
  }
  if (verify->parsed()) return RunCommand(CommandKind::kVerify, flags.run);
  for (const auto& [kind, control] : controls) {
    if (control->parsed()) return TargetCommand(kind, flags);
  }
  if (retry->parsed()) return TargetCommand(CommandKind::kRetry, flags);
  return TargetCommand(status->parsed() ? CommandKind::kStatus : CommandKind::kCleanup, flags);
}

}  // namespace hypershift
