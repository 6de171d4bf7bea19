// A YAML file with settings of a program whose flags are its whole configuration: "key: value" lines, the value a word
// or a list of words.
#ifndef HYPERSHIFT_COMMON_SETTINGS_FILE_H_
#define HYPERSHIFT_COMMON_SETTINGS_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace hypershift {

struct FileSetting {
  std::string key;
  std::vector<std::string> values;
  std::string place;  // "worker.yml:3", for messages about the value.
};

// In the order of `known`, which are all keys there may be. Errors are one line that begins with the file and the line.
// kInvalidArgument; kNotFound or kPermissionDenied when the file can't be read.
absl::StatusOr<std::vector<FileSetting>> LoadSettingsFile(const std::string& path,
                                                          const std::vector<std::string>& known);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_SETTINGS_FILE_H_
