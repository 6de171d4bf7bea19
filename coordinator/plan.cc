#include "coordinator/plan.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace hypershift {

std::string SplitMethodName(SplitMethod method) {
  switch (method) {
    case SplitMethod::kTime:
      return "time";
    case SplitMethod::kCtid:
      return "ctid";
    case SplitMethod::kWhole:
      return "whole";
    case SplitMethod::kNone:
      return "none";
  }
  return "none";
}

SplitMethod ParseSplitMethod(const std::string& name) {
  for (SplitMethod method : {SplitMethod::kTime, SplitMethod::kCtid, SplitMethod::kWhole}) {
    if (SplitMethodName(method) == name) return method;
  }
  return SplitMethod::kNone;
}

std::string TablePlan::ToJson() const {
  return nlohmann::json{{"source_oid", source_oid},
                        {"method", SplitMethodName(method)},
                        {"format", static_cast<int>(format)},
                        {"hypertable", hypertable},
                        {"compressed", compressed},
                        {"estimated_rows", estimated_rows},
                        {"estimated_bytes", estimated_bytes},
                        {"source_writes", source_writes},
                        {"rewritable_columns", rewritable_columns},
                        {"not_copied", not_copied}}
      .dump();
}

absl::StatusOr<TablePlan> TablePlan::FromJson(const std::string& json) {
  try {
    const nlohmann::json parsed = nlohmann::json::parse(json);
    TablePlan plan;
    plan.source_oid = parsed.at("source_oid").get<Oid>();
    plan.method = ParseSplitMethod(parsed.at("method").get<std::string>());
    plan.format = static_cast<v1::CopyFormat>(parsed.at("format").get<int>());
    plan.hypertable = parsed.at("hypertable").get<bool>();
    plan.compressed = parsed.at("compressed").get<bool>();
    plan.estimated_rows = parsed.at("estimated_rows").get<int64_t>();
    plan.estimated_bytes = parsed.at("estimated_bytes").get<int64_t>();
    plan.source_writes = parsed.at("source_writes").get<int64_t>();
    plan.rewritable_columns = parsed.at("rewritable_columns").get<std::vector<std::string>>();
    plan.not_copied = parsed.at("not_copied").get<std::string>();
    return plan;
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(absl::StrCat("the journal's plan of a table can't be read: ", error.what()));
  }
}

}  // namespace hypershift
