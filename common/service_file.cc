#include "common/service_file.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace hypershift {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::optional<std::map<std::string, std::string>> ParseServiceFile(absl::string_view text, absl::string_view service) {
  std::map<std::string, std::string> parameters;
  bool found = false;
  bool inside = false;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line.front() == '#') continue;
    if (line.front() == '[') {
      if (found) break;  // Of two sections with one name libpq takes the first.
      inside = line == absl::StrCat("[", service, "]");
      found = inside;
      continue;
    }
    if (!inside) continue;
    const size_t equals = line.find('=');
    if (equals == absl::string_view::npos || absl::StartsWith(line, "ldap")) return std::nullopt;
    parameters.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  if (!found) return std::nullopt;
  return parameters;
}

std::optional<std::map<std::string, std::string>> FindService(const std::vector<std::string>& paths,
                                                              absl::string_view service) {
  for (const std::string& path : paths) {
    std::ifstream file(path);
    if (!file) continue;
    std::stringstream text;
    text << file.rdbuf();
    if (auto parameters = ParseServiceFile(text.str(), service)) return parameters;
  }
  return std::nullopt;
}

std::vector<std::string> ServiceFilePaths() {
  std::vector<std::string> paths;
  if (std::string file = Environment("PGSERVICEFILE"); !file.empty()) {
    paths.push_back(file);
  } else if (std::string home = Environment("HOME"); !home.empty()) {
    paths.push_back(absl::StrCat(home, "/.pg_service.conf"));
  }
  std::string folder = Environment("PGSYSCONFDIR");
  if (folder.empty()) folder = "/etc/postgresql-common";  // Debian's libpq; others fall back on libpq itself.
  paths.push_back(absl::StrCat(folder, "/pg_service.conf"));
  return paths;
}

}  // namespace hypershift
