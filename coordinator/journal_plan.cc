// How a plan gets into the journal: whole or not at all, and one task at a time, so that its size does not show in
// memory.
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "common/status_macros.h"
#include "coordinator/journal.h"
#include "coordinator/journal_values.h"

namespace hypershift {
namespace {

constexpr size_t kTasksPerCopy = 500;

// Rows of one of the journal's tables, by COPY: the server takes them in while the next ones are made. Until Flush
// nobody else may use the transaction. An exception on the way must end it: libpqxx completes the COPY while unwinding.
template <size_t kColumns>
class Rows {
 public:
  using Fields = std::array<std::string, kColumns>;

  Rows(pqxx::work& work, std::string table, Fields columns)
      : work_(work), table_(std::move(table)), columns_(std::move(columns)) {}

  void Add(const Fields& row) {
    if (!stream_.has_value()) stream_.emplace(work_, table_, columns_);
    *stream_ << row;
  }

  void Flush() {
    if (!stream_.has_value()) return;
    stream_->complete();
    stream_.reset();
  }

 private:
  pqxx::work& work_;
  const std::string table_;
  const Fields columns_;
  std::optional<pqxx::stream_to> stream_;
};

class TaskRows {
 public:
  TaskRows(pqxx::work& work, std::string migration)
      : migration_(std::move(migration)),
        rows_(work, "_hypershift.task",
              {"id", "migration_id", "table_id", "kind", "sequence", "estimated_bytes", "small", "barrier", "gates",
               "range_key", "description", "work"}) {}

  void Add(const PlannedTask& planned) {
    const Task& task = planned.task;
    rows_.Add({absl::StrCat(task.id), migration_, absl::StrCat(task.table), TaskKindName(task.kind),
               absl::StrCat(task.sequence), absl::StrCat(task.estimated_bytes), task.small ? "t" : "f",
               absl::StrCat(task.barrier), NumberArray(task.gates), task.range_key, planned.description,
               ByteaText(planned.work.SerializeAsString())});
  }

  void Flush() { rows_.Flush(); }

 private:
  const std::string migration_;
  Rows<12> rows_;
};

void InsertTables(pqxx::work& work, const std::string& id, const Plan& plan) {
  Rows<5> rows(work, "_hypershift.source_table", {"migration_id", "id", "schema_name", "table_name", "plan"});
  for (const TablePlan& table : plan.tables) {
    rows.Add({id, absl::StrCat(table.id), table.name.schema, table.name.name, table.ToJson()});
  }
  rows.Flush();
}

void InsertBarriers(pqxx::work& work, const std::string& id, const Plan& plan) {
  Rows<3> rows(work, "_hypershift.barrier", {"migration_id", "id", "parent"});
  for (const Barrier& barrier : plan.barriers) {
    rows.Add({id, absl::StrCat(barrier.id), absl::StrCat(barrier.parent)});
  }
  rows.Flush();
}

absl::Status InsertPlan(pqxx::work& work, const std::string& id, const Journal::PlanMaker& make) {
  TaskRows tasks(work, id);
  HS_ASSIGN_OR_RETURN(const Plan plan, make([&](const PlannedTask& task) { tasks.Add(task); }));
  for (const PlannedTask& task : plan.tasks) tasks.Add(task);
  tasks.Flush();
  InsertTables(work, id, plan);
  InsertBarriers(work, id, plan);
  return absl::OkStatus();
}

// As far as a verification is planned by it.
absl::Status ForEachCopy(pqxx::work& work, const std::string& id,
                         const std::function<void(const PlannedTask& copy)>& visit) {
  const std::string sql = absl::StrCat(
      "SELECT id, table_id, range_key, description, work FROM _hypershift.task WHERE migration_id = ", QuoteLiteral(id),
      " AND kind = 'copy' ORDER BY id");
  return ForEachRow(work, sql, [&](const pqxx::row& row) -> absl::Status {
    PlannedTask copy;
    copy.task.id = Number<TaskId>(row[0]);
    copy.task.kind = TaskKind::KIND_COPY;
    copy.task.table = Number<int>(row[1]);
    copy.task.range_key = Text(row[2]);
    copy.description = Text(row[3]);
    if (!copy.work.ParseFromString(BytesOf(row[4]))) {
      return absl::DataLossError(absl::StrCat("the journal's task ", copy.task.id, " can't be read"));
    }
    visit(copy);
    return absl::OkStatus();
  });
}

}  // namespace

absl::Status Journal::WritePlan(const std::string& id, const PlanMaker& make, JournalPhase phase) {
  return AsLeaderAtLength("plan", [&](pqxx::work& work) -> absl::Status {
    work.exec_params("DELETE FROM _hypershift.task WHERE migration_id = $1", id);
    work.exec_params("DELETE FROM _hypershift.barrier WHERE migration_id = $1", id);
    work.exec_params("DELETE FROM _hypershift.source_table WHERE migration_id = $1", id);
    HS_RETURN_IF_ERROR(InsertPlan(work, id, make));
    work.exec_params("UPDATE _hypershift.migration SET phase = $2 WHERE id = $1", id, PhaseName(phase));
    return absl::OkStatus();
  });
}

absl::Status Journal::ReplaceLoad(const std::string& id, const std::vector<int>& tables,
                                  const std::vector<std::string>& statements, const PlanMaker& make) {
  return AsLeaderAtLength("replace_load", [&](pqxx::work& work) -> absl::Status {
    const std::string ids = NumberArray(tables);
    for (const std::string& statement : statements) work.exec(statement);
    // Old barriers stay: an empty one is open.
    work.exec_params(
        "DELETE FROM _hypershift.task WHERE migration_id = $1 AND table_id = ANY($2::int[]) "
        "AND kind IN ('prepare_chunk', 'copy', 'compress', 'verify')",
        id, ids);
    work.exec_params("DELETE FROM _hypershift.source_table WHERE migration_id = $1 AND id = ANY($2::int[])", id, ids);
    return InsertPlan(work, id, make);
  });
}

absl::Status Journal::ReplaceVerifications(
    const std::string& id, const std::function<absl::Status(const CopyReader&, const TaskSink&)>& plan) {
  return AsLeaderAtLength("replace_verifications", [&](pqxx::work& work) -> absl::Status {
    work.exec_params("DELETE FROM _hypershift.task WHERE migration_id = $1 AND kind = 'verify'", id);
    TaskRows tasks(work, id);
    // What is planned while copies are read waits for its turn in the transaction, some hundreds of tasks together.
    std::vector<PlannedTask> planned;
    const auto write = [&] {
      for (const PlannedTask& task : planned) tasks.Add(task);
      tasks.Flush();
      planned.clear();
    };
    HS_RETURN_IF_ERROR(
        plan([&](const std::function<void(const PlannedTask& copy)>& visit) { return ForEachCopy(work, id, visit); },
             [&](PlannedTask task) {
               planned.push_back(std::move(task));
               if (planned.size() >= kTasksPerCopy) write();
             }));
    write();
    return absl::OkStatus();
  });
}

}  // namespace hypershift
