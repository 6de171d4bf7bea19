// A plan for programs.
#include <nlohmann/json.hpp>

#include "cli/plan_format.h"

namespace hypershift {
namespace {

using nlohmann::json;

template <typename T>
json OrNull(const std::optional<T>& value) {
  return value.has_value() ? json(*value) : json();
}

json HypertableAsJson(const HypertableOutline& hypertable) {
  return {{"timeColumn", hypertable.time_column},
          {"chunkInterval", hypertable.chunk_interval},
          {"partitioningColumn", hypertable.partitioning_column},
          {"numberPartitions", hypertable.number_partitions},
          {"timeIndex", hypertable.time_index},
          {"chunks", OrNull(hypertable.chunks)},
          {"compress", hypertable.compress},
          {"compressAfter", hypertable.compress_after},
          {"chunksCompressedDirectly", hypertable.chunks_compressed_directly},
          {"chunksCompressedAfterwards", hypertable.chunks_compressed_afterwards},
          {"chunksUncompressed", hypertable.chunks_uncompressed},
          {"chunksCompressedEarly", hypertable.chunks_compressed_early},
          {"direct", hypertable.direct},
          {"sorted", hypertable.sorted},
          {"segmentby", hypertable.segmentby},
          {"orderby", hypertable.orderby},
          {"orderbyAssumed", hypertable.orderby_assumed},
          {"rewritableColumns", hypertable.rewritable_columns}};
}

json TableAsJson(const TableOutline& table) {
  return {{"schema", table.name.schema},
          {"name", table.name.name},
          {"method", SplitMethodName(table.method)},
          {"notCopied", table.not_copied},
          {"ranges", table.ranges},
          {"estimatedRows", OrNull(table.estimated_rows)},
          {"estimatedBytes", table.estimated_bytes},
          {"format", v1::CopyFormat_Name(table.format)},
          {"textColumns", table.text_columns},
          {"hypertable", table.hypertable.has_value() ? HypertableAsJson(*table.hypertable) : json()}};
}

json SampleAsJson(const PlanPreview& preview) {
  const SourceSample& sample = preview.sample;
  json tables = json::array();
  for (const QualifiedName& name : sample.tables) tables.push_back(name.Display());
  const std::optional<ExpectedReading> reading = ExpectReading(preview);
  json expected;
  if (reading.has_value()) {
    expected = {{"sessions", reading->sessions},
                {"secondsAtBest", absl::ToDoubleSeconds(reading->at_best)},
                {"secondsAtWorst", absl::ToDoubleSeconds(reading->at_worst)}};
  }
  return {{"tables", tables},
          {"rows", sample.rows},
          {"copyBytes", sample.copy_bytes},
          {"tableBytes", sample.table_bytes},
          {"seconds", absl::ToDoubleSeconds(sample.elapsed)},
          {"tableBytesPerSecond", sample.TableBytesPerSecond()},
          {"problem", preview.sample_problem},
          {"expectedReading", expected}};
}

}  // namespace

std::string PlanAsJson(const PlanPreview& preview) {
  json tables = json::array();
  int64_t ranges = 0;
  int64_t rows = 0;
  int64_t bytes = 0;
  for (const TableOutline& table : preview.plan.tables) {
    tables.push_back(TableAsJson(table));
    ranges += table.ranges;
    rows += table.estimated_rows.value_or(0);
    bytes += table.estimated_bytes;
  }
  json tasks = json::object();
  for (const auto& [kind, count] : preview.plan.tasks) tasks[v1::TaskKind::Kind_Name(kind)] = count;
  const json plan = {{"source", preview.source},
                     {"target", preview.target},
                     {"sourceVersion", preview.source_version},
                     {"targetVersion", preview.target_version},
                     {"timescaledbVersion", preview.timescaledb_version},
                     {"parallel", preview.parallel},
                     {"refusals", preview.refusals},
                     {"warnings", preview.warnings},
                     {"leftOut", preview.left_out},
                     {"tables", tables},
                     {"ranges", ranges},
                     {"estimatedRows", rows},
                     {"estimatedBytes", bytes},
                     {"tasks", tasks},
                     {"sample", SampleAsJson(preview)}};
  // Names may be of a database that does not say what its bytes mean.
  return plan.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace hypershift
