// Tables at PostgreSQL's own limits, and those that hold next to nothing. A plain target, which is fast.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { differences, tables } from './support/oracle.mjs';
import { makeDatabase, query, run, startServer, temporaryFolder, value, writeConfig } from './support/servers.mjs';

const place = temporaryFolder();
const megabytes = 900;
const many = Array.from({ length: 1600 }, (_, i) => `c${i}`);
let source;
let target;
let to;
let result;

const schema = `
CREATE TABLE broad (${many.map((name, i) => `${name} ${['int', 'bool', 'smallint'][i % 3]}`).join(', ')});
INSERT INTO broad (c0, c1, c1599) VALUES (1, true, 2), (NULL, NULL, NULL);
INSERT INTO broad VALUES (${many.map((_, i) => (i % 3 === 1 ? 'true' : i)).join(', ')});
-- All but the first and the last column are gone, and count all the same.
CREATE TABLE worn (${many.map((name) => `${name} int`).join(', ')});
INSERT INTO worn (c0, c1599) SELECT i, -i FROM generate_series(1, 100) i;
${Array.from({ length: 2 }, (_, k) => `ALTER TABLE worn ${many.slice(1 + k * 799, 1 + (k + 1) * 799).map((name) => `DROP COLUMN ${name}`).join(', ')};`).join('\n')}
CREATE TABLE columnless (); INSERT INTO columnless SELECT FROM generate_series(1, 1000);
CREATE TABLE gone (a int, b text); INSERT INTO gone VALUES (1, 'x'); ALTER TABLE gone DROP COLUMN a, DROP COLUMN b;
CREATE TABLE computed (a int GENERATED ALWAYS AS (7) STORED); INSERT INTO computed DEFAULT VALUES; INSERT INTO computed DEFAULT VALUES;
CREATE TABLE rowless (a int, b text, PRIMARY KEY (a)); CREATE UNLOGGED TABLE unlogged (a int); INSERT INTO unlogged SELECT i FROM generate_series(1, 50) i;
CREATE TABLE emptied (a int, b text); INSERT INTO emptied SELECT i, repeat('x', 500) FROM generate_series(1, 9000) i; DELETE FROM emptied;
CREATE FOREIGN DATA WRAPPER elsewhere; CREATE SERVER far FOREIGN DATA WRAPPER elsewhere;
CREATE FOREIGN TABLE distant (a int, b text) SERVER far; COMMENT ON FOREIGN TABLE distant IS 'not here';
CREATE VIEW looks AS SELECT count(*) FROM columnless; CREATE MATERIALIZED VIEW looked AS SELECT count(*) FROM unlogged;
ANALYZE`;

before(async () => {
  [source, target] = await Promise.all([startServer('source-server', `${place.folder}/s`), startServer('source-server', `${place.folder}/t`)]);
  query(source.uri, schema);
  // Compresses to little on the disk, but travels whole.
  query(source.uri, `CREATE TABLE huge (id int, big text); INSERT INTO huge VALUES (1, repeat('huge rows; ', ${Math.floor(megabytes * 1e6 / 11)})), (2, 'small')`);
  to = makeDatabase(target.uri);
  const config = writeConfig(place.folder, 'extremes.yml', 'parallel_min_table_size: 1\nverify: true\n');
  result = await run(['clone', '-s', source.uri, '-t', to, '-c', config, '--hide-progress']);
});
after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

test('clone ends well', () => assert.equal(result.code, 0, result.stderr + result.stdout));

test('every table arrives as it was', () => {
  const names = tables(source.uri).filter((name) => name !== 'public.huge');
  assert.equal(names.length, 8, names.join());
  assert.equal(differences(source.uri, to, names), '');
  assert.equal(value(to, 'SELECT count(*) FROM columnless'), '1000');
  assert.equal(value(to, 'SELECT count(*) FROM gone'), '1');
  assert.equal(value(to, "SELECT relpersistence FROM pg_class WHERE relname = 'unlogged'"), 'u');
});

test(`a row of ${megabytes} MB arrives`, () => {
  const sql = 'SELECT id, length(big), md5(big) FROM huge ORDER BY id';
  assert.deepEqual(query(to, sql), query(source.uri, sql));
  assert.ok(Number(query(to, sql)[0].split('|')[1]) > megabytes * 0.99e6);
});

test('a foreign table is made, and it is said that its rows are not copied', () => {
  assert.equal(value(to, "SELECT obj_description('distant'::regclass)"), 'not here');
  assert.match(result.stdout, /rows of public\.distant: a foreign table: its rows stay where they are/);
});

test('views show what they showed', () => {
  for (const name of ['looks', 'looked']) assert.deepEqual(query(to, `SELECT * FROM ${name}`), query(source.uri, `SELECT * FROM ${name}`), name);
});
