#include "coordinator/finishing_planner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/names.h"
#include "coordinator/copy_planning.h"
#include "coordinator/copy_sql.h"

namespace hypershift {
namespace {

constexpr int64_t kFinishingSequence = int64_t{1} << 50;  // After every range of the table.

PlannedTask MakeStatements(TaskKind::Kind kind, int table, const std::string& description,
                           const std::vector<std::string>& statements) {
  PlannedTask planned;
  planned.task.table = table;
  planned.task.kind = kind;
  planned.task.sequence = kFinishingSequence;
  planned.description = description;
  for (const std::string& statement : statements) planned.work.mutable_statements()->add_statements(statement);
  return planned;
}

void AddSetting(PlannedTask* planned, const std::string& name, const std::string& value) {
  v1::Setting* setting = planned->work.mutable_statements()->add_settings();
  setting->set_name(name);
  setting->set_value(value);
}

// Tasks one after the other: each waits for the one before, the first for `gates`.
class Chain {
 public:
  Chain(PlanBuilder* builder, BarrierId parent, std::vector<BarrierId> gates)
      : builder_(builder), parent_(parent), gates_(std::move(gates)) {}

  void Add(PlannedTask planned) {
    planned.task.gates = gates_;
    planned.task.barrier = builder_->AddBarrier(parent_);
    gates_ = {planned.task.barrier};
    builder_->AddTask(std::move(planned));
  }

 private:
  PlanBuilder* builder_;
  BarrierId parent_;
  std::vector<BarrierId> gates_;
};

class FinishingPlanner {
 public:
  FinishingPlanner(const PlannerInput& input, const std::map<Oid, int>& table_ids, PlanBuilder* builder,
                   std::vector<std::string>* left_out)
      : in_(input),
        ids_(table_ids),
        builder_(builder),
        left_out_(left_out),
        views_(builder, kViewsBarrier, {kAllKeysBarrier, kOthersBarrier}),
        others_(builder, kOthersBarrier, {kAllKeysBarrier, kAttachedBarrier}),
        attached_(builder, kAttachedBarrier, {kAllKeysBarrier}) {
    for (const HypertableSpec& hypertable : in_.hypertables) hypertables_.insert(hypertable.table->oid);
    for (const SchemaEntry& entry : in_.post_data) {
      if (entry.type != "INDEX" && entry.type != "CONSTRAINT" && entry.type != "CHECK CONSTRAINT") continue;
      indexes_and_keys_[TableOf(entry)].push_back(&entry);
    }
    FindIncompatible();
  }

  void Plan() {
    PlanSequences();
    for (const auto& [oid, id] : ids_) PlanIndexesAndKeys(oid, id);
    PlanForeignKeys();
    PlanMaterializedViews();
    PlanOthers();
    PlanPolicies();
    for (const auto& [oid, id] : ids_) PlanStatistics(oid, id);
    if (in_.config.verify) PlanVerifications(in_, ids_, nullptr, builder_);
  }

 private:
  void FindIncompatible() {
    for (const IncompatibleConstraint& bad : FindIncompatibleConstraints(in_.hypertables, in_.catalog)) {
      incompatible_.insert(bad.constraint->oid);
      auto table = in_.catalog.tables.find(bad.constraint->table);
      if (table == in_.catalog.tables.end() || ids_.count(table->first) == 0) continue;
      left_out_->push_back(
          absl::StrCat("constraint ", bad.constraint->name, " of ", table->second.name.Display(), ": ", bad.reason));
    }
    for (const HypertableSpec& hypertable : in_.hypertables) {
      ReportLeaves(*hypertable.table);
      for (const auto& [index, missing] : FindIncompatibleIndexes(hypertable, in_.catalog)) {
        incompatible_.insert(index->oid);
        left_out_->push_back(absl::StrCat("unique index ", index->name, " of ", hypertable.table->name.Display(),
                                          ": a hypertable's unique indexes must contain ", missing));
      }
    }
  }

  // What only single partitions had has no place in a hypertable.
  void ReportLeaves(const Table& table) {
    if (table.leaves.empty()) return;
    constexpr size_t kShown = 3;
    std::string names;
    std::string own;
    for (size_t i = 0; i < table.leaves.size(); ++i) {
      const Oid leaf = table.leaves[i];
      if (i < kShown) absl::StrAppend(&names, i == 0 ? "" : ", ", in_.catalog.tables.at(leaf).name.Display());
      for (const Index* index : in_.catalog.IndexesOf(leaf)) {
        if (!index->attached) absl::StrAppend(&own, own.empty() ? "" : ", ", index->name);
      }
    }
    if (table.leaves.size() > kShown) absl::StrAppend(&names, " and ", table.leaves.size() - kShown, " more");
    left_out_->push_back(
        absl::StrCat("partitions of ", table.name.Display(), ", whose rows go into the hypertable: ", names));
    if (own.empty()) return;
    left_out_->push_back(absl::StrCat("indexes that only single partitions of ", table.name.Display(),
                                      " have: a hypertable's are on all its chunks: ", own));
  }

