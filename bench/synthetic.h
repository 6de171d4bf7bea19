// Sources that are not there: what the planner needs to know of them, in any size. For benchmarks of what comes after
// the catalog has been read.
#ifndef HYPERSHIFT_BENCH_SYNTHETIC_H_
#define HYPERSHIFT_BENCH_SYNTHETIC_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/planner.h"

namespace hypershift::bench {

// One hypertable whose chunks are cut into a hundred ranges each; one whose chunks are one range each; ordinary tables
// of twenty ranges each, every one with a primary key.
enum class Shape { kHypertable, kChunks, kTables };
// kInvalidArgument: no such shape.
absl::StatusOr<Shape> ParseShape(absl::string_view name);

// Not to be copied or moved: the input refers to the rest.
class SyntheticSource {
 public:
  // Of about so many ranges.
  SyntheticSource(Shape shape, int64_t ranges);
  SyntheticSource(const SyntheticSource&) = delete;
  SyntheticSource& operator=(const SyntheticSource&) = delete;

  PlannerInput MakeInput() const;

 private:
  Oid AddTable(const std::string& name, int64_t bytes);
  void AddHypertable(int64_t chunks, int64_t ranges_per_chunk);
  void AddTables(int64_t count, int64_t ranges_per_table);

  Config config_;
  Catalog catalog_;
  TargetFacts target_;
  Selection selection_;
  std::vector<HypertableSpec> hypertables_;
  std::map<Oid, TimeProfile> profiles_;
  std::map<Oid, KeyProfile> keys_;
  std::map<Oid, EffectiveCompression> compression_;
  std::vector<SchemaEntry> post_data_;
  std::set<Oid> restored_relations_;
};

}  // namespace hypershift::bench

#endif  // HYPERSHIFT_BENCH_SYNTHETIC_H_
