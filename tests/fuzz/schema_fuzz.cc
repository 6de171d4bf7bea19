// Promise: the script that pg_restore makes of the source's schema, in which names and bodies are the source's own, is
// taken apart without losing or inventing any SQL; and a plan that the journal holds is read back as it was written, or
// refused.
//
// Input: the script.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/plan.h"
#include "coordinator/schema_archive.h"
#include "tests/fuzz/fuzz.h"

namespace hypershift::fuzz {
namespace {

// As pg_restore writes it.
std::string Script(const std::vector<SchemaEntry>& entries) {
  std::string script = "--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n\n";
  for (const SchemaEntry& entry : entries) {
    absl::StrAppend(&script, "--\n-- TOC entry ", entry.dump_id, " (class ", entry.catalog_class, " OID ",
                    entry.catalog_oid, ")\n");
    if (!entry.dependencies.empty()) {
      absl::StrAppend(&script, "-- Dependencies:");
      for (const int id : entry.dependencies) absl::StrAppend(&script, " ", id);
      absl::StrAppend(&script, "\n");
    }
    absl::StrAppend(&script, "-- Name: ", entry.name, "; Type: ", entry.type, "; Schema: ");
    absl::StrAppend(&script, entry.schema.empty() ? "-" : entry.schema, "; Owner: -\n--\n\n", entry.sql, "\n\n\n");
  }
  return absl::StrCat(script,
                      "-- Completed on 2026-01-01 00:00:00 UTC\n\n--\n-- PostgreSQL database dump complete\n--\n\n");
}

bool Same(const SchemaEntry& a, const SchemaEntry& b) {
  return a.dump_id == b.dump_id && a.catalog_class == b.catalog_class && a.catalog_oid == b.catalog_oid &&
         a.type == b.type && a.schema == b.schema && a.name == b.name && a.dependencies == b.dependencies &&
         a.sql == b.sql;
}

void CheckScript(const std::string& script) {
  const absl::StatusOr<std::vector<SchemaEntry>> entries = ParseRestoreScript(script);
  if (!entries.ok()) return;
  const absl::StatusOr<std::vector<SchemaEntry>> again = ParseRestoreScript(Script(*entries));
  Require(again.ok(), "a script that was taken apart can be put together", again.status().message());
  Require(again->size() == entries->size(), "no entry is lost or invented");
  for (size_t i = 0; i < entries->size(); ++i) Require(Same((*entries)[i], (*again)[i]), "an entry stays itself");
}

void CheckPlan(const std::string& text) {
  const absl::StatusOr<TablePlan> plan = TablePlan::FromJson(text);
  if (!plan.ok()) return;
  const std::string json = plan->ToJson();
  const absl::StatusOr<TablePlan> again = TablePlan::FromJson(json);
  Require(again.ok() && again->ToJson() == json, "a plan is read as it was written");
}

void Check(Input input) {
  const std::string text(input.rest());
  CheckScript(text);
  CheckPlan(text);
}

}  // namespace
}  // namespace hypershift::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hypershift::fuzz::Check(hypershift::fuzz::Input(data, size));
  return 0;
}