  std::string SqlFor(const SchemaEntry& entry, Oid table) const {
    return hypertables_.count(table) == 0 ? entry.sql : WithoutOnly(entry.sql);
  }

  Oid TableOf(const SchemaEntry& entry) const {
    if (entry.type == "INDEX") {
      auto found = in_.catalog.indexes.find(entry.catalog_oid);
      return found == in_.catalog.indexes.end() ? 0 : found->second.table;
    }
    if (entry.type == "CONSTRAINT" || entry.type == "CHECK CONSTRAINT" || entry.type == "FK CONSTRAINT") {
      auto found = in_.catalog.constraints.find(entry.catalog_oid);
      return found == in_.catalog.constraints.end() ? 0 : found->second.table;
    }
    return 0;
  }

  bool IsMaterializedView(Oid oid) const {
    auto found = in_.catalog.tables.find(oid);
    return found != in_.catalog.tables.end() && found->second.kind == 'm';
  }

  // On the target.
  bool IsPartitioned(Oid oid) const {
    auto found = in_.catalog.tables.find(oid);
    return found != in_.catalog.tables.end() && found->second.kind == 'p' && hypertables_.count(oid) == 0;
  }

  void PlanSequences() {
    std::vector<std::string> statements;
    for (Oid oid : in_.selection.sequences) {
      if (in_.restored_relations.count(oid) == 0) continue;
      const Sequence& sequence = in_.catalog.sequences.at(oid);
      statements.push_back(absl::StrCat("SELECT pg_catalog.setval(", QuoteLiteral(sequence.name.Quoted()),
                                        "::regclass, ", sequence.last_value, ", ",
                                        sequence.is_called ? "true" : "false", ")"));
    }
    if (statements.empty()) return;
    builder_->AddTask(
        MakeStatements(TaskKind::KIND_SEQUENCE, 0, absl::StrCat(statements.size(), " sequences"), statements));
  }

  void PlanIndexesAndKeys(Oid oid, int id) {
    const bool hypertable = hypertables_.count(oid) > 0;
    const bool small = IsSmall(in_, in_.catalog.tables.at(oid));
    Chain index_chain(builder_, IndexBarrier(id), {LoadBarrier(id)});
    Chain key_chain(builder_, KeysBarrier(id), {IndexBarrier(id)});
    for (const SchemaEntry* found : indexes_and_keys_[oid]) {
      const SchemaEntry& entry = *found;
      if (incompatible_.count(entry.catalog_oid) > 0) continue;
      const bool index = entry.type == "INDEX";
      PlannedTask planned = MakeStatements(index ? TaskKind::KIND_INDEX : TaskKind::KIND_CONSTRAINT, id, entry.name,
                                           {SqlFor(entry, oid)});
      planned.task.small = small;
      if (!index) {
        key_chain.Add(std::move(planned));
      } else if (hypertable) {
        index_chain.Add(std::move(planned));
      } else {
        planned.task.gates = {LoadBarrier(id)};
        planned.task.barrier = IndexBarrier(id);
        builder_->AddTask(std::move(planned));
      }
    }
    if (hypertable) AddMissingTimeIndex(oid, id, &index_chain);
  }

  // create_hypertable would have made one; it was told not to, because the source's own index usually does.
  void AddMissingTimeIndex(Oid oid, int id, Chain* chain) {
    for (const HypertableSpec& hypertable : in_.hypertables) {
      if (hypertable.table->oid != oid) continue;
      if (hypertable.time_index != nullptr && hypertable.time_index->table == oid) continue;
      chain->Add(MakeStatements(TaskKind::KIND_INDEX, id, "time index",
                                {absl::StrCat("CREATE INDEX ON ", hypertable.table->name.Quoted(), " (",
                                              QuoteIdentifier(hypertable.config->time_column_name), " DESC)")}));
    }
  }

