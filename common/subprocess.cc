#include "common/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "common/status_macros.h"

extern char** environ;

namespace hypershift {
namespace {

absl::Status SystemError(absl::string_view what, int error) {
  return absl::InternalError(absl::StrCat(what, ": ", std::strerror(error)));
}

// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { Close(); }

  int number() const { return number_; }
  bool open() const { return number_ >= 0; }
  void Close() {
    if (number_ >= 0) close(std::exchange(number_, -1));
  }

 private:
  int number_;
};

// Our end of a pipe doesn't block; both ends close on exec, so that no other child inherits them and keeps them open.
struct Pipe {
  Descriptor ours, childs;
};

absl::StatusOr<Pipe> MakePipe(bool child_reads) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return SystemError("cannot make a pipe", errno);
  Pipe result{Descriptor(ends[child_reads ? 1 : 0]), Descriptor(ends[child_reads ? 0 : 1])};
  if (fcntl(result.ours.number(), F_SETFL, O_NONBLOCK) != 0) return SystemError("cannot set up a pipe", errno);
  return result;
}

// "NAME=value" strings: this process' own environment with `added` laid over it.
std::vector<std::string> ChildEnvironment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const absl::string_view text = *entry;
    if (added.count(std::string(text.substr(0, text.find('=')))) == 0) result.emplace_back(text);
  }
  for (const auto& [name, value] : added) result.push_back(absl::StrCat(name, "=", value));
  return result;
}

std::vector<char*> Pointers(std::vector<std::string>* strings) {
  std::vector<char*> result;
  for (std::string& string : *strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

// A running child. Killed and reaped when this object goes before it has ended.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ < 0) return;
    Kill();
    Reap();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void Kill() {
    kill(-pid_, SIGKILL);  // It leads a process group: its own children go too, and let go of the pipes.
    kill(pid_, SIGKILL);
  }
  int Reap() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  // Whether it has ended by the deadline. It may close its pipes long before.
  bool EndsBy(absl::Time deadline) {
    for (absl::Duration pause = absl::Milliseconds(1);; pause = std::min(2 * pause, absl::Milliseconds(50))) {
      siginfo_t info{};
      if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0)
        return true;
      if (absl::Now() >= deadline) return false;
      absl::SleepFor(pause);
    }
  }

 private:
  pid_t pid_;
};

// posix_spawn, not fork: another thread may hold a lock that the copy of this process would then never get.
absl::StatusOr<pid_t> Spawn(const SubprocessOptions& options, int in, int out, int err) {
  std::vector<std::string> arguments = options.arguments;
  std::vector<std::string> environment = ChildEnvironment(options.environment);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  // A process group of its own, so that Ctrl-C reaches it through us alone; signals as a program expects them.
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  sigaddset(&defaults, SIGINT);
  sigaddset(&defaults, SIGTERM);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, arguments[0].c_str(), &actions, &attributes, Pointers(&arguments).data(),
                                 Pointers(&environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error == 0) return pid;
  if (error == ENOENT) return absl::NotFoundError(absl::StrCat(arguments[0], ": no such program in PATH"));
  return SystemError(absl::StrCat("cannot start ", arguments[0]), error);
}

// Reads what there is; closes at the end.
void ReadSome(Descriptor* from, std::string* to) {
  std::array<char, 65536> buffer;
  const ssize_t size = read(from->number(), buffer.data(), buffer.size());
  if (size > 0) {
    to->append(buffer.data(), static_cast<size_t>(size));
  } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
    from->Close();
  }
}

// Writes what fits; closes when all is written, or when the child no longer reads.
void WriteSome(Descriptor* to, absl::string_view* text) {
  const ssize_t size = text->empty() ? 0 : write(to->number(), text->data(), text->size());
  if (size > 0) text->remove_prefix(static_cast<size_t>(size));
  if (text->empty() || (size < 0 && errno != EAGAIN && errno != EINTR)) to->Close();
}

