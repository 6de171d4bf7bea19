// Promise: bad input is one clear line that never repeats a password; only addresses on this machine are taken.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "worker/command_line.h"

namespace hypershift {
namespace {

absl::StatusOr<WorkerCommand> Parse(std::vector<const char*> arguments, const std::string& standard_input = "",
                                    bool keep_environment = false) {
  unsetenv("HYPERSHIFT_SOURCE_URI");
  unsetenv("HYPERSHIFT_TARGET_URI");
  for (const char* name : {"HYPERSHIFT_COORDINATOR", "HYPERSHIFT_ZONE", "HYPERSHIFT_SLOTS", "HYPERSHIFT_WORKER_NAME"}) {
    if (!keep_environment) unsetenv(name);
  }
  arguments.insert(arguments.begin(), "hypershift-worker");
  std::istringstream stream(standard_input);
  return ParseWorkerCommand(static_cast<int>(arguments.size()), arguments.data(), stream);
}

TEST(WorkerCommandLineTest, TakesEverything) {
  const auto command = Parse({"--coordinator",
                              "127.0.0.1:7433",
                              "--coordinator",
                              "unix:/tmp/c",
                              "--source",
                              "postgres://u@s/a",
                              "--target",
                              "postgres://u@t/b",
                              "--source-password",
                              "canary",
                              "--name",
                              "n",
                              "--zone",
                              "z",
                              "--slots",
                              "0",
                              "--keeper-grace",
                              "90s",
                              "--log-format",
                              "json",
                              "--verbose",
                              "--keeper"});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->options.coordinators, (std::vector<std::string>{"127.0.0.1:7433", "unix:/tmp/c"}));
  EXPECT_EQ(command->options.source.Get("host"), "s");
  EXPECT_EQ(command->options.source.password().Reveal(), "canary");
  EXPECT_EQ(command->options.target.Get("dbname"), "b");
  EXPECT_EQ(command->options.name, "n");
  EXPECT_EQ(command->options.slots, 0);
  EXPECT_EQ(command->options.keeper_grace, absl::Seconds(90));
  EXPECT_EQ(command->log_format, LogFormat::kJson);
  EXPECT_TRUE(command->verbose && command->keeper);
}

std::string WriteFile(const std::string& text) {
  std::string path = ::testing::TempDir() + "worker.yml";
  std::ofstream(path) << text;
  return path;
}

TEST(WorkerCommandLineTest, AFlagWinsOverTheEnvironmentOverTheFile) {
  const std::string path = WriteFile(
      "coordinators: [10.0.0.1:7433, 10.0.0.2:7433]\ninsecure: true\nzone: file\nname: file\nslots: 7\n"
      "source: postgres://u:canary@s/a\nverbose: false\n");
  setenv("HYPERSHIFT_WORKER_NAME", "environment", 1);
  setenv("HYPERSHIFT_ZONE", "environment", 1);
  const auto command = Parse({"-c", path.c_str(), "--zone", "flag"}, "", /*keep_environment=*/true);
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->options.coordinators, (std::vector<std::string>{"10.0.0.1:7433", "10.0.0.2:7433"}));
  EXPECT_TRUE(command->options.security.insecure);
  EXPECT_EQ(command->options.zone, "flag");
  EXPECT_EQ(command->options.name, "environment");
  EXPECT_EQ(command->options.slots, 7);
  EXPECT_EQ(command->options.source.password().Reveal(), "canary");
  EXPECT_FALSE(command->verbose);
}

TEST(WorkerCommandLineTest, SeveralCoordinatorsFromTheEnvironment) {
  setenv("HYPERSHIFT_COORDINATOR", "unix:/a,unix:/b", 1);
  setenv("HYPERSHIFT_SLOTS", "3", 1);
  const auto command = Parse({}, "", /*keep_environment=*/true);
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->options.coordinators, (std::vector<std::string>{"unix:/a", "unix:/b"}));
  EXPECT_EQ(command->options.slots, 3);
}

TEST(WorkerCommandLineTest, AnErrorInTheFileNamesThePlaceAndNoValue) {
  const auto refusal = [](const std::string& text) {
    const std::string path = WriteFile(text);
    const auto command = Parse({"--coordinator", "unix:/c", "-c", path.c_str()});
    EXPECT_FALSE(command.ok());
    std::string message(command.status().message());
    EXPECT_EQ(message.find("canary"), std::string::npos) << message;
    return message.substr(message.find("worker.yml"));
  };
  EXPECT_EQ(refusal("slot: 3\n"), "worker.yml:1: unknown key 'slot' (did you mean 'slots'?)");
  EXPECT_EQ(refusal("zone: a\nslots: canary\n"), "worker.yml:2: 'slots' can't have that value: it must be a number");
  EXPECT_EQ(refusal("verbose: canary\n"), "worker.yml:1: 'verbose' can't have that value: say true or false");
  EXPECT_EQ(refusal("zone: [a, b]\n"), "worker.yml:1: 'zone' takes one value");
  EXPECT_EQ(refusal("zone: {a: canary}\n"), "worker.yml:1: 'zone' must be a value or a list of values");
  EXPECT_EQ(refusal("source-password: canary\n").substr(0, 20), "worker.yml:1: unknow");
  const auto missing = Parse({"--coordinator", "unix:/c", "-c", "/nowhere/worker.yml"});
  EXPECT_EQ(missing.status().message(), "/nowhere/worker.yml: No such file or directory");
}

