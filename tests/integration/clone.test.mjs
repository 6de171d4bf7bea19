// The main job on real servers: the demo database arrives whole.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { fingerprint, tables } from './support/oracle.mjs';
import { loadDemo, query, run, start, startPair, temporaryFolder, until, value, writeConfig } from './support/servers.mjs';

const place = temporaryFolder();
let source;
let target;
let result;
let peak = 0;

before(async () => {
  ({ source, target } = await startPair(place.folder, 'canary-7391-secret'));
  loadDemo(source.uri, 250000);
  // A table with rows up to now, one that must travel as text, and shapes that break naive copies.
  query(source.uri, `
    CREATE TABLE readings (at timestamptz NOT NULL, device text NOT NULL, value double precision);
    INSERT INTO readings SELECT now() - i * interval '1 hour', 'd' || i % 3, i FROM generate_series(0, 2000) i;
    CREATE INDEX ON readings (at);
    CREATE TYPE pair AS (a int, b text);
    CREATE TABLE composite (id int PRIMARY KEY, p pair, all_p pair[]);
    INSERT INTO composite SELECT i, ROW(i, 'x' || i)::pair, ARRAY[ROW(i, 'y')::pair] FROM generate_series(1, 500) i;
    CREATE TABLE shapes (dropped int, kept int, twice int GENERATED ALWAYS AS (kept * 2) STORED, "we""ird; col" jsonb);
    INSERT INTO shapes (dropped, kept, "we""ird; col") SELECT i, nullif(i, 7), jsonb_build_object('k', i) FROM generate_series(1, 300) i;
    ALTER TABLE shapes DROP COLUMN dropped;
    CREATE TABLE "Odd ""Name"" (x)" ("Select" int, t text);
    INSERT INTO "Odd ""Name"" (x)" SELECT i, repeat('é', i) FROM generate_series(1, 50) i;
    CREATE TABLE empty_one (a int); CREATE TABLE no_columns ();
    INSERT INTO no_columns DEFAULT VALUES;
    CREATE TABLE parted (k int, v text) PARTITION BY LIST (k);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1); CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
    INSERT INTO parted SELECT 1 + i % 2, 'v' || i FROM generate_series(1, 1000) i;
    CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent);
    INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (3, 4);
    CREATE SEQUENCE alone START 5; SELECT nextval('alone'); SELECT nextval('alone');
    ANALYZE;`);
  const config = writeConfig(place.folder, 'clone.yml', `
hypertable_configs:
  - {schema: public, name: flights, time_column_name: date, chunk_time_interval: 7d,
     compress: {after: 7d, segmentby: [origin], orderby: [date desc]}}
  - {schema: public, name: readings, time_column_name: at, chunk_time_interval: 1d,
     compress: {after: 30d, segmentby: [device], orderby: [at desc]}}
parallel_min_table_size: 1
`);
  const secret = source.uri.replace(/\/\/[^@]*@/, '//secretuser:canary-7391-secret@');
  const running = start(['clone', '-s', secret, '-t', target.uri, '-c', config, '--verify', '--parallel', '3', '--verbose']);
  let ended = false;
  running.done.then(() => (ended = true));
  await until('the end', () => {
    peak = Math.max(peak, hypertableSize());
    return ended;
  }, 240);
  result = await running.done;
});

after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

function hypertableSize() {
  try {
    return Number(value(target.uri, "SELECT coalesce(hypertable_size('flights'), 0)"));
  } catch {
    return 0;
  }
}

test('clone ends well', () => assert.equal(result.code, 0, result.stderr + result.stdout));

// Nothing lost, nothing doubled, nothing changed.
test('every table is equal by the independent oracle', () => {
  const names = tables(source.uri);
  assert.ok(names.length >= 15, names.join());
  for (const name of names) assert.equal(fingerprint(target.uri, name), fingerprint(source.uri, name), name);
});

test('the oracle sees one lost, one doubled and one altered row', () => {
  query(source.uri, 'CREATE TABLE oracle_check AS SELECT i, i::text AS t FROM generate_series(1, 100) i');
  const whole = fingerprint(source.uri, 'oracle_check');
  assert.notEqual(fingerprint(source.uri, 'oracle_check', 'i <> 50'), whole);
  query(source.uri, 'INSERT INTO oracle_check SELECT * FROM oracle_check WHERE i = 3');
  assert.notEqual(fingerprint(source.uri, 'oracle_check'), whole);
  query(source.uri, "DELETE FROM oracle_check WHERE i = 3; INSERT INTO oracle_check VALUES (3, 'three')");
  assert.notEqual(fingerprint(source.uri, 'oracle_check'), whole);
  query(source.uri, 'DROP TABLE oracle_check');
});

