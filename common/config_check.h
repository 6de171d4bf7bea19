// What must hold between the keys of a configuration: shared by ValidateConfig, and by the parser, which adds the line.
#ifndef HYPERSHIFT_COMMON_CONFIG_CHECK_H_
#define HYPERSHIFT_COMMON_CONFIG_CHECK_H_

#include <optional>
#include <string>

#include "common/config.h"

namespace hypershift {

struct ConfigProblem {
  std::string key;  // The key to blame, at the top level of the file.
  int line = 0;     // Of the hypertable's entry; 0 when the problem is `key` itself.
  std::string message;
};

// The first problem, if any.
std::optional<ConfigProblem> FindConfigProblem(const Config& config);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_CONFIG_CHECK_H_
