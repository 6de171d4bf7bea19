#include "cli/control_call.h"

#include <google/protobuf/util/json_util.h>

#include <cstdio>

#include "coordinator/exit_status.h"

namespace hypershift {

int RefuseCommand(const absl::Status& error) {
  std::fprintf(stderr, "hypershift: %s\n", std::string(error.message()).c_str());
  return kExitBadInput;
}

std::string MessageAsJson(const google::protobuf::Message& message, bool one_line) {
  std::string json;
  google::protobuf::util::JsonPrintOptions print;
  print.add_whitespace = !one_line;
  print.always_print_primitive_fields = true;
  // Fails only for messages with Any fields or invalid times.
  if (!google::protobuf::util::MessageToJsonString(message, &json, print).ok()) return "{}\n";
  if (one_line) json += '\n';
  return json;
}

}  // namespace hypershift