test('old chunks are fully compressed and ordered, young ones are not compressed', () => {
  const rows = query(target.uri, `SELECT c.hypertable_name, c.is_compressed, k.status, c.range_end < now() - interval '30 days'
    FROM timescaledb_information.chunks c JOIN _timescaledb_catalog.chunk k ON k.table_name = c.chunk_name`);
  assert.ok(rows.length > 50);
  for (const row of rows) {
    const [name, compressed, status, old] = row.split('|');
    const expected = name === 'flights' || old === 't';
    assert.equal(compressed, expected ? 't' : 'f', row);
    assert.equal(status, expected ? '1' : '0', row);
  }
  assert.ok(rows.some((row) => row.startsWith('readings|f')));
});

// The target never needs room for the uncompressed data.
test('the hypertable never takes more than 1.3 times its final size', () => {
  const final = hypertableSize();
  assert.ok(peak <= 1.3 * final, `peak ${peak}, final ${final}`);
});

test('ORDER BY on the compressed hypertable is right', () => {
  const rows = query(target.uri, `SELECT count(*) FROM (SELECT date, lag(date) OVER () AS before FROM
    (SELECT date FROM flights WHERE origin = 'ATL' ORDER BY date DESC) s) x WHERE before < date`);
  assert.equal(rows[0], '0');
});

test('views, types, functions, triggers, keys and indexes are there', () => {
  const count = (uri, sql) => value(uri, sql);
  for (const sql of [
    "SELECT count(*) FROM pg_class WHERE relkind IN ('v', 'm') AND relnamespace = 'public'::regnamespace AND relname !~ 'pg_stat'",
    "SELECT count(*) FROM pg_type WHERE typtype IN ('e', 'd') AND typnamespace = 'public'::regnamespace",
    "SELECT string_agg(tgname, ',' ORDER BY tgname) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal AND c.relname = 'birdstrikes'",
    "SELECT string_agg(conname, ',' ORDER BY conname) FROM pg_constraint WHERE contype = 'p' AND connamespace = 'public'::regnamespace",
    "SELECT string_agg(conname, ',' ORDER BY conname) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace",
    "SELECT string_agg(indexname, ',' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'airport_traffic'",
  ]) assert.equal(count(target.uri, sql), count(source.uri, sql), sql);
});

