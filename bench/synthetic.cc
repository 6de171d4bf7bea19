#include "bench/synthetic.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace hypershift::bench {
namespace {

// A little less than what a range aims at, so that rounding cuts none in two.
constexpr int64_t kRangeBytes = int64_t{511} << 20;
constexpr int64_t kRowBytes = 100;
constexpr int64_t kHour = kMicrosecondsPerDay / 24;
constexpr int64_t kFirstChunk = 1'000'000'000'000'000 / kHour * kHour;
constexpr Oid kInt8 = 20;
constexpr Oid kFloat8 = 701;
constexpr Oid kTimestamptz = 1184;
constexpr Oid kFirstOid = 16384;

Column MakeColumn(int number, const std::string& name, Oid type) {
  Column column;
  column.number = number;
  column.name = name;
  column.base_type = type;
  column.type_name = "a type";
  column.traits.binary_safe = true;
  column.not_null = true;
  return column;
}

}  // namespace

absl::StatusOr<Shape> ParseShape(absl::string_view name) {
  if (name == "hypertable") return Shape::kHypertable;
  if (name == "chunks") return Shape::kChunks;
  if (name == "tables") return Shape::kTables;
  return absl::InvalidArgumentError(absl::StrCat("no shape '", name, "': it is hypertable, chunks or tables"));
}

SyntheticSource::SyntheticSource(Shape shape, int64_t ranges) {
  config_.parallel = 4;
  catalog_.server_version = 150004;
  catalog_.encoding = "UTF8";
  target_.server_version = 150004;
  target_.timescaledb_version = "2.21.0";
  target_.timescaledb_schema = "public";
  target_.direct_compress = target_.client_sorted = target_.compressor_batch_limit = true;
  switch (shape) {
    case Shape::kHypertable:
      AddHypertable(std::max<int64_t>(1, ranges / 100), std::min<int64_t>(100, ranges));
      break;
    case Shape::kChunks:
      AddHypertable(ranges, 1);
      break;
    case Shape::kTables:
      AddTables(std::max<int64_t>(1, ranges / 20), std::min<int64_t>(20, ranges));
      break;
  }
}

Oid SyntheticSource::AddTable(const std::string& name, int64_t bytes) {
  Table table;
  table.oid = kFirstOid + static_cast<Oid>(catalog_.tables.size()) * 2;
  table.filenode = table.oid;
  table.name = {"public", name};
  table.heap_bytes = table.total_bytes = bytes;
  table.rows = static_cast<double>(bytes) / static_cast<double>(kRowBytes);
  table.columns.push_back(MakeColumn(1, "time", kTimestamptz));
  table.columns.push_back(MakeColumn(2, "device_id", kInt8));
  for (int i = 3; i <= 10; ++i) table.columns.push_back(MakeColumn(i, absl::StrCat("measurement_", i), kFloat8));
  const Oid oid = table.oid;
  const Oid key = oid + 1;
  Constraint& constraint = catalog_.constraints[key];
  constraint.oid = key;
  constraint.name = absl::StrCat(name, "_pkey");
  constraint.table = oid;
  constraint.type = 'p';
  constraint.columns = {"time", "device_id"};
  SchemaEntry entry;
  entry.catalog_class = kPgConstraintClass;
  entry.catalog_oid = key;
  entry.type = "CONSTRAINT";
  entry.schema = "public";
  entry.name = absl::StrCat(name, " ", constraint.name);
  entry.sql = absl::StrCat("ALTER TABLE ONLY public.", name, " ADD CONSTRAINT ", constraint.name,
                           " PRIMARY KEY (\"time\", device_id);");
  post_data_.push_back(std::move(entry));
  catalog_.tables.emplace(oid, std::move(table));
  selection_.tables.insert(oid);
  restored_relations_.insert(oid);
  return oid;
}

void SyntheticSource::AddHypertable(int64_t chunks, int64_t ranges_per_chunk) {
  const Oid oid = AddTable("measurements", chunks * ranges_per_chunk * kRangeBytes);
  HypertableConfig config;
  config.table = {"public", "measurements"};
  config.time_column_name = "time";
  config.chunk_time_interval.value = kHour;
  config.chunk_time_interval.has_unit = true;
  config.compress.emplace();
  config_.hypertables.push_back(config);
  Index& index = catalog_.indexes[kFirstOid - 1];
  index.oid = kFirstOid - 1;
  index.table = oid;
  index.method = "btree";
  index.key_columns = {"time"};
  HypertableSpec spec;
  spec.config = &config_.hypertables.front();
  spec.table = &catalog_.tables.at(oid);
  spec.time_column = &spec.table->columns.front();
  spec.chunk_interval = kHour;
  spec.time_index = &index;
  hypertables_.push_back(spec);
  TimeProfile& profile = profiles_[oid];
  profile.empty = false;
  profile.minimum = kFirstChunk;
  profile.maximum = kFirstChunk + chunks * kHour - 1;
  for (int64_t i = 0; i < chunks; ++i) profile.chunk_starts.push_back(kFirstChunk + i * kHour);
  // As ANALYZE leaves it: a hundred buckets.
  profile.statistics.resize(1);
  for (int64_t i = 0; i <= 100; ++i) profile.statistics[0].histogram.push_back(kFirstChunk + chunks * kHour / 100 * i);
  compression_[oid] = {{"device_id"}, {{"time", true, true}}};
}

void SyntheticSource::AddTables(int64_t count, int64_t ranges_per_table) {
  for (int64_t i = 0; i < count; ++i) AddTable(absl::StrCat("table_", i), ranges_per_table * kRangeBytes);
}

PlannerInput SyntheticSource::MakeInput() const {
  return {config_,   catalog_, target_,      selection_, hypertables_,
          profiles_, keys_,    compression_, post_data_, restored_relations_};
}

}  // namespace hypershift::bench
