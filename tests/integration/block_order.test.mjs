// A table without an index on its time, but with its rows in the order of time: chunks are compressed while the copy goes on, and
// rows that lie elsewhere than a sample of the blocks lets expect are compressed and in order all the same.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fingerprint } from './support/oracle.mjs';
import { emptyTarget, query, run, startPair, temporaryFolder, value, writeConfig } from './support/servers.mjs';

const place = temporaryFolder();
let source;
let target;
let to;
let result;
let shown;

// Some 9 MB over ten days, while a range is to have 1 MiB.
const rows = 30_000;
const table = (name, time, order = 'i') => `CREATE TABLE ${name} (at timestamptz NOT NULL, device int NOT NULL, id int NOT NULL, filler text);
INSERT INTO ${name} SELECT ${time}, i % 3, i, repeat(md5(i::text), 7) FROM generate_series(1, ${rows}) i ORDER BY ${order};
ANALYZE ${name};`;
const inOrder = "'2021-01-01 00:00+00'::timestamptz + i * interval '28.8 s'";
// Eleven rows of the last quarter belong to the first three days. A block holds 29 rows, and these are none of its first.
const isStray = 'i > 22000 AND i % (25 * 29) = 44';
const withStrays = `CASE WHEN ${isStray} THEN '2021-01-01 06:00+00'::timestamptz + i % 3 * interval '1 day' ELSE ${inOrder} END`;
const schema = `
${table('ordered', inOrder)}
${table('descending', inOrder, 'i DESC')}
${table('strays', withStrays)}
${table('stored', withStrays)}
${table('mixed', inOrder, 'md5(i::text)')}
CREATE TABLE numbered (at bigint NOT NULL, device int NOT NULL, id int NOT NULL, filler text);
INSERT INTO numbered SELECT i, i % 3, i, repeat(md5(i::text), 7) FROM generate_series(1, ${rows}) i; ANALYZE numbered;
-- By something else than time, and each partition in its order.
CREATE TABLE parted (at timestamptz NOT NULL, device int NOT NULL, id int NOT NULL, filler text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (15000); CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (15000) TO (40000);
INSERT INTO parted SELECT ${inOrder}, i % 3, i, repeat(md5(i::text), 7) FROM generate_series(1, ${rows}) i; ANALYZE parted`;

const entry = (name, interval, more = '') =>
  `  - {schema: public, name: ${name}, time_column_name: at, chunk_time_interval: ${interval}, compress: {segmentby: [device], orderby: [at desc, id]${more}}}\n`;
// With an \`after\` rows are not compressed as they arrive.
const config = `target_task_size: 1
parallel_min_table_size: 1
parallel: 2
ignore_missing_time_index: true
hypertable_configs:
${['ordered', 'descending', 'strays', 'mixed', 'parted'].map((name) => entry(name, '1d')).join('')}${entry('stored', '1d', ', after: 30d')}${entry('numbered', 3000, ', after: 10000')}`;
const names = ['ordered', 'descending', 'strays', 'stored', 'mixed', 'numbered', 'parted'];

before(async () => {
  ({ source, target } = await startPair(place.folder));
  query(source.uri, schema);
  to = emptyTarget(target);
  const args = ['-s', source.uri, '-t', to, '-c', writeConfig(place.folder, 'order.yml', config)];
  const plan = await run(['plan', ...args, '--json']);
  assert.equal(plan.code, 0, plan.stderr);
  shown = JSON.parse(plan.stdout);
  result = await run(['clone', ...args, '--hide-progress']);
});
after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

const tasks = (name, columns, where) => query(to, `SELECT ${columns} FROM _hypershift.task k JOIN _hypershift.source_table t
  ON (t.migration_id, t.id) = (k.migration_id, k.table_id) WHERE t.table_name = '${name}' AND ${where}`);
const early = (name) => Number(tasks(name, 'count(*)', "k.kind = 'compress' AND k.description LIKE 'chunk from %'"));
// Those of them that ended before the table's last copy did.
const duringCopy = (name) => Number(tasks(name, `count(*) FILTER (WHERE k.kind = 'compress' AND k.finished_at <
  (SELECT max(c.finished_at) FROM _hypershift.task c WHERE c.kind = 'copy' AND c.table_id = k.table_id))`, 'true'));
const statuses = (name) => query(to, `SELECT k.status, count(*) FROM _timescaledb_catalog.chunk k
  JOIN _timescaledb_catalog.hypertable h ON h.id = k.hypertable_id WHERE h.table_name = '${name}' GROUP BY 1 ORDER BY 1`);
const outline = (name) => shown.tables.find((one) => one.name === name).hypertable;

test('every row arrives, and reads back in order', () => {
  assert.equal(result.code, 0, result.stderr + result.stdout);
  for (const name of names) {
    assert.equal(fingerprint(to, name), fingerprint(source.uri, name), name);
    for (const order of ['at DESC, id', 'device, at DESC, id']) {
      const sql = `SELECT md5(string_agg(id::text, ',')) FROM (SELECT id FROM ${name} ORDER BY ${order}) o`;
      assert.deepEqual(query(to, sql), query(source.uri, sql), `${name} by ${order}`);
    }
  }
});

test('every chunk that is old enough ends compressed in order', () => {
  for (const name of names.filter((one) => one !== 'numbered')) assert.deepEqual(statuses(name), ['1|11'], name);
  // Up to 20,000 of 30,000, in chunks of 3,000.
  assert.deepEqual(statuses('numbered'), ['0|5', '1|6']);
});

test('chunks are compressed while the copy goes on', () => {
  // Two slots may copy the last two of nine ranges at once, which leaves the chunks of the first seven.
  for (const [name, least] of [['ordered', 5], ['descending', 5], ['strays', 5], ['stored', 5], ['parted', 5], ['numbered', 4]]) {
    assert.ok(duringCopy(name) >= least, `${name}: ${duringCopy(name)} of ${early(name)}`);
  }
});

test('no attempt was in vain', () => {
  for (const name of names) assert.deepEqual(tasks(name, 'k.kind, k.attempt, k.error', 'k.attempt > 1'), [], name);
});

// Otherwise the test of the strays shows nothing.
test('strays are where no sample looks, and come after their chunk was compressed', () => {
  for (const name of ['strays', 'stored']) {
    assert.equal(value(source.uri, `SELECT count(*) FROM ${name} WHERE at <> '2021-01-01 00:00+00'::timestamptz + id * interval '28.8 s'`), '11');
    assert.equal(value(source.uri, `SELECT count(*) FROM ${name} WHERE at <> '2021-01-01 00:00+00'::timestamptz + id * interval '28.8 s'
      AND (ctid::text::point)[1] <= 3`), '0');
    assert.equal(tasks(name, 'count(*)', `k.kind = 'compress' AND k.description = 'chunk from 2021-01-01' AND k.finished_at <
      (SELECT max(c.finished_at) FROM _hypershift.task c WHERE c.kind = 'copy' AND c.table_id = k.table_id)`)[0], '1', name);
  }
});

test('rows in no order are compressed when all are there', () => {
  assert.equal(early('mixed'), 0);
  assert.ok(tasks('mixed', 'count(*)', "k.kind = 'copy'")[0] >= 8);
});

test('the plan that is shown says the same', () => {
  for (const name of names) assert.equal(outline(name).chunksCompressedEarly, early(name), name);
});