// By default nothing is checked twice.
test('no foreign key is validated', () => {
  assert.equal(value(target.uri, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated AND connamespace = 'public'::regnamespace"), '0');
});

// A trigger that fired while rows were copied would have doubled every count; afterwards it works.
test('the trigger did not fire during the copy, and fires now', () => {
  const strikes = 'SELECT sum(strikes) FROM strike_sites';
  assert.equal(value(target.uri, strikes), '10000');
  const added = value(target.uri, `BEGIN; INSERT INTO birdstrikes (site_id, struck_on, time_of_day, operator, aircraft, phase,
    species, size, damage, cost_repair, cost_other) SELECT site_id, struck_on, time_of_day, operator, aircraft, phase, species,
    size, damage, cost_repair, cost_other FROM birdstrikes LIMIT 7; ${strikes}; ROLLBACK`);
  assert.equal(added, '10007');
});

test('functions, views, enums, domains, checks, keys and comments work as on the source', () => {
  for (const sql of [
    "SELECT miles_between(a, b) FROM airports a, airports b WHERE a.iata = 'SEA' AND b.iata = 'JFK'",
    'SELECT * FROM flights_by_day ORDER BY day',
    "SELECT enumlabel FROM pg_enum WHERE enumtypid = 'flight_phase'::regtype ORDER BY enumsortorder",
    "SELECT obj_description('flights'::regclass), col_description('flights'::regclass, 2)",
    "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND conrelid IN ('airports'::regclass, 0) ORDER BY 1",
    "SELECT indexdef FROM pg_indexes WHERE indexname = 'birdstrikes_costly_idx'",
  ]) assert.deepEqual(query(target.uri, sql), query(source.uri, sql), sql);
  for (const [sql, refusal] of [
    ['SELECT (-1)::dollars', /dollars_check/],
    ['INSERT INTO airports SELECT * FROM airports LIMIT 1', /airports_pkey/],
    // Not validated, but new rows are checked, in hypertables too.
    ["INSERT INTO flights VALUES ('2001-01-02', 0, 0, 'NOWHERE', 'SEA')", /flights_origin_fkey/],
  ]) assert.throws(() => query(target.uri, sql), refusal);
});

test('every chunk has the index', () => {
  const chunks = "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'flights'";
  const indexes = "SELECT count(*) FROM pg_indexes WHERE schemaname = '_timescaledb_internal' AND indexname LIKE '%flights_date_idx'";
  assert.equal(value(target.uri, indexes), value(target.uri, chunks));
});

test('sequences go on where they were', () => {
  assert.equal(value(target.uri, "SELECT nextval('alone')"), value(source.uri, "SELECT nextval('alone')"));
  for (const uri of [source.uri, target.uri]) query(uri, "INSERT INTO strike_sites (name, state) VALUES ('new', 'XX')");
  const last = "SELECT max(id) FROM strike_sites";
  assert.equal(value(target.uri, last), value(source.uri, last));
});

// The view groups by a primary key, so pg_dump puts it behind the keys.
test('materialised views are filled and have their indexes', () => {
  for (const view of query(source.uri, "SELECT oid::regclass FROM pg_class WHERE relkind = 'm'")) {
    assert.equal(fingerprint(target.uri, view), fingerprint(source.uri, view), view);
    const indexes = `SELECT indexdef FROM pg_indexes WHERE tablename = '${view}'`;
    assert.deepEqual(query(target.uri, indexes), query(source.uri, indexes));
  }
});

test('the compression policy is there and statistics were taken', () => {
  assert.equal(value(target.uri, "SELECT count(*) FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression'"), '2');
  assert.notEqual(value(target.uri, "SELECT count(*) FROM pg_stats WHERE tablename = 'airports'"), '0');
});

test('the journal holds each range once, done', () => {
  const rows = query(target.uri, "SELECT state, count(*), count(DISTINCT (table_id, range_key)) FROM _hypershift.task WHERE kind = 'copy' GROUP BY 1");
  assert.equal(rows.length, 1);
  const [state, count, distinct] = rows[0].split('|');
  assert.equal(state, 'done');
  assert.equal(count, distinct);
  assert.equal(value(target.uri, 'SELECT phase FROM _hypershift.migration'), 'done');
});

test('no password is in the output or in the journal', () => {
  assert.ok(!(result.stdout + result.stderr).includes('canary-7391-secret'));
  const journal = query(target.uri, "SELECT m::text FROM _hypershift.migration m UNION ALL SELECT convert_from(work, 'SQL_ASCII') || t.error FROM _hypershift.task t WHERE work IS NOT NULL AND position('canary'::bytea IN work) > 0");
  assert.ok(!journal.join().includes('canary'));
});

// verify compares what streamed past with what the target returns.
test('verify says equal, then names the table and the range of an altered row', async () => {
  const first = await run(['verify', '-t', target.uri, '--hide-progress']);
  // strike_sites was added to above: the difference is real.
  assert.equal(first.code, 1, first.stderr + first.stdout);
  assert.match(first.stdout, /strike_sites/);
  query(target.uri, "DELETE FROM strike_sites WHERE name = 'new'");
  const equal = await run(['verify', '-t', target.uri, '--hide-progress']);
  assert.equal(equal.code, 0, equal.stderr + equal.stdout);
  query(target.uri, "DELETE FROM airports WHERE iata = (SELECT min(iata) FROM airports WHERE iata NOT IN (SELECT coalesce(iata, '') FROM strike_sites) AND iata NOT IN (SELECT origin FROM flights) AND iata NOT IN (SELECT destination FROM flights))");
  const different = await run(['verify', '-t', target.uri, '--hide-progress']);
  assert.equal(different.code, 1, different.stderr + different.stdout);
  assert.match(different.stdout, /airports[^\n]*3,?376[^\n]*3,?375/);
});

// Of a hypertable verify names the range, and how many rows there should be.
test('verify names the range of a row that is gone from a compressed chunk', async () => {
  const range = "date >= '2001-01-11' AND date < '2001-01-18'";
  const count = Number(value(target.uri, `SELECT count(*) FROM flights WHERE ${range}`));
  query(target.uri, `SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0;
    DELETE FROM flights WHERE date >= '2001-01-13 06:00' AND date < '2001-01-13 12:00' AND origin = 'ATL'`);
  const left = Number(value(target.uri, `SELECT count(*) FROM flights WHERE ${range}`));
  assert.ok(left < count);
  const different = await run(['verify', '-t', target.uri, '--hide-progress']);
  assert.equal(different.code, 1, different.stderr + different.stdout);
  const said = different.stdout.replace(/\s+/g, ' ');
  assert.match(said, new RegExp(`flights: 2001-01-11 to 2001-01-18: ${count} rows were copied, ${left} are there`));
});

test('cleanup removes the journal; the tables then stand in the way of another clone', async () => {
  assert.equal((await run(['cleanup', '-t', target.uri])).code, 0);
  assert.equal(value(target.uri, "SELECT count(*) FROM pg_namespace WHERE nspname = '_hypershift'"), '0');
  const again = await run(['clone', '-s', source.uri, '-t', target.uri, '--hide-progress']);
  assert.equal(again.code, 2);
  assert.match(again.stderr, /exist there already/);
  assert.equal((await run(['verify', '-t', target.uri, '--hide-progress'])).code, 2);
});
