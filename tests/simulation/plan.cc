#include "tests/simulation/plan.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace hypershift::simulation {
namespace {

class Builder {
 public:
  explicit Builder(Random* random) : random_(*random) {}

  SimulatedPlan Build() {
    const BarrierId everything = AddBarrier(0);
    const int tables = random_.Int(1, 4);
    for (int table = 1; table <= tables; ++table) AddTable(table, everything);
    const BarrierId foreign_keys = AddBarrier(0);
    for (int i = random_.Int(0, 2); i > 0; --i) {
      Add(0, TaskKind::KIND_FOREIGN_KEY, foreign_keys, {everything});
    }
    if (random_.Chance(0.5)) Add(0, TaskKind::KIND_MATERIALIZED_VIEW, 0, {everything, foreign_keys});
    return std::move(plan_);
  }

 private:
  void AddTable(int table, BarrierId everything) {
    TablePlan plan;
    plan.id = table;
    plan.name = {"public", absl::StrCat("t", table)};
    plan.hypertable = random_.Chance(0.5);
    plan_.tables.push_back(plan);

    const BarrierId whole = AddBarrier(everything);
    const BarrierId load = AddBarrier(whole);
    for (int chunk = random_.Int(1, plan.hypertable ? 3 : 1); chunk > 0; --chunk) AddChunk(plan, load);
    const BarrierId indexes = AddBarrier(whole);
    for (int i = random_.Int(0, 2); i > 0; --i) Add(table, TaskKind::KIND_INDEX, indexes, {load});
    const BarrierId constraints = AddBarrier(whole);
    if (random_.Chance(0.7)) Add(table, TaskKind::KIND_CONSTRAINT, constraints, {load, indexes});
    if (random_.Chance(0.3)) Add(table, TaskKind::KIND_ANALYZE, 0, {constraints, load});
  }

  void AddChunk(const TablePlan& table, BarrierId load) {
    std::vector<BarrierId> prepared;
    if (table.hypertable) {
      prepared.push_back(AddBarrier(load));
      Add(table.id, TaskKind::KIND_PREPARE_CHUNK, prepared.front(), {});
    }
    const BarrierId ranges = AddBarrier(load);
    for (int i = random_.Int(1, 4); i > 0; --i) Add(table.id, TaskKind::KIND_COPY, ranges, prepared);
    if (table.hypertable) Add(table.id, TaskKind::KIND_COMPRESS, load, {ranges});
  }

  BarrierId AddBarrier(BarrierId parent) {
    const auto id = static_cast<BarrierId>(plan_.barriers.size()) + 1;
    plan_.barriers.push_back({id, parent});
    return id;
  }

  void Add(int table, TaskKind::Kind kind, BarrierId barrier, std::vector<BarrierId> gates) {
    Task task;
    task.id = static_cast<TaskId>(plan_.tasks.size()) + 1;
    task.table = table;
    task.kind = kind;
    task.sequence = task.id;
    task.estimated_bytes = kind == TaskKind::KIND_COPY ? random_.Int(0, 1 << 20) : 0;
    task.barrier = barrier;
    task.gates = std::move(gates);
    plan_.tasks[task.id] = std::move(task);
  }

  Random& random_;
  SimulatedPlan plan_;
};

}  // namespace

SimulatedPlan MakeRandomPlan(Random* random) { return Builder(random).Build(); }

}  // namespace hypershift::simulation