  void PlanForeignKeys() {
    for (const SchemaEntry& entry : in_.post_data) {
      if (entry.type != "FK CONSTRAINT" || incompatible_.count(entry.catalog_oid) > 0) continue;
      auto found = in_.catalog.constraints.find(entry.catalog_oid);
      if (found == in_.catalog.constraints.end() || ids_.count(found->second.table) == 0) continue;
      PlanForeignKey(entry, found->second);
    }
  }

  void PlanForeignKey(const SchemaEntry& entry, const Constraint& key) {
    const Table& table = in_.catalog.tables.at(key.table);
    const int id = ids_.at(key.table);
    if (in_.config.foreign_keys_priority == ForeignKeysPriority::kDisabled) {
      left_out_->push_back(
          absl::StrCat("foreign key ", key.name, " of ", table.name.Display(), ": foreign_keys_priority is disabled"));
      return;
    }
    std::string sql = SqlFor(entry, key.table);
    // A partitioned table's foreign key can't be NOT VALID.
    if (in_.config.foreign_keys_priority == ForeignKeysPriority::kUnchecked && !IsPartitioned(key.table) &&
        !absl::EndsWith(sql, " NOT VALID;")) {
      sql = absl::StrCat(absl::StripSuffix(sql, ";"), " NOT VALID;");
    }
    PlannedTask planned = MakeStatements(TaskKind::KIND_FOREIGN_KEY, id, key.name, {sql});
    // One at a time per table: two at once over a hypertable's chunks deadlock.
    planned.task.barrier = builder_->AddBarrier(TableForeignKeysBarrier(id));
    if (in_.config.foreign_keys_priority == ForeignKeysPriority::kDeferred) {
      planned.task.gates = {kAllKeysBarrier};
    } else {
      planned.task.gates = {KeysBarrier(id)};
      auto referenced = ids_.find(key.referenced_table);
      if (referenced != ids_.end() && referenced->second != id)
        planned.task.gates.push_back(KeysBarrier(referenced->second));
    }
    // A partitioned table's key is valid only when every partition's index has been attached to it.
    if (IsPartitioned(key.table) || IsPartitioned(key.referenced_table)) planned.task.gates.push_back(kAttachedBarrier);
    auto before = last_foreign_key_.find(id);
    if (before != last_foreign_key_.end()) planned.task.gates.push_back(before->second);
    last_foreign_key_[id] = planned.task.barrier;
    builder_->AddTask(std::move(planned));
  }

  void PlanMaterializedViews() {
    for (const MaterializedView& view : in_.catalog.materialized_views) {
      if (in_.restored_relations.count(view.oid) == 0) continue;
      if (view.populated) {
        PlannedTask refresh = MakeStatements(TaskKind::KIND_MATERIALIZED_VIEW, 0, view.name.Display(),
                                             {absl::StrCat("REFRESH MATERIALIZED VIEW ", view.name.Quoted())});
        // Functions that the view calls may count on it.
        AddSetting(&refresh, "search_path", "\"$user\", public");
        views_.Add(std::move(refresh));
      }
      for (const SchemaEntry& entry : in_.post_data) {
        if (entry.type != "INDEX" || TableOf(entry) != view.oid) continue;
        views_.Add(MakeStatements(TaskKind::KIND_INDEX, 0, entry.name, {entry.sql}));
      }
    }
  }

  // Triggers, rules, policies, comments, attached indexes, … in the archive's own order, when all keys are there.
  void PlanOthers() {
    for (const SchemaEntry& entry : in_.post_data) {
      if (entry.sql.empty() || entry.type == "FK CONSTRAINT" || entry.type == "MATERIALIZED VIEW DATA") continue;
      if (entry.type == "INDEX ATTACH") {
        attached_.Add(MakeStatements(TaskKind::KIND_INDEX, 0, absl::StrCat("attach ", entry.name), {entry.sql}));
        continue;
      }
      const Oid table = TableOf(entry);
      if (table != 0 && (ids_.count(table) > 0 || IsMaterializedView(table))) continue;
      int id = 0;
      auto trigger = in_.catalog.triggers.find(entry.catalog_oid);
      Oid trigger_table = 0;
      if (entry.catalog_class == kPgTriggerClass && trigger != in_.catalog.triggers.end()) {
        trigger_table = trigger->second.table;
        auto found = ids_.find(trigger_table);
        if (found != ids_.end()) id = found->second;
      }
      others_.Add(MakeStatements(TaskKind::KIND_TRIGGER, id,
                                 absl::StrCat(absl::AsciiStrToLower(entry.type), " ", entry.name),
                                 {SqlFor(entry, trigger_table)}));
    }
  }

