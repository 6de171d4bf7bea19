#include "coordinator/plan.h"

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hypershift {
namespace {

// nlohmann::json converts any number, whether the type can hold it or not.
template <typename T>
T IntegerAt(const nlohmann::json& object, const char* key) {
  const nlohmann::json& value = object.at(key);
  const bool fits = value.is_number_unsigned() ? std::in_range<T>(value.get<uint64_t>())
                                               : value.is_number_integer() && std::in_range<T>(value.get<int64_t>());
  if (!fits) throw std::out_of_range(absl::StrCat(key, " is no number of its range"));
  return value.get<T>();
}

}  // namespace

std::string SplitMethodName(SplitMethod method) {
  switch (method) {
    case SplitMethod::kTime:
      return "time";
    case SplitMethod::kCtid:
      return "ctid";
    case SplitMethod::kKey:
      return "key";
    case SplitMethod::kWhole:
      return "whole";
    case SplitMethod::kNone:
      return "none";
  }
  return "none";
}

SplitMethod ParseSplitMethod(const std::string& name) {
  for (SplitMethod method : {SplitMethod::kTime, SplitMethod::kCtid, SplitMethod::kKey, SplitMethod::kWhole}) {
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
                        {"priority", priority},
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
    plan.source_oid = IntegerAt<Oid>(parsed, "source_oid");
    plan.method = ParseSplitMethod(parsed.at("method").get<std::string>());
    plan.format = static_cast<v1::CopyFormat>(IntegerAt<int>(parsed, "format"));
    plan.hypertable = parsed.at("hypertable").get<bool>();
    plan.compressed = parsed.at("compressed").get<bool>();
    plan.priority = IntegerAt<int>(parsed, "priority");
    plan.estimated_rows = IntegerAt<int64_t>(parsed, "estimated_rows");
    plan.estimated_bytes = IntegerAt<int64_t>(parsed, "estimated_bytes");
    plan.source_writes = IntegerAt<int64_t>(parsed, "source_writes");
    plan.rewritable_columns = parsed.at("rewritable_columns").get<std::vector<std::string>>();
    plan.not_copied = parsed.at("not_copied").get<std::string>();
    return plan;
  } catch (const std::exception& error) {
    return absl::DataLossError(absl::StrCat("the journal's plan of a table can't be read: ", error.what()));
  }
}

}  // namespace hypershift
