#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "common/subprocess.h"

namespace hypershift {
namespace {

SubprocessOptions Shell(const std::string& script) {
  SubprocessOptions options;
  options.arguments = {"sh", "-c", script};
  options.timeout = absl::Seconds(60);
  return options;
}

SubprocessResult MustRun(const SubprocessOptions& options) {
  auto result = RunSubprocess(options);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *result : SubprocessResult();
}

TEST(RunSubprocessTest, CollectsOutputAndStatus) {
  const SubprocessResult result = MustRun(Shell("echo out; echo err >&2; exit 3"));
  EXPECT_EQ(result.standard_output, "out\n");
  EXPECT_EQ(result.standard_error, "err\n");
  EXPECT_EQ(result.exit_status, 3);
  EXPECT_EQ(MustRun(Shell("kill -9 $$")).exit_status, 128 + 9);
}

// No shell: what looks like one's language stays an argument.
TEST(RunSubprocessTest, PassesArgumentsAsTheyAre) {
  SubprocessOptions options;
  options.arguments = {"printf", "%s|", "a b", "$(id)", "'; ls"};
  EXPECT_EQ(MustRun(options).standard_output, "a b|$(id)|'; ls|");
}

TEST(RunSubprocessTest, AddsToTheEnvironment) {
  SubprocessOptions options = Shell("echo \"$HS_A $HS_B\"");
  setenv("HS_A", "old", 1);
  options.environment = {{"HS_A", "new"}, {"HS_B", "b=c"}};
  EXPECT_EQ(MustRun(options).standard_output, "new b=c\n");
  EXPECT_STREQ(getenv("HS_A"), "old");
}

// More than any pipe holds, in both directions at once: neither side waits for the other.
TEST(RunSubprocessTest, FeedsInputWhileReadingOutput) {
  SubprocessOptions options = Shell("tee /dev/stderr");
  for (int i = 0; i < 200000; ++i) options.standard_input += "a line of input\n";
  const SubprocessResult result = MustRun(options);
  EXPECT_EQ(result.standard_output, options.standard_input);
  EXPECT_EQ(result.standard_error, options.standard_input);
  EXPECT_EQ(MustRun(Shell("cat")).standard_output, "");
}

// A child that reads nothing costs neither the input's writer nor this process, although SIGPIPE would kill it.
TEST(RunSubprocessTest, SurvivesAChildThatDoesNotRead) {
  signal(SIGPIPE, SIG_DFL);
  SubprocessOptions options = Shell("exec <&-; echo done");
  options.standard_input.assign(10 << 20, 'x');
  const SubprocessResult result = MustRun(options);
  EXPECT_EQ(result.standard_output, "done\n");
  EXPECT_EQ(result.exit_status, 0);
}

TEST(RunSubprocessTest, SaysThatAProgramIsMissing) {
  SubprocessOptions options;
  options.arguments = {"hypershift-no-such-program"};
  EXPECT_TRUE(absl::IsNotFound(RunSubprocess(options).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(RunSubprocess({}).status()));
}

// At its deadline a child goes with all that it has started, even if it has closed its output.
TEST(RunSubprocessTest, KillsAtTheDeadline) {
  for (const char* script : {"sleep 300 & sleep 300; true", "exec >&- 2>&-; sleep 300"}) {
    SubprocessOptions options = Shell(script);
    options.timeout = absl::Milliseconds(300);
    const absl::Time begin = absl::Now();
    EXPECT_TRUE(absl::IsDeadlineExceeded(RunSubprocess(options).status())) << script;
    EXPECT_LT(absl::Now() - begin, absl::Seconds(30));
  }
}

// Children that start at the same time don't inherit each other's pipes: none keeps another's open.
TEST(RunSubprocessTest, RunsFromManyThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([i] {
      for (int run = 0; run < 10; ++run) {
        SubprocessOptions options = Shell("cat");
        options.standard_input = std::to_string(i);
        EXPECT_EQ(MustRun(options).standard_output, std::to_string(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// A password file is readable by this user only, and gone afterwards.
TEST(PrivateFileTest, IsPrivateAndRemoved) {
  std::string path;
  {
    auto file = PrivateFile::Create("secret");
    ASSERT_TRUE(file.ok()) << file.status();
    const PrivateFile moved = *std::move(file);
    path = moved.path();
    struct stat info {};
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
    ASSERT_EQ(stat(path.substr(0, path.rfind('/')).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u);
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    EXPECT_EQ(text.str(), "secret");
  }
  struct stat info {};
  EXPECT_NE(stat(path.c_str(), &info), 0);
  EXPECT_NE(stat(path.substr(0, path.rfind('/')).c_str(), &info), 0);
}

}  // namespace
}  // namespace hypershift
