// Runs another program (pg_dump, pg_restore) and collects what it prints.
//
// No shell is involved. Thread-safe.
#ifndef HYPERSHIFT_COMMON_SUBPROCESS_H_
#define HYPERSHIFT_COMMON_SUBPROCESS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace hypershift {

struct SubprocessOptions {
  std::vector<std::string> arguments;              // arguments[0] is the program, looked up in PATH.
  std::map<std::string, std::string> environment;  // Added to this process' own.
  std::string standard_input;                      // Written to it while its output is read.
  absl::Duration timeout = absl::Hours(1);         // Killed after that.
};

struct SubprocessResult {
  int exit_status = 0;  // 128 + signal when killed by one.
  std::string standard_output;
  std::string standard_error;
};

// kNotFound: no such program in PATH. kDeadlineExceeded: timed out and killed. Any exit status is a result, not an
// error.
absl::StatusOr<SubprocessResult> RunSubprocess(const SubprocessOptions& options);

// A file readable by this user only, in a private temporary folder, removed with this object. For password files and
// other data that must not stand in arguments.
class PrivateFile {
 public:
  static absl::StatusOr<PrivateFile> Create(const std::string& contents);
  PrivateFile(PrivateFile&& other) noexcept;
  PrivateFile& operator=(PrivateFile&& other) noexcept;
  PrivateFile(const PrivateFile&) = delete;
  PrivateFile& operator=(const PrivateFile&) = delete;
  ~PrivateFile();

  const std::string& path() const { return path_; }

 private:
  explicit PrivateFile(std::string directory, std::string path);
  std::string directory_;
  std::string path_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_SUBPROCESS_H_
