#include "common/settings_file.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "common/yaml_document.h"

namespace hypershift {

absl::StatusOr<std::vector<FileSetting>> LoadSettingsFile(const std::string& path,
                                                          const std::vector<std::string>& known) {
  HS_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  std::map<std::string, std::vector<std::string>> found;
  std::map<std::string, Setter> setters;
  for (const std::string& key : known) {
    setters[key] = [&key, &found](const YAML::Node& value) -> absl::Status {
      if (value.IsScalar()) {
        found[key] = {value.Scalar()};
        return absl::OkStatus();
      }
      if (!value.IsSequence()) return ErrorAt(value, absl::StrCat("'", key, "' must be a value or a list of values"));
      for (const YAML::Node& item : value) {
        if (!item.IsScalar()) return ErrorAt(item, absl::StrCat("'", key, "' must be a list of single values"));
        found[key].push_back(item.Scalar());
      }
      return absl::OkStatus();
    };
  }
  std::map<std::string, int> lines;
  HS_RETURN_IF_ERROR(
      ReadYaml(text, path, [&](const YAML::Node& root) { return ReadMap(root, "the file", setters, &lines); }));
  std::vector<FileSetting> settings;
  for (const std::string& key : known) {
    const auto values = found.find(key);
    if (values == found.end()) continue;
    settings.push_back({key, std::move(values->second), absl::StrCat(path, ":", lines[key])});
  }
  return settings;
}

}  // namespace hypershift