// Keeps SIGPIPE from this thread while it writes to a child that may be gone, and takes back one that came.
class BlockSigpipe {
 public:
  BlockSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~BlockSigpipe() {
    if (sigismember(&before_, SIGPIPE) == 1) return;
    const timespec at_once{};
    while (sigtimedwait(&pipe_, nullptr, &at_once) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  BlockSigpipe(const BlockSigpipe&) = delete;
  BlockSigpipe& operator=(const BlockSigpipe&) = delete;

 private:
  sigset_t pipe_, before_;
};

// Serves all three pipes at once, so that neither side waits for the other. False: the deadline has passed.
bool Exchange(Descriptor* in, Descriptor* out, Descriptor* err, absl::string_view input, absl::Time deadline,
              SubprocessResult* result) {
  const BlockSigpipe no_sigpipe;
  if (input.empty()) in->Close();
  while (out->open() || err->open()) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    std::array<pollfd, 3> entries = {pollfd{in->number(), POLLOUT, 0}, pollfd{out->number(), POLLIN, 0},
                                     pollfd{err->number(), POLLIN, 0}};  // poll skips closed ones (-1).
    const int64_t milliseconds = absl::ToInt64Milliseconds(std::min(left, absl::Seconds(1)));
    if (poll(entries.data(), entries.size(), static_cast<int>(milliseconds) + 1) <= 0) continue;
    if (entries[0].revents != 0) WriteSome(in, &input);
    if (entries[1].revents != 0) ReadSome(out, &result->standard_output);
    if (entries[2].revents != 0) ReadSome(err, &result->standard_error);
  }
  in->Close();
  return true;
}

}  // namespace

absl::StatusOr<SubprocessResult> RunSubprocess(const SubprocessOptions& options) {
  if (options.arguments.empty()) return absl::InvalidArgumentError("no program to run");
  const absl::Time deadline = absl::Now() + options.timeout;
  HS_ASSIGN_OR_RETURN(Pipe in, MakePipe(/*child_reads=*/true));
  HS_ASSIGN_OR_RETURN(Pipe out, MakePipe(/*child_reads=*/false));
  HS_ASSIGN_OR_RETURN(Pipe err, MakePipe(/*child_reads=*/false));
  HS_ASSIGN_OR_RETURN(const pid_t pid, Spawn(options, in.childs.number(), out.childs.number(), err.childs.number()));
  Child child(pid);
  for (Pipe* pipe : {&in, &out, &err}) pipe->childs.Close();

  SubprocessResult result;
  if (!Exchange(&in.ours, &out.ours, &err.ours, options.standard_input, deadline, &result) || !child.EndsBy(deadline)) {
    return absl::DeadlineExceededError(
        absl::StrCat(options.arguments[0], " did not end within ", absl::FormatDuration(options.timeout)));
  }
  result.exit_status = child.Reap();
  return result;
}

PrivateFile::PrivateFile(std::string directory, std::string path)
    : directory_(std::move(directory)), path_(std::move(path)) {}

PrivateFile::PrivateFile(PrivateFile&& other) noexcept
    : directory_(std::exchange(other.directory_, "")), path_(std::exchange(other.path_, "")) {}

PrivateFile& PrivateFile::operator=(PrivateFile&& other) noexcept {
  std::swap(directory_, other.directory_);
  std::swap(path_, other.path_);
  return *this;
}

PrivateFile::~PrivateFile() {
  if (!path_.empty()) unlink(path_.c_str());
  if (!directory_.empty()) rmdir(directory_.c_str());
}

absl::StatusOr<PrivateFile> PrivateFile::Create(const std::string& contents) {
  const char* folder = std::getenv("TMPDIR");
  std::string directory = absl::StrCat(folder != nullptr && *folder != '\0' ? folder : "/tmp", "/hypershift-XXXXXX");
  if (mkdtemp(directory.data()) == nullptr) return SystemError(absl::StrCat("cannot make ", directory), errno);
  PrivateFile result(directory, absl::StrCat(directory, "/private"));
  const Descriptor file(open(result.path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.open()) return SystemError(absl::StrCat("cannot make ", result.path_), errno);
  for (absl::string_view rest = contents; !rest.empty();) {
    const ssize_t size = write(file.number(), rest.data(), rest.size());
    if (size < 0 && errno != EINTR) return SystemError(absl::StrCat("cannot write ", result.path_), errno);
    if (size > 0) rest.remove_prefix(static_cast<size_t>(size));
  }
  return result;
}

}  // namespace hypershift
