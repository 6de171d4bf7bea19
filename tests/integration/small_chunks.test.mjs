// Small chunks that follow each other are made, filled and compressed by one task each, and every one ends as if it had
// been alone.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fingerprint } from './support/oracle.mjs';
import { emptyTarget, query, run, startPair, temporaryFolder, value, writeConfig } from './support/servers.mjs';

const place = temporaryFolder();
let source;
let target;
let to;
let result;

// 300 days: 200, a gap of 30, and 100, of some 20 KB each; one of them, in the middle, far larger than the others.
const schema = `
CREATE TABLE ticks (at timestamptz NOT NULL, device int NOT NULL, v float8, name text);
INSERT INTO ticks SELECT '2023-01-01 00:00+00'::timestamptz + (d + CASE WHEN d >= 200 THEN 30 ELSE 0 END) * interval '1 day' + i * interval '7 min',
  i % 5, sin(i + d), md5((d * 1000 + i)::text) FROM generate_series(0, 299) d, generate_series(1, 200) i;
INSERT INTO ticks SELECT '2023-04-11 00:00+00'::timestamptz + i * interval '1 s', i % 5, i, md5(i::text) FROM generate_series(1, 30000) i;
ALTER TABLE ticks ADD PRIMARY KEY (at, device, name);
ANALYZE ticks;
CREATE TABLE plain (n int NOT NULL, v text); INSERT INTO plain SELECT i, md5(i::text) FROM generate_series(0, 49999) i;
CREATE INDEX ON plain (n); ANALYZE plain;
-- Its older half is compressed.
CREATE TABLE halves (at timestamptz NOT NULL, v int); CREATE INDEX ON halves (at);
INSERT INTO halves SELECT now() - i * interval '10 min', i FROM generate_series(1, 20000) i; ANALYZE halves`;
const config = `parallel: 2
parallel_min_table_size: 0
verify: true
hypertable_configs:
  - {schema: public, name: ticks, time_column_name: at, chunk_time_interval: 1d, compress: {segmentby: [device], orderby: [at desc]}}
  - {schema: public, name: plain, time_column_name: n, chunk_time_interval: '500'}
  - {schema: public, name: halves, time_column_name: at, chunk_time_interval: 1d, compress: {orderby: [at], after: 60d}}
`;

before(async () => {
  ({ source, target } = await startPair(place.folder));
  query(source.uri, schema);
  to = emptyTarget(target);
  result = await run(['clone', '-s', source.uri, '-t', to, '-c', writeConfig(place.folder, 'small.yml', config), '--hide-progress']);
});
after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

const tasks = (table, kind) => query(to, `SELECT k.description FROM _hypershift.task k JOIN _hypershift.source_table t
  ON (t.migration_id, t.id) = (k.migration_id, k.table_id) WHERE k.kind = '${kind}' AND t.table_name = '${table}' ORDER BY k.id`);
const chunks = (table) => query(to, `SELECT k.status FROM _timescaledb_catalog.chunk k
  JOIN _timescaledb_catalog.hypertable h ON h.id = k.hypertable_id WHERE h.table_name = '${table}' ORDER BY k.id`).map(Number);

test('every row arrives once, as it was', () => {
  assert.equal(result.code, 0, result.stderr + result.stdout);
  for (const name of ['ticks', 'plain', 'halves']) assert.equal(fingerprint(to, name), fingerprint(source.uri, name), name);
});

test('a few chunks share a task of each kind', () => {
  for (const kind of ['prepare_chunk', 'copy', 'compress']) {
    const found = tasks('ticks', kind);
    assert.ok(found.length > 300 / 16 && found.length < 300 / 4, `${found.length} of ${kind}`);
  }
  assert.ok(tasks('ticks', 'compress').some((name) => / and 15 more$/.test(name)), tasks('ticks', 'compress').join());
  assert.ok(tasks('plain', 'copy').length <= 100 / 4, tasks('plain', 'copy').join());
  assert.deepEqual(tasks('plain', 'compress'), []);
});

test('a chunk that is far larger than the others has its own tasks', () => {
  assert.ok(tasks('ticks', 'copy').some((range) => /^2023-04-11( \S+)? to 2023-04-1[12]/.test(range)), tasks('ticks', 'copy').join());
  assert.ok(tasks('ticks', 'prepare_chunk').includes('chunk from 2023-04-11'), tasks('ticks', 'prepare_chunk').join());
});

test('each chunk is fully compressed and ordered', () => {
  const ticks = chunks('ticks');
  assert.equal(ticks.length, 300);
  assert.deepEqual([...new Set(ticks)], [1]);
  const sql = 'SELECT at, device, v, name FROM ticks ORDER BY at DESC, device, name';
  assert.deepEqual(query(to, sql), query(source.uri, sql));
});

test('only what is old enough is compressed', () => {
  const found = chunks('halves');
  const compressed = found.filter((status) => status === 1).length;
  assert.ok(compressed >= 75 && compressed <= 80, `${compressed} of ${found.length}`);
  assert.equal(found.filter((status) => status === 0).length, found.length - compressed);
});

test('the verification compared what the tasks had copied', () => {
  assert.equal(value(to, "SELECT count(*) = (SELECT count(*) FROM _hypershift.task WHERE kind = 'copy') FROM _hypershift.task WHERE kind = 'verify' AND state = 'done'"), 't');
});
