#include "cli/bottleneck_words.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "common/proto_time.h"

namespace hypershift {
namespace {

std::string Milliseconds(bool known, const google::protobuf::Duration& latency) {
  if (!known) return "-";
  const double milliseconds = absl::ToDoubleMilliseconds(FromProto(latency));
  return milliseconds < 10 ? absl::StrFormat("%.1f", milliseconds) : absl::StrFormat("%.0f", milliseconds);
}

}  // namespace

std::string BottleneckInWords(v1::Bottleneck::Part part) {
  switch (part) {
    case v1::Bottleneck::PART_SOURCE_READ:
      return "source read";
    case v1::Bottleneck::PART_LINK:
      return "link";
    case v1::Bottleneck::PART_TARGET_WRITE:
      return "target write";
    case v1::Bottleneck::PART_LIMIT:
      return "limit";
    default:
      return "";
  }
}

std::string LatenciesInWords(const v1::WorkerInfo& worker) {
  if (!worker.has_source_latency() && !worker.has_target_latency()) return "";
  return absl::StrCat(Milliseconds(worker.has_source_latency(), worker.source_latency()), " / ",
                      Milliseconds(worker.has_target_latency(), worker.target_latency()), " ms");
}

}  // namespace hypershift
