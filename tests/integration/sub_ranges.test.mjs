// A large chunk is filled by several copies at once only where that leaves it ordered and as small as one copy would.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fingerprint } from './support/oracle.mjs';
import { emptyTarget, query, run, startPair, temporaryFolder, value, writeConfig } from './support/servers.mjs';

const place = temporaryFolder();
let source;
let target;
let to;
let result;

// Each one chunk of some 8 MB, while a range is to have 1 MiB. What is ordered by something else is NOT NULL: else it would
// be no sorted row for TimescaleDB before 2.28, and not be cut for that.
const rows = 40_000;
const table = (name, columns, values) => `CREATE TABLE ${name} (at timestamptz NOT NULL, ${columns}, filler text);
INSERT INTO ${name} SELECT '2021-01-07 00:00+00'::timestamptz + i * interval '5 s', ${values}, repeat(md5(i::text), 4) FROM generate_series(1, ${rows}) i;
CREATE INDEX ON ${name} (at); ANALYZE ${name};`;
const schema = `
${table('by_time', 'device int, v int', 'i % 2, i')}
${table('by_value', 'device int, v int NOT NULL', 'i % 2, (i::bigint * 7919 % 40009)::int')}
${table('by_collation', 'name text COLLATE ucs_basic NOT NULL', "'name ' || (i::bigint * 7919 % 40009)")}
UPDATE by_collation SET at = date_trunc('hour', at);
${table('many_segments', 'device int, v int', 'i % 30, i')}
${table('few_segments', 'device int, v int', 'i % 3, i')}
-- Nearly all of the chunk in an hour.
CREATE TABLE lumpy (at timestamptz NOT NULL, v int, filler text); CREATE INDEX ON lumpy (at);
INSERT INTO lumpy SELECT '2021-01-07 00:00+00'::timestamptz + CASE WHEN i % 10 = 0 THEN i * interval '10 s' ELSE interval '2 days' + i * interval '90 ms' END,
  i, repeat(md5(i::text), 4) FROM generate_series(1, ${rows}) i;
ANALYZE lumpy`;

const config = `target_task_size: 1
parallel: 4
hypertable_configs:
  - {schema: public, name: by_time, time_column_name: at, chunk_time_interval: 7d, compress: {segmentby: [device], orderby: [at desc]}}
  - {schema: public, name: by_value, time_column_name: at, chunk_time_interval: 7d, compress: {segmentby: [device], orderby: [v, at]}}
  - {schema: public, name: by_collation, time_column_name: at, chunk_time_interval: 7d, compress: {orderby: [at, name]}}
  - {schema: public, name: many_segments, time_column_name: at, chunk_time_interval: 7d, compress: {segmentby: [device], orderby: [at]}}
  - {schema: public, name: few_segments, time_column_name: at, chunk_time_interval: 7d, compress: {segmentby: [device], orderby: [at]}}
  - {schema: public, name: lumpy, time_column_name: at, chunk_time_interval: 7d, compress: {orderby: [at desc]}}
`;
const names = ['by_time', 'by_value', 'by_collation', 'many_segments', 'few_segments', 'lumpy'];

before(async () => {
  ({ source, target } = await startPair(place.folder));
  query(source.uri, schema);
  to = emptyTarget(target);
  result = await run(['clone', '-s', source.uri, '-t', to, '-c', writeConfig(place.folder, 'cut.yml', config), '--hide-progress']);
});
after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

const copies = (name) => query(to, `SELECT k.rows FROM _hypershift.task k JOIN _hypershift.source_table t
  ON (t.migration_id, t.id) = (k.migration_id, k.table_id) WHERE k.kind = 'copy' AND t.table_name = '${name}' ORDER BY k.id`).map(Number);
// Of the one chunk: rows in each compressed batch.
function batches(name) {
  const [chunk] = query(to, `SELECT format('%I.%I', c.schema_name, c.table_name) FROM _timescaledb_catalog.chunk k
    JOIN _timescaledb_catalog.chunk c ON c.id = k.compressed_chunk_id JOIN _timescaledb_catalog.hypertable h ON h.id = k.hypertable_id
    WHERE h.table_name = '${name}'`);
  return query(to, `SELECT _ts_meta_count FROM ${chunk}`).map(Number);
}
const inOrder = (name, order, where = 'true') => {
  const sql = `SELECT ${order.replaceAll(' DESC', '')} FROM ${name} WHERE ${where} ORDER BY ${order}`;
  assert.deepEqual(query(to, sql), query(source.uri, sql), name);
};

test('every table arrives as it was, in one fully compressed and ordered chunk', () => {
  assert.equal(result.code, 0, result.stderr + result.stdout);
  for (const name of names) assert.equal(fingerprint(to, name), fingerprint(source.uri, name), name);
  assert.deepEqual(query(to, `SELECT h.table_name, k.status FROM _timescaledb_catalog.chunk k
    JOIN _timescaledb_catalog.hypertable h ON h.id = k.hypertable_id WHERE h.table_name IN (${names.map((name) => `'${name}'`)}) ORDER BY 1`),
  [...names].sort().map((name) => `${name}|1`));
});

test('a segment that is ordered by time is cut, and reads back in order', () => {
  assert.ok(copies('by_time').length >= 6, copies('by_time').join());
  inOrder('by_time', 'at DESC, v');
});

// Pieces would each begin with small values again, and the chunk would say that it is ordered.
test('a segment that is ordered by something else first is not cut', () => {
  inOrder('by_value', 'v, at');
  // Of one segment the server takes the batches one after the other.
  inOrder('by_value', 'v, at', 'device = 1');
  assert.equal(copies('by_value').length, 1);
});

// The source can't sort as the target compares, so its rows are no sorted ones.
test('a segment that is ordered by text of another collation is not cut, and compressed once more', () => {
  inOrder('by_collation', 'at, name');
  assert.equal(copies('by_collation').length, 1);
});

test('a segment keeps a thousand rows in each piece, so that batches are full', () => {
  assert.equal(batches('many_segments').length, 60);
  assert.equal(copies('many_segments').length, 1);
  const pieces = copies('few_segments');
  assert.ok(pieces.length > 3 && pieces.length <= 13, pieces.join());
  const full = Math.ceil(rows / 1000);
  assert.ok(batches('few_segments').length <= 2.5 * full, `${batches('few_segments').length} batches`);
});

test('pieces hold about equally many rows, wherever they lie in time', () => {
  for (const name of ['lumpy', 'by_time']) {
    const pieces = copies(name);
    const mean = rows / pieces.length;
    assert.ok(pieces.length >= 6, pieces.join());
    assert.ok(Math.max(...pieces) < 1.25 * mean, `${name}: ${pieces}`);
  }
});
