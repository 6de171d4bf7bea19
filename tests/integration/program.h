// The built programs as child processes.
#ifndef HYPERSHIFT_TESTS_INTEGRATION_PROGRAM_H_
#define HYPERSHIFT_TESTS_INTEGRATION_PROGRAM_H_

#include <sys/types.h>

#include <chrono>
#include <map>
#include <ostream>
#include <string>
#include <vector>

namespace hypershift::test {

using Environment = std::map<std::string, std::string>;

struct Outcome {
  int exit_status = -1;  // 128 + signal when a signal ended it.
  std::string out;
  std::string err;
  bool Says(const std::string& text) const { return (out + err).find(text) != std::string::npos; }
};
std::ostream& operator<<(std::ostream& stream, const Outcome& outcome);

// A child in a process group of its own, as a shell starts it. What is still running at destruction is killed.
class Program {
 public:
  explicit Program(const std::vector<std::string>& command, const Environment& environment = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  bool Running();
  // To the whole group, as Ctrl-C in a terminal.
  void SignalGroup(int signal) const;
  void Signal(int signal) const;
  // Kills it, with whatever the time, and fails the test when it has not ended by then.
  Outcome Wait(std::chrono::seconds limit = std::chrono::seconds(120));
  std::string Out() const;
  std::string Err() const;
  // Processes that it started and that run.
  std::vector<pid_t> Children() const;

 private:
  pid_t pid_ = 0;
  int out_fd_ = -1;
  int err_fd_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

// Makes orphans children of this process, so that KillOrphans finds them: keepers outlive the program that started them.
void AdoptOrphans();
void KillOrphans();
// Waits until it has gone.
void KillProcess(pid_t pid);

std::string CommandLine(pid_t pid);
std::vector<pid_t> AllProcesses();

}  // namespace hypershift::test

#endif  // HYPERSHIFT_TESTS_INTEGRATION_PROGRAM_H_
