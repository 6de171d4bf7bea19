#include "common/yaml_document.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/names.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr size_t kMostBytes = 16 << 20;

// A key that could be part of a connection string is not repeated.
std::string ShownKey(absl::string_view key) {
  const bool harmless = key.size() <= 64 && std::all_of(key.begin(), key.end(), [](char c) {
                          return absl::ascii_isalnum(c) || c == '_' || c == '-';
                        });
  return harmless ? absl::StrCat("'", key, "'") : "that is not a word";
}

// Where the document begins that was read last.
class DocumentStart : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { mark_ = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  const YAML::Mark& mark() const { return mark_; }

 private:
  YAML::Mark mark_;
};

// Not with YAML::LoadAll, which reads the same place for ever where a ',' or another sign begins nothing (yaml-cpp
// 0.7).
absl::Status CheckSingleDocument(const std::string& yaml) {
  std::istringstream text(yaml);
  YAML::Parser parser(text);
  std::vector<YAML::Mark> starts;
  for (DocumentStart start; starts.size() < 3 && parser.HandleNextDocument(start);) starts.push_back(start.mark());
  if (starts.size() < 2) return absl::OkStatus();
  const bool stands_still = starts.back().pos == starts[starts.size() - 2].pos;
  return absl::InvalidArgumentError(absl::StrCat(starts[1].line + 1, ": ",
                                                 stands_still ? "not valid YAML: neither a key nor a value begins here"
                                                              : "the file holds more than one document"));
}

// Error messages begin with the line's number.
absl::Status ReadDocument(absl::string_view yaml, const std::function<absl::Status(const YAML::Node& root)>& read) {
  try {
    HS_RETURN_IF_ERROR(CheckSingleDocument(std::string(yaml)));
    const YAML::Node document = YAML::Load(std::string(yaml));
    return IsAbsent(document) ? absl::OkStatus() : read(document);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(error.mark.is_null() ? "" : absl::StrCat(error.mark.line + 1, ": "),
                                                   "not valid YAML: ", Printable(error.msg)));
  }
}

}  // namespace

absl::Status ErrorAt(const YAML::Node& node, absl::string_view problem) {
  const int line = node.Mark().line;  // From 0; -1 where yaml-cpp doesn't know.
  return absl::InvalidArgumentError(absl::StrCat(line < 0 ? "" : absl::StrCat(line + 1, ": "), problem));
}

bool IsAbsent(const YAML::Node& node) { return !node.IsDefined() || node.IsNull(); }

absl::Status ReadMap(const YAML::Node& map, absl::string_view what, const std::map<std::string, Setter>& setters,
                     std::map<std::string, int>* lines) {
  if (!map.IsMap()) return ErrorAt(map, absl::StrCat(what, " must be written as 'key: value' lines"));
  std::vector<std::string> known;
  for (const auto& entry : setters) known.push_back(entry.first);
  std::map<std::string, int> seen;
  for (const auto& entry : map) {
    const YAML::Node& key = entry.first;
    const YAML::Node& value = entry.second;
    if (!key.IsScalar()) return ErrorAt(key, absl::StrCat(what, ": a key must be a word"));
    const auto setter = setters.find(key.Scalar());
    if (setter == setters.end()) {
      const std::string nearest = NearestName(key.Scalar(), known);
      return ErrorAt(key, absl::StrCat("unknown key ", ShownKey(key.Scalar()),
                                       nearest.empty() ? absl::StrCat("; known are ", absl::StrJoin(known, ", "))
                                                       : absl::StrCat(" (did you mean '", nearest, "'?)")));
    }
    const int line = key.Mark().line + 1;
    const auto [first, inserted] = seen.emplace(key.Scalar(), line);
    if (!inserted) {
      return ErrorAt(key, absl::StrCat("the key '", key.Scalar(), "' stands here again, after line ", first->second));
    }
    if (!IsAbsent(value)) HS_RETURN_IF_ERROR(setter->second(value));
  }
  if (lines != nullptr) *lines = std::move(seen);
  return absl::OkStatus();
}

absl::Status ReadYaml(absl::string_view yaml, absl::string_view file_name,
                      const std::function<absl::Status(const YAML::Node& root)>& read) {
  if (yaml.size() > kMostBytes) return absl::InvalidArgumentError(absl::StrCat(file_name, ": larger than 16 MiB"));
  const absl::Status status = ReadDocument(yaml, read);
  if (status.ok()) return absl::OkStatus();
  const absl::string_view message = status.message();
  const bool has_line = !message.empty() && absl::ascii_isdigit(message[0]);
  return absl::InvalidArgumentError(absl::StrCat(file_name, has_line ? ":" : ": ", message));
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  std::stringstream text;
  if (file) text << file.rdbuf();
  if (file && !file.bad() && !(text.fail() && errno != 0)) return text.str();
  const int error = errno;
  const std::string message = absl::StrCat(path, ": ", error == 0 ? "can't be read" : std::strerror(error));
  return error == EACCES || error == EPERM ? absl::PermissionDeniedError(message) : absl::NotFoundError(message);
}

}  // namespace hypershift
