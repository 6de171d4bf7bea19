#include "cli/keeper_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"

extern char** environ;

namespace hypershift {
namespace {

absl::Status WriteAll(int fd, const std::string& text) {
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t count = write(fd, text.data() + written, text.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return absl::InternalError("the keeper process does not take its connections");
    written += static_cast<size_t>(count);
  }
  return absl::OkStatus();
}

// Standard input from the pipe; output nowhere, for the terminal is this process'. Signals as a new program expects.
int SpawnWithInput(int input_fd, const std::vector<char*>& arguments, pid_t* pid) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input_fd, STDIN_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int error = posix_spawn(pid, "/proc/self/exe", &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}

}  // namespace

absl::StatusOr<pid_t> StartKeeperProcess(const ConnectionString& source, const ConnectionString& target,
                                         const std::string& coordinator, const std::string& migration,
                                         absl::Duration grace, const Secret& token) {
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return absl::InternalError("no pipe for the keeper process");
  std::vector<std::string> words = {"hypershift",
                                    "worker",
                                    "--keeper",
                                    "--slots",
                                    "0",
                                    "--connections-from-stdin",
                                    "--coordinator",
                                    coordinator,
                                    "--name",
                                    absl::StrCat("keeper-", getpid()),
                                    "--keeper-grace",
                                    absl::StrCat(absl::ToInt64Seconds(grace), "s")};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = 0;
  const int error = SpawnWithInput(pipe_fds[0], arguments, &pid);
  close(pipe_fds[0]);
  absl::Status written;
  if (error == 0) {
    written = WriteAll(pipe_fds[1], nlohmann::json{{"source", source.WithPassword().Reveal()},
                                                   {"target", target.WithPassword().Reveal()},
                                                   {"migration", migration},
                                                   {"token", token.Reveal()}}
                                        .dump());
  }
  close(pipe_fds[1]);
  if (error != 0)
    return absl::InternalError(absl::StrCat("the keeper process can't be started: ", std::strerror(error)));
  if (!written.ok()) return written;
  return pid;
}

}  // namespace hypershift
