#include "tests/integration/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace hypershift::test {
namespace {

std::string ReadAll(int fd) {
  std::string text;
  char buffer[65536];
  ssize_t size;
  while ((size = pread(fd, buffer, sizeof(buffer), static_cast<off_t>(text.size()))) > 0) {
    text.append(buffer, static_cast<size_t>(size));
  }
  return text;
}

pid_t ParentOf(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t end = text.rfind(") ");
  if (end == std::string::npos || text[end + 2] == 'Z') return 0;
  return static_cast<pid_t>(std::atoi(text.c_str() + end + 4));
}

std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::vector<pid_t> children;
  for (pid_t pid : AllProcesses()) {
    if (ParentOf(pid) == parent) children.push_back(pid);
  }
  return children;
}

// After fork: only calls that are safe there.
[[noreturn]] void RunChild(char* const* arguments, char* const* environment, int out_fd, int err_fd) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(out_fd, STDOUT_FILENO);
  dup2(err_fd, STDERR_FILENO);
  execvpe(arguments[0], arguments, environment);
  _exit(127);
}

std::vector<std::string> MergedEnvironment(const Environment& changes) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    // A test's own variables, and nothing that the caller's shell happens to have.
    const std::string name = text.substr(0, text.find('='));
    if (name.rfind("HYPERSHIFT_", 0) == 0 || name.rfind("PG", 0) == 0 || changes.count(name) > 0) continue;
    merged.push_back(text);
  }
  for (const auto& [name, value] : changes) merged.push_back(name + "=" + value);
  return merged;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

std::ostream& operator<<(std::ostream& stream, const Outcome& outcome) {
  return stream << "exit status " << outcome.exit_status << "\n--- stdout\n" << outcome.out << "--- stderr\n" << outcome.err;
}

Program::Program(const std::vector<std::string>& command, const Environment& environment) {
  out_fd_ = memfd_create("stdout", MFD_CLOEXEC);
  err_fd_ = memfd_create("stderr", MFD_CLOEXEC);
  fcntl(out_fd_, F_SETFL, O_APPEND);
  fcntl(err_fd_, F_SETFL, O_APPEND);
  std::vector<std::string> words = command;
  std::vector<std::string> variables = MergedEnvironment(environment);
  const std::vector<char*> arguments = Pointers(words);
  const std::vector<char*> environment_pointers = Pointers(variables);
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ == 0) RunChild(arguments.data(), environment_pointers.data(), out_fd_, err_fd_);
  setpgid(pid_, pid_);
}

Program::~Program() {
  if (Running()) {
    SignalGroup(SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(out_fd_);
  close(err_fd_);
}

bool Program::Running() {
  if (!ended_ && waitpid(pid_, &status_, WNOHANG) == pid_) ended_ = true;
  return !ended_;
}

void Program::SignalGroup(int signal) const { kill(-pid_, signal); }
void Program::Signal(int signal) const { kill(pid_, signal); }

Outcome Program::Wait(std::chrono::seconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (Running()) {
    if (std::chrono::steady_clock::now() > deadline) {
      SignalGroup(SIGKILL);
      waitpid(pid_, &status_, 0);
      ended_ = true;
      ADD_FAILURE() << "not ended after " << limit.count() << " s\n" << Out() << Err();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return {WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_), Out(), Err()};
}

std::string Program::Out() const { return ReadAll(out_fd_); }
std::string Program::Err() const { return ReadAll(err_fd_); }
std::vector<pid_t> Program::Children() const { return ChildrenOf(pid_); }

void AdoptOrphans() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

void KillOrphans() {
  for (pid_t pid : ChildrenOf(getpid())) KillProcess(pid);
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

void KillProcess(pid_t pid) {
  kill(pid, SIGKILL);
  while (kill(pid, 0) == 0 && ParentOf(pid) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

std::string CommandLine(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

std::vector<pid_t> AllProcesses() {
  std::vector<pid_t> pids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    if (std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) pids.push_back(std::stoi(name));
  }
  return pids;
}

}  // namespace hypershift::test
