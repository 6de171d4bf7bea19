// A source before PostgreSQL 14, which can't read ranges of blocks: large tables are cut by their primary key.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { differences } from './support/oracle.mjs';
import { makeDatabase, query, root, run, startServer, temporaryFolder, value, writeConfig } from './support/servers.mjs';

const place = temporaryFolder();
let source;
let target;
let to;
let result;

const filler = "repeat(md5(i::text), 5)";
const schema = `
CREATE TABLE by_number (id bigint PRIMARY KEY, v text);
-- Most of them in a thousandth of the numbers.
INSERT INTO by_number SELECT CASE WHEN i % 10 = 0 THEN i::bigint * 100000 ELSE 500000000 + i END, ${filler} FROM generate_series(1, 20000) i;
CREATE TABLE by_time (at timestamptz, n int, v text, PRIMARY KEY (at, n));
INSERT INTO by_time SELECT '2021-01-01'::timestamptz + i * interval '1 min', i, ${filler} FROM generate_series(1, 20000) i;
INSERT INTO by_time VALUES ('-infinity', 1, 'x'), ('infinity', 1, 'y'), ('infinity', 2, 'z'), ('0044-03-15 BC', 1, 'ides');
CREATE TABLE by_few (kind smallint, n int, v text, PRIMARY KEY (kind, n));
INSERT INTO by_few SELECT i % 3, i, ${filler} FROM generate_series(1, 20000) i;
-- The key's columns in another order than the table's.
CREATE TABLE turned (name text, "the ""day" date, v text, PRIMARY KEY ("the ""day", name));
INSERT INTO turned SELECT 'n' || i, '2020-01-01'::date + i % 700, ${filler} FROM generate_series(1, 20000) i;
CREATE TABLE by_text (id text PRIMARY KEY, v text); INSERT INTO by_text SELECT 'k' || i, ${filler} FROM generate_series(1, 20000) i;
CREATE TABLE keyless (id int, v text); INSERT INTO keyless SELECT i, ${filler} FROM generate_series(1, 20000) i;
CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small SELECT i FROM generate_series(1, 100) i;
CREATE TABLE unknown (id int PRIMARY KEY, v text); INSERT INTO unknown SELECT i * 7, ${filler} FROM generate_series(1, 20000) i;
ANALYZE by_number; ANALYZE by_time; ANALYZE by_few; ANALYZE turned; ANALYZE by_text; ANALYZE keyless`;

before(async () => {
  const native = join(root, 'tests/servers/node_modules/postgresql-13/native');
  assert.ok(existsSync(native), 'no PostgreSQL 13: run scripts/setup');
  // Where the server's user can read it.
  spawnSync('cp', ['-a', native, join(place.folder, 'postgresql')]);
  process.env.HYPERSHIFT_PG_BINDIR = join(place.folder, 'postgresql/bin');
  source = await startServer('source-server', join(place.folder, 's'), '--set', 'autovacuum=off');
  delete process.env.HYPERSHIFT_PG_BINDIR;
  target = await startServer('source-server', join(place.folder, 't'));
  query(source.uri, schema);
  to = makeDatabase(target.uri);
  const config = writeConfig(place.folder, 'old.yml', 'parallel_min_table_size: 1\ntarget_task_size: 1\nverify: true\n');
  result = await run(['clone', '-s', source.uri, '-t', to, '-c', config, '--hide-progress']);
});
after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

const copies = (table) => query(to, `SELECT k.rows FROM _hypershift.task k JOIN _hypershift.source_table t
  ON (t.migration_id, t.id) = (k.migration_id, k.table_id) WHERE k.kind = 'copy' AND t.table_name = '${table}' ORDER BY k.id`).map(Number);

test('clone ends well', () => {
  assert.equal(value(source.uri, "SELECT current_setting('server_version_num')::int / 10000"), '13');
  assert.equal(result.code, 0, result.stderr + result.stdout);
});

test('every table arrives as it was', () => assert.equal(differences(source.uri, to), ''));

test('tables with a key of numbers or times are cut by it, the others are not', () => {
  for (const name of ['by_number', 'by_time', 'turned', 'unknown']) assert.ok(copies(name).length >= 3, `${name}: ${copies(name)}`);
  // A value is never cut in two: three kinds give three ranges at most.
  assert.ok(copies('by_few').length > 1 && copies('by_few').length <= 3, copies('by_few').join());
  for (const name of ['by_text', 'keyless', 'small']) assert.equal(copies(name).length, 1, name);
});

test('ranges hold about equally many rows, however the key is spread', () => {
  for (const name of ['by_number', 'by_time', 'turned']) {
    const rows = copies(name);
    const mean = rows.reduce((sum, count) => sum + count) / rows.length;
    for (const count of rows) assert.ok(Math.abs(count - mean) < 0.25 * mean, `${name}: ${rows}`);
  }
});

test('what was read is equal, range by range', () => {
  for (const name of ['by_number', 'by_time', 'by_few', 'turned']) assert.match(result.stdout, new RegExp(`public\\.${name} [^\\n]*equal`));
  assert.equal(value(to, "SELECT count(*) FROM _hypershift.task WHERE kind = 'verify'"), value(to, "SELECT count(*) FROM _hypershift.task WHERE kind = 'copy'"));
});
