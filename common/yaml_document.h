// YAML files whose errors name the line: what every parser of one in this folder begins with.
//
// For files of this folder only: nobody else sees yaml-cpp.
#ifndef HYPERSHIFT_COMMON_YAML_DOCUMENT_H_
#define HYPERSHIFT_COMMON_YAML_DOCUMENT_H_

#include <yaml-cpp/yaml.h>

#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hypershift {

// kInvalidArgument; the message begins with the node's line, where it is known.
absl::Status ErrorAt(const YAML::Node& node, absl::string_view problem);

// Neither there, nor anything but there.
bool IsAbsent(const YAML::Node& node);

using Setter = std::function<absl::Status(const YAML::Node& value)>;

// Walks a map and hands each value to its key's setter. A key without a value counts as absent. `lines`, if any, is
// given each key's line. `what` is for messages.
absl::Status ReadMap(const YAML::Node& map, absl::string_view what, const std::map<std::string, Setter>& setters,
                     std::map<std::string, int>* lines = nullptr);

// Hands the root of the only document to `read`, unless there is none. Errors, also those of `read` and of ErrorAt, get
// the file's name in front: "hypershift.yml:12: ...". kInvalidArgument.
absl::Status ReadYaml(absl::string_view yaml, absl::string_view file_name,
                      const std::function<absl::Status(const YAML::Node& root)>& read);

// kNotFound or kPermissionDenied when the file can't be read; the message begins with its name.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_YAML_DOCUMENT_H_
