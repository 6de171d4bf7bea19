// A value that must not be printed: a password.
//
// It has no formatter and no stream operator (both are deleted), so that code which would log one does not compile.
// Reveal() is for handing it to a server or a child process' private channel, nothing else. A value type; threads as
// for std::string.
#ifndef HYPERSHIFT_COMMON_SECRET_H_
#define HYPERSHIFT_COMMON_SECRET_H_

#include <ostream>
#include <string>
#include <utility>

namespace hypershift {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}

  const std::string& Reveal() const { return value_; }
  bool empty() const { return value_.empty(); }

  friend std::ostream& operator<<(std::ostream&, const Secret&) = delete;

 private:
  std::string value_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_SECRET_H_
