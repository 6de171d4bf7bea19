// Promise: any text is a configuration or refused in one line that names the file; what could be a password is not
// repeated; and the same text always means the same.
//
// Input: the text, in which the bytes 1 and 2 stand for connection strings with a canary as their password.
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "common/config.h"
#include "tests/fuzz/fuzz.h"

namespace hypershift::fuzz {
namespace {

constexpr absl::string_view kCanary = "QzCanaryQz";

void CheckParsed(const std::string& text, const Config& config) {
  Require(ValidateConfig(config).ok(), "a configuration that was read is valid");
  const std::string fingerprint = config.Fingerprint();
  Require(nlohmann::json::accept(fingerprint), "a fingerprint is JSON", fingerprint);
  const absl::StatusOr<Config> again = ParseConfig(text, "file.yml");
  Require(again.ok() && again->Fingerprint() == fingerprint, "the same text means the same");
  for (const std::vector<QualifiedName>* names : {&config.filter.include_tables, &config.filter.exclude_tables}) {
    for (const QualifiedName& name : *names) {
      const absl::StatusOr<QualifiedName> shown = ParseQualifiedName(name.Display());
      Require(shown.ok() && *shown == name, "a name is shown as it can be written", name.Display());
    }
  }
  for (const HypertableConfig& hypertable : config.hypertables) {
    Require(!hypertable.table.name.empty() && !hypertable.time_column_name.empty(), "a hypertable has its names");
    Require(hypertable.chunk_time_interval.value > 0, "an interval is longer than nothing");
    Require(hypertable.partitioning_column.empty() == (hypertable.number_partitions == 0), "a hash dimension is whole");
  }
}

void Check(Input input) {
  // The word is a password where it stands in a connection string, and nowhere else.
  const std::string text = absl::StrReplaceAll(input.rest(), {{kCanary, "harmless"},
                                                              {"\x01", "postgres://me:QzCanaryQz@host/base"},
                                                              {"\x02", "host=h user=me password=QzCanaryQz"}});
  const absl::StatusOr<Config> config = ParseConfig(text, "file.yml");
  if (config.ok()) {
    CheckParsed(text, *config);
    return;
  }
  const absl::string_view message = config.status().message();
  Require(absl::IsInvalidArgument(config.status()), "a text that is none is refused", config.status().ToString());
  Require(absl::StartsWith(message, "file.yml:"), "an error names its file", message);
  Require(message.find_first_of("\n\r") == absl::string_view::npos, "an error is one line", message);
  Require(!absl::StrContains(message, kCanary), "an error does not repeat a password", message);
}

}  // namespace
}  // namespace hypershift::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hypershift::fuzz::Check(hypershift::fuzz::Input(data, size));
  return 0;
}