  void PlanPolicies() {
    for (const HypertableSpec& hypertable : in_.hypertables) {
      const std::string sql = CompressionPolicySql(hypertable, in_.target.timescaledb_schema);
      if (sql.empty()) continue;
      const std::string name = hypertable.table->name.Display();
      if (hypertable.time_type == TimeType::kInteger) {
        left_out_->push_back(
            absl::StrCat("compression policy of ", name,
                         ": its time is an integer: call set_integer_now_func, then add_compression_policy"));
        continue;
      }
      PlannedTask planned =
          MakeStatements(TaskKind::KIND_POLICY, ids_.at(hypertable.table->oid), "compression policy", {sql});
      // TimescaleDB's functions find what they need by themselves, but not under an empty search_path in every version.
      AddSetting(&planned, "search_path", "public");
      planned.task.gates = {kAllKeysBarrier, kForeignKeysBarrier, kOthersBarrier, kViewsBarrier};
      builder_->AddTask(std::move(planned));
    }
  }

  void PlanStatistics(Oid oid, int id) {
    const Table& table = in_.catalog.tables.at(oid);
    if (table.kind == 'f') return;
    PlannedTask planned =
        MakeStatements(TaskKind::KIND_ANALYZE, id, "statistics", {absl::StrCat("ANALYZE ", table.name.Quoted())});
    planned.task.small = IsSmall(in_, table);
    planned.task.gates = {KeysBarrier(id), TableForeignKeysBarrier(id)};
    builder_->AddTask(std::move(planned));
  }

  const PlannerInput& in_;
  const std::map<Oid, int>& ids_;
  PlanBuilder* builder_;
  std::vector<std::string>* left_out_;
  std::set<Oid> hypertables_;
  std::map<Oid, std::vector<const SchemaEntry*>> indexes_and_keys_;  // By table, in the archive's order.
  std::set<Oid> incompatible_;                                       // Constraints and indexes.
  std::map<int, BarrierId> last_foreign_key_;
  Chain views_;
  Chain others_;
  Chain attached_;
};

}  // namespace

void PlanFinishing(const PlannerInput& input, const std::map<Oid, int>& table_ids, PlanBuilder* builder,
                   std::vector<std::string>* left_out) {
  FinishingPlanner(input, table_ids, builder, left_out).Plan();
}

VerificationPlanner::VerificationPlanner(const std::vector<TablePlan>& tables, PlanBuilder* builder)
    : builder_(builder) {
  for (const TablePlan& table : tables) tables_[table.id] = &table;
}

void VerificationPlanner::Add(const PlannedTask& copy) {
  if (copy.task.kind != TaskKind::KIND_COPY) return;
  const TablePlan& table = *tables_.at(copy.task.table);
  const std::string key = VerifyRangeKey(table, copy.task.range_key);
  if (!seen_[table.id].insert(key).second) return;
  PlannedTask verify = MakeVerification(table, copy.work.copy(), key, key.empty() ? "whole table" : copy.description);
  verify.task.gates = {KeysBarrier(table.id)};
  verify.task.estimated_bytes = 0;
  builder_->AddTask(std::move(verify));
}

void PlanVerifications(const PlannerInput& input, const std::map<Oid, int>& table_ids, const std::set<int>* only,
                       PlanBuilder* builder) {
  VerificationPlanner verifications(builder->plan.tables, builder);
  PlanBuilder again(1, 1, [&](const PlannedTask& task) { verifications.Add(task); });
  PlanLoad(input, table_ids, only, &again);
}

std::string VerifyRangeKey(const TablePlan& table, const std::string& copy_range_key) {
  // Conditions on values mean the same on the target.
  const bool by_value = table.method == SplitMethod::kTime || table.method == SplitMethod::kKey;
  return by_value ? copy_range_key : "";
}

PlannedTask MakeVerification(const TablePlan& table, const v1::CopyWork& copy, const std::string& range_key,
                             const std::string& description) {
  PlannedTask planned;
  planned.task.table = table.id;
  planned.task.kind = TaskKind::KIND_VERIFY;
  planned.task.sequence = kFinishingSequence + 1;
  planned.task.range_key = range_key;
  planned.description = description;
  v1::VerifyWork* work = planned.work.mutable_verify();
  work->set_target_sql(VerifyCopySql(copy.target_sql(), table.hypertable, range_key));
  work->set_format(copy.format());
  work->set_field_count(copy.field_count());
  for (int field : copy.rewritable_fields()) work->add_rewritable_fields(field);
  return planned;
}

}  // namespace hypershift
