#include "worker/compress_task.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/copy_connection.h"
#include "common/failpoint.h"
#include "common/names.h"
#include "common/pg_status.h"
#include "common/status_macros.h"
#include "worker/task_journal.h"
#include "worker/task_status.h"

namespace hypershift {
namespace {

// Status 11 (compressed, unordered, partial) needs two calls, anything else one.
constexpr int kMaxCallsPerChunk = 3;

// Where a slice says which chunks have it: a column of its own since TimescaleDB 2.28, the chunks' constraints before.
constexpr char kSliceNamesItsChunkSql[] = R"sql(
SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute
                WHERE attrelid = '_timescaledb_catalog.dimension_slice'::regclass
                  AND attname = 'chunk_id' AND NOT attisdropped))sql";
constexpr char kChunkOfSlice[] = "c.id = s.chunk_id";
constexpr char kChunkOfConstraint[] =
    "c.id IN (SELECT k.chunk_id FROM _timescaledb_catalog.chunk_constraint k WHERE k.dimension_slice_id = s.id)";

// $1 schema, $2 hypertable, $3 and $4 bounds around the slice, $5 the least chunk id. The first chunk that isn't fully
// compressed (a frozen one, bit 4, may be), its status, and the schema of TimescaleDB's functions. Columns that some
// versions lack are read through to_jsonb: they are NULL there. The time dimension is the first open one; closed ones
// (hash) have no interval.
constexpr char kFirstIncompleteChunkSql[] = R"sql(
SELECT chunk.id, chunk.name, chunk.status,
       (SELECT pg_catalog.quote_ident(n.nspname)
          FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
         WHERE e.extname = 'timescaledb')
  FROM (SELECT c.id,
               coalesce(c.fields->>'relid', format('%I.%I', c.fields->>'schema_name', c.fields->>'table_name')) AS name,
               coalesce((c.fields->>'status')::int, 0) AS status
          FROM _timescaledb_catalog.hypertable h
          JOIN _timescaledb_catalog.dimension_slice s
            ON s.dimension_id = (SELECT min(d.id) FROM _timescaledb_catalog.dimension d
                                  WHERE d.hypertable_id = h.id AND d.interval_length IS NOT NULL)
          JOIN (SELECT id, to_jsonb(all_chunks) AS fields FROM _timescaledb_catalog.chunk all_chunks) c
            ON {chunk_of_slice}
         WHERE h.schema_name = $1 AND h.table_name = $2 AND s.range_start >= $3 AND s.range_start < $4
           AND s.range_end <= $4 AND c.id >= $5
           AND NOT coalesce((c.fields->>'dropped')::boolean, false)
           AND NOT coalesce((c.fields->>'osm_chunk')::boolean, false)) chunk
 WHERE chunk.status & ~4 <> 1
 ORDER BY chunk.id
 LIMIT 1)sql";

struct Chunk {
  std::string id;
  std::string name;  // What ::regclass takes.
  std::string status;
  std::string functions_schema;
};

absl::StatusOr<std::string> IncompleteChunkSql(CopyConnection* target) {
  HS_ASSIGN_OR_RETURN(const auto row, target->Execute(kSliceNamesItsChunkSql));
  const bool modern = !row.empty() && row[0] == "t";
  return absl::StrReplaceAll(kFirstIncompleteChunkSql,
                             {{"{chunk_of_slice}", modern ? kChunkOfSlice : kChunkOfConstraint}});
}

absl::StatusOr<std::optional<Chunk>> FirstIncomplete(CopyConnection* target, const std::string& sql,
                                                     const v1::CompressWork& work, const std::string& least_id) {
  HS_ASSIGN_OR_RETURN(const auto row, target->Execute(sql, {work.hypertable_schema(), work.hypertable_name(),
                                                            absl::StrCat(work.range_start()),
                                                            absl::StrCat(work.range_end()), least_id}));
  if (row.empty()) return std::optional<Chunk>();
  if (row.size() != 4 || !row[0] || !row[1] || !row[2] || !row[3]) {
    return absl::InternalError("no answer about a chunk");
  }
  return Chunk{*row[0], *row[1], *row[2], *row[3]};
}

// One transaction. Rows of a megabyte overflow a batch of 1,000, unless the limit is on (where there is one). And what
// a compressed chunk has in its row store must not be compressed segment by segment: the new batches may overlap the
// old ones, while the chunk says that it is in order.
absl::Status CompressOnce(CopyConnection* target, const Chunk& chunk) {
  return target
      ->Execute(absl::StrCat("SELECT pg_catalog.set_config(s.name, w.setting, true) FROM pg_catalog.pg_settings s JOIN "
                             "(VALUES ('timescaledb.enable_compressor_batch_limit', 'on'), "
                             "('timescaledb.enable_segmentwise_recompression', 'off')) w (name, setting) "
                             "USING (name); SELECT ",
                             chunk.functions_schema, ".compress_chunk(", QuoteLiteral(chunk.name), "::regclass, true)"))
      .status();
}

absl::Status CompressAll(const v1::CompressWork& work, const TaskContext& task, CopyConnection* target) {
  HS_ASSIGN_OR_RETURN(const std::string sql, IncompleteChunkSql(target));
  std::string chunk_id = "0";
  int calls = 0;
  while (true) {
    HS_RETURN_IF_ERROR(task.progress->CheckCancelled());
    HS_ASSIGN_OR_RETURN(const std::optional<Chunk> chunk, FirstIncomplete(target, sql, work, chunk_id));
    if (!chunk.has_value()) return absl::OkStatus();
    // In the order of ids, so that thousands of chunks aren't looked through again for each.
    calls = chunk->id == chunk_id ? calls + 1 : 1;
    chunk_id = chunk->id;
    if (calls > kMaxCallsPerChunk) {
      return MarkPermanent(absl::InternalError(absl::StrCat("chunk ", chunk->name, " still has status ", chunk->status,
                                                            " after ", kMaxCallsPerChunk, " calls of compress_chunk")));
    }
    HS_RETURN_IF_ERROR(
        AtFailpoint(Failpoint::kWorkerCompressChunk, task.kind_name(), [&] { return CompressOnce(target, *chunk); }));
  }
}

}  // namespace

absl::Status RunCompressTask(const v1::CompressWork& work, const TaskContext& task) {
  HS_ASSIGN_OR_RETURN(CopyConnection* const target, ClaimTask(task));
  HS_RETURN_IF_ERROR(WithContext(CompressAll(work, task, target), "target"));
  HS_RETURN_IF_ERROR(BeginTarget(target, {}, {}));
  return FinishTask(task, target, {});
}

}  // namespace hypershift