TEST(WorkerCommandLineTest, ReadsConnectionsFromStandardInput) {
  const auto command = Parse({"--coordinator", "unix:/c", "--connections-from-stdin"},
                             R"({"source": "postgres://u:canary@s/a", "target": "host=t user=u dbname=b"})");
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->options.source.password().Reveal(), "canary");
  EXPECT_EQ(command->options.target.Get("host"), "t");
  EXPECT_FALSE(command->options.name.empty());
  EXPECT_EQ(command->options.slots, 4);
}

TEST(WorkerCommandLineTest, BadInputIsOneLineWithoutAPassword) {
  const std::vector<std::vector<const char*>> cases = {
      {},
      {"--coordinator", "unix:/c", "--source-password", "canary"},
      {"--coordinator", "unix:/c", "--tls-cert", "/nowhere"},
      {"--coordinator", "unix:/c", "--tls-ca", "/nowhere"},
      {"--coordinator", "unix:/c", "--token-file", "/nowhere"},
      {"--coordinator", "unix:/c", "--source", "postgres://u:canary@[s/a", "--target", "dbname=b"},
      {"--coordinator", "nowhere", "--source", "dbname=a", "--target", "dbname=b"},
      {"--coordinator", "10.0.0.1:1", "--source", "dbname=a", "--target", "dbname=b"},
      {"--coordinator", "unix:/c", "--source", "dbname=a", "--target", "dbname=b", "--slots", "-1"},
      {"--coordinator", "unix:/c", "--source", "dbname=a", "--target", "dbname=b", "--slots", "many"},
      {"--coordinator", "unix:/c", "--source", "dbname=a", "--target", "dbname=b", "--keeper-grace", "long"},
      {"--coordinator", "unix:/c", "--source", "dbname=a", "--target", "dbname=b", "--log-format", "xml"},
      {"--coordinator", "unix:/c", "postgres://u:canary@s/a"},
      {"--coordinator", "postgres://u:canary@s/a", "--source", "dbname=a", "--target", "dbname=b"},
      {"--target-pasword=canary"},
  };
  for (const std::vector<const char*>& arguments : cases) {
    const auto command = Parse(arguments);
    ASSERT_FALSE(command.ok());
    const std::string message(command.status().message());
    EXPECT_FALSE(message.empty());
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_EQ(message.find("canary"), std::string::npos) << message;
  }
  for (const char* input : {"", "canary", "[]", R"({"source": 5, "target": "dbname=canary"})"}) {
    const auto command = Parse({"--coordinator", "unix:/c", "--connections-from-stdin"}, input);
    ASSERT_FALSE(command.ok());
    EXPECT_EQ(command.status().message().find("canary"), absl::string_view::npos);
  }
}

TEST(WorkerCommandLineTest, VersionAndHelpAreMessages) {
  EXPECT_FALSE(Parse({"--version"})->message.empty());
  EXPECT_NE(Parse({"--help"})->message.find("--coordinator"), std::string::npos);
}

// Who names no database asks the coordinator for it.
TEST(WorkerCommandLineTest, ConnectionsMayBeLeftToTheCoordinator) {
  const auto command = Parse({"--coordinator", "unix:/c", "--target", "dbname=b"});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_TRUE(command->options.source.empty());
  EXPECT_FALSE(command->options.target.empty());
}

TEST(WorkerCommandLineTest, OffThisMachineOnlyByTlsOrIfTheOperatorInsists) {
  EXPECT_FALSE(Parse({"--coordinator", "10.0.0.1:1"}).ok());
  EXPECT_FALSE(Parse({"--coordinator", "unix:/c", "--coordinator", "10.0.0.1:1"}).ok());
  EXPECT_TRUE(Parse({"--coordinator", "10.0.0.1:1", "--tls"})->options.security.system_authorities);
  EXPECT_TRUE(Parse({"--coordinator", "10.0.0.1:1", "--insecure"})->options.security.insecure);
}

// The keeper gets its token as it gets its passwords.
TEST(WorkerCommandLineTest, ATokenFromStandardInput) {
  const auto command = Parse({"--coordinator", "unix:/c", "--connections-from-stdin"}, R"({"token": "canary"})");
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->options.security.token.Reveal(), "canary");
}

}  // namespace
}  // namespace hypershift
