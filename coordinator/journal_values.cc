#include "coordinator/journal_values.h"

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "common/clock.h"
#include "common/names.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

void ParseSum(const std::string& hex, uint64_t* high, uint64_t* low) {
  *high = *low = 0;
  if (hex.size() != 32) return;
  *high = std::stoull(hex.substr(0, 16), nullptr, 16);
  *low = std::stoull(hex.substr(16), nullptr, 16);
}

v1::Digest DigestOf(int64_t rows, const std::string& sum, const std::string& rewritable_sum) {
  v1::Digest digest;
  uint64_t high = 0;
  uint64_t low = 0;
  digest.set_rows(rows);
  ParseSum(sum, &high, &low);
  digest.set_sum_high(high);
  digest.set_sum_low(low);
  ParseSum(rewritable_sum, &high, &low);
  digest.set_rewritable_sum_high(high);
  digest.set_rewritable_sum_low(low);
  return digest;
}

}  // namespace

std::string PhaseName(JournalPhase phase) {
  switch (phase) {
    case JournalPhase::kSchema:
      return "schema";
    case JournalPhase::kHypertables:
      return "hypertables";
    case JournalPhase::kPlan:
      return "plan";
    case JournalPhase::kRun:
      return "run";
    case JournalPhase::kDone:
      return "done";
  }
  return "done";
}

absl::StatusOr<JournalPhase> ParsePhase(const std::string& name) {
  for (JournalPhase phase : {JournalPhase::kSchema, JournalPhase::kHypertables, JournalPhase::kPlan, JournalPhase::kRun,
                             JournalPhase::kDone}) {
    if (PhaseName(phase) == name) return phase;
  }
  return absl::DataLossError(absl::StrCat("the journal is in an unknown phase '", name, "'"));
}

std::string Text(const pqxx::field& field) { return field.is_null() ? std::string() : std::string(field.c_str()); }

absl::Time TimeOf(const pqxx::field& field) {
  const double seconds = Number<double>(field);
  return seconds == 0 ? absl::InfinitePast() : absl::FromUnixMicros(static_cast<int64_t>(seconds * 1e6));
}

std::string ByteaText(const std::string& bytes) { return absl::StrCat("\\x", absl::BytesToHexString(bytes)); }

std::string BytesOf(const pqxx::field& field) {
  const std::string text = Text(field);
  return absl::HexStringToBytes(absl::StartsWith(text, "\\x") ? text.substr(2) : text);
}

std::string JsonList(const std::vector<std::string>& values) { return nlohmann::json(values).dump(); }

std::vector<std::string> ListOf(const std::string& json) {
  const nlohmann::json parsed = nlohmann::json::parse(json, nullptr, false);
  return parsed.is_array() ? parsed.get<std::vector<std::string>>() : std::vector<std::string>();
}

std::string TextArray(const std::vector<std::string>& values) {
  std::vector<std::string> quoted;
  quoted.reserve(values.size());
  for (const std::string& value : values) {
    std::string element = "\"";
    for (char c : value) {
      if (c == '"' || c == '\\') element += '\\';
      element += c;
    }
    quoted.push_back(element + "\"");
  }
  return absl::StrCat("{", absl::StrJoin(quoted, ","), "}");
}

absl::StatusOr<TaskRow> ToTaskRow(const pqxx::row& row) {
  TaskRow result;
  Task& task = result.task;
  task.id = Number<TaskId>(row[0]);
  task.table = Number<int>(row[1]);
  HS_ASSIGN_OR_RETURN(task.kind, ParseTaskKind(Text(row[2])));
  HS_ASSIGN_OR_RETURN(task.state, ParseTaskState(Text(row[3])));
  task.attempt = Number<int>(row[4]);
  task.sequence = Number<int64_t>(row[5]);
  task.estimated_bytes = Number<int64_t>(row[6]);
  task.barrier = Number<BarrierId>(row[7]);
  for (absl::string_view gate : absl::StrSplit(Text(row[8]), ',', absl::SkipEmpty())) {
    BarrierId id = 0;
    if (!absl::SimpleAtoi(gate, &id)) return absl::DataLossError("the journal holds a gate that is no number");
    task.gates.push_back(id);
  }
  task.range_key = Text(row[9]);
  result.description = Text(row[10]);
  task.worker = Text(row[11]);
  task.lease_expires = SystemClock::Get()->Now() + absl::Seconds(Number<double>(row[12]));
  task.failures = Number<int>(row[13]);
  task.error = Text(row[14]);
  result.sqlstate = Text(row[15]);
  task.rows = Number<int64_t>(row[16]);
  task.bytes = Number<int64_t>(row[17]);
  result.digest = DigestOf(task.rows, Text(row[18]), Text(row[19]));
  result.started_at = TimeOf(row[20]);
  result.finished_at = TimeOf(row[21]);
  task.small = row[22].as<bool>();
  return result;
}

absl::Status ForEachRow(pqxx::work& work, const std::string& sql,
                        const std::function<absl::Status(const pqxx::row&)>& visit) {
  work.exec(absl::StrCat("DECLARE journal_rows NO SCROLL CURSOR FOR ", sql));
  while (true) {
    const pqxx::result rows = work.exec("FETCH FORWARD 5000 FROM journal_rows");
    if (rows.empty()) break;
    for (const auto& row : rows) HS_RETURN_IF_ERROR(visit(row));
  }
  work.exec("CLOSE journal_rows");
  return absl::OkStatus();
}

}  // namespace hypershift
