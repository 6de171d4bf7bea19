// What `plan` shows is what `clone` then does; and showing it writes nothing on either side.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { emptyTarget, makeDatabase, query, run, startPair, temporaryFolder, value, withDatabase, withUser, writeConfig } from './support/servers.mjs';

const canary = 'canary-7391-secret';
const place = temporaryFolder();
let source;
let target;
let config;
let counter = 0;
const printed = [];
const watched = [];

before(async () => {
  ({ source, target } = await startPair(place.folder, canary));
  watched.push(source.uri, target.uri);
  query(source.uri, `
    CREATE TABLE flights (date timestamptz NOT NULL, origin text NOT NULL, price numeric, extra jsonb);
    INSERT INTO flights SELECT '2001-01-01'::timestamptz + i * interval '3 minutes', 'a' || i % 4, i, '{"n": 1.0}' FROM generate_series(0, 40000) i;
    CREATE INDEX ON flights (date); CREATE INDEX ON flights (origin);
    CREATE TABLE readings (at timestamp NOT NULL, device int NOT NULL, value float8);
    INSERT INTO readings SELECT now() - i * interval '1 hour', i % 3, i FROM generate_series(0, 2000) i;
    CREATE INDEX ON readings (at);
    CREATE TABLE counted (n bigint NOT NULL, k int NOT NULL); CREATE INDEX ON counted (n);
    INSERT INTO counted SELECT i, i % 7 FROM generate_series(1, 5000) i;
    CREATE TABLE plain_hyper (at date NOT NULL, x int); CREATE INDEX ON plain_hyper (at);
    INSERT INTO plain_hyper SELECT '2020-01-01'::date + i % 50, i FROM generate_series(1, 1000) i;
    CREATE TABLE noindex (at timestamptz NOT NULL, id int, filler text);
    INSERT INTO noindex SELECT '2020-01-01'::timestamptz + i * interval '1 h', i, repeat('x', 900) FROM generate_series(1, 40000) i;
    CREATE TABLE empty_hyper (at timestamptz NOT NULL); CREATE INDEX ON empty_hyper (at);
    CREATE TABLE big (id int PRIMARY KEY, filler text);
    INSERT INTO big SELECT i, repeat('y', 900) FROM generate_series(1, 60000) i;
    CREATE TYPE pair AS (a int, b text);
    CREATE TABLE composite (id int PRIMARY KEY REFERENCES big, p pair, tables regclass[]);
    INSERT INTO composite SELECT i, ROW(i, 'x')::pair FROM generate_series(1, 500) i;
    CREATE TABLE empty_one (a int);
    CREATE TABLE "Odd ""Name""" ("Select" int);
    CREATE TABLE parted (k int, v text) PARTITION BY LIST (k);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1); CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
    INSERT INTO parted SELECT 1 + i % 2, 'v' || i FROM generate_series(1, 1000) i;
    CREATE TABLE metrics (at timestamptz NOT NULL, device int, v float8) PARTITION BY RANGE (at);
    CREATE TABLE metrics_1 PARTITION OF metrics FOR VALUES FROM ('2020-01-01') TO ('2020-03-01');
    CREATE TABLE metrics_2 PARTITION OF metrics FOR VALUES FROM ('2020-03-01') TO ('2020-06-01');
    INSERT INTO metrics SELECT '2020-01-01'::timestamptz + i * interval '1 hour', i % 5, i FROM generate_series(0, 3000) i;
    CREATE INDEX ON metrics (at);
    CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
    CREATE FOREIGN TABLE abroad (a int) SERVER elsewhere;
    CREATE VIEW seen AS SELECT id FROM composite; CREATE MATERIALIZED VIEW kept AS SELECT count(*) FROM flights;
    CREATE TABLE unwanted (a int); CREATE VIEW unwanted_view AS SELECT * FROM unwanted;
    ANALYZE;
    CREATE TABLE not_analysed (a int) WITH (autovacuum_enabled = false); INSERT INTO not_analysed VALUES (1);`);
  config = writeConfig(place.folder, 'plan.yml', `
hypertable_configs:
  - {schema: public, name: flights, time_column_name: date, chunk_time_interval: 7d, compress: {segmentby: [origin], orderby: [date desc]}}
  - {schema: public, name: readings, time_column_name: at, chunk_time_interval: 1d, compress: {after: 30d, segmentby: [device]}}
  - {schema: public, name: counted, time_column_name: n, chunk_time_interval: 1000, compress: {after: 2000, orderby: [k]}}
  - {schema: public, name: plain_hyper, time_column_name: at, chunk_time_interval: 7d}
  - {schema: public, name: noindex, time_column_name: at, compress: {orderby: [at]}}
  - {schema: public, name: metrics, time_column_name: at, chunk_time_interval: 7d, compress: {segmentby: [device]}}
  - {schema: public, name: empty_hyper, time_column_name: at, compress: {}}
exclude_tables: [public.unwanted]
ignore_missing_time_index: true
parallel_min_table_size: 1
target_task_size: 1
parallel: 3
`);
});

after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

// What a migration makes: relations, types and functions by their oids, schemas, extensions, databases.
const state = (uri) => query(uri, `
  SELECT md5(string_agg(format('%s %s %s', oid, relname, pg_relation_filenode(oid)), ',' ORDER BY oid)) FROM pg_class
  UNION ALL SELECT md5(string_agg(oid || typname, ',' ORDER BY oid)) FROM pg_type
  UNION ALL SELECT md5(string_agg(oid || proname, ',' ORDER BY oid)) FROM pg_proc
  UNION ALL SELECT string_agg(nspname, ',' ORDER BY nspname) FROM pg_namespace
  UNION ALL SELECT string_agg(extname || extversion, ',' ORDER BY extname) FROM pg_extension
  UNION ALL SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database`);

// `plan` with the canary as the source's password; nothing may have changed.
async function plan({ from = withUser(source.uri, `secretuser:${canary}`), to, file = config, args = [], env = {} }) {
  const before = watched.map(state);
  const result = await run(['plan', '-s', from, '-t', to ?? target.uri, '-c', file, ...args], env);
  printed.push(result.stdout + result.stderr);
  assert.deepEqual(watched.map(state), before, 'something was written');
  return result;
}

async function refused(lines, { yaml = '', ...options }) {
  const file = writeConfig(place.folder, `refused${++counter}.yml`, yaml);
  const result = await plan({ file, ...options });
  assert.equal(result.code, 2, result.stderr + result.stdout);
  const said = result.stderr.split('\n').filter((line) => line.startsWith('hypershift: '));
  assert.equal(said.length, lines.length, result.stderr);
  lines.forEach((pattern, i) => assert.match(said[i], pattern));
  return result;
}

let shown;
const tableOf = (name) => shown.tables.find((table) => table.name === name);

test('--json is one object with every table', async () => {
  const result = await plan({ args: ['--json', '--verify'] });
  assert.equal(result.code, 0, result.stderr + result.stdout);
  assert.equal(result.stderr, '');
  shown = JSON.parse(result.stdout);
  assert.deepEqual(shown.refusals, []);
  assert.deepEqual(shown.tables.map((table) => table.name), [...shown.tables.map((table) => table.name)].sort());
  assert.equal(shown.tables.length, 16);
  assert.equal(shown.ranges, shown.tables.reduce((sum, table) => sum + table.ranges, 0));
  assert.equal(shown.ranges, shown.tasks.KIND_COPY);
  assert.equal(shown.parallel, 3);
});

test('each table has its method, its format with the reason, and what is known of its size', () => {
  assert.equal(tableOf('flights').method, 'time');
  assert.equal(tableOf('flights').estimatedRows, 40001);
  assert.equal(tableOf('flights').format, 'COPY_FORMAT_BINARY');
  assert.equal(tableOf('noindex').method, 'ctid');
  assert.equal(tableOf('noindex').hypertable.chunks, null);
  assert.equal(tableOf('big').method, 'ctid');
  assert.ok(tableOf('big').ranges > 10, tableOf('big').ranges);
  assert.equal(tableOf('composite').method, 'whole');
  assert.equal(tableOf('composite').format, 'COPY_FORMAT_TEXT');
  assert.deepEqual(tableOf('composite').textColumns, ['p (public.pair)', 'tables (regclass[])']);
  assert.match(tableOf('abroad').notCopied, /foreign table/);
  assert.match(tableOf('parted').notCopied, /partitions/);
  assert.equal(tableOf('abroad').method, 'none');
  assert.equal(tableOf('metrics').method, 'time');
  assert.equal(tableOf('metrics').notCopied, '');
  assert.equal(tableOf('metrics').estimatedRows, 3001);
  assert.equal(tableOf('empty_one').estimatedRows, 0);
  assert.equal(tableOf('empty_one').hypertable, null);
  assert.equal(tableOf('not_analysed').estimatedRows, null);
});

test('warnings and what is left out are those of a migration', () => {
  assert.ok(shown.warnings.some((line) => /noindex: no index is led by its time column/.test(line)), shown.warnings);
  assert.ok(shown.warnings.some((line) => /flights: compression may replace values.*extra \(jsonb\)/.test(line)), shown.warnings);
  assert.deepEqual(tableOf('flights').hypertable.rewritableColumns, ['extra (jsonb)']);
  assert.ok(shown.leftOut.some((line) => /unwanted_view.*unwanted/.test(line)), shown.leftOut);
  assert.ok(shown.leftOut.some((line) => /compression policy of public\.counted/.test(line)), shown.leftOut);
});

test('the text says the same to people, within 120 columns where it is a table', async () => {
  const { code, stdout, stderr } = await plan({});
  assert.equal(code, 0, stderr + stdout);
  assert.equal(stderr, '');
  const row = (name) => stdout.split('\n').find((line) => line.startsWith(`public.${name} `));
  assert.match(row('flights'), /time +\d+ +40,001 +[\d.]+ MiB +binary +compressed$/);
  assert.match(row('plain_hyper'), /hypertable$/);
  assert.match(row('big'), /blocks +\d+ +60,000 .* table$/);
  assert.match(row('composite'), /whole +1 +500 .* text +table$/);
  assert.match(row('not_analysed'), /whole +1 +\? /);
  assert.match(row('abroad'), /not copied$/);
  assert.match(stdout, /public\.composite: text format.*p \(public\.pair\), tables \(regclass\[\]\) have no binary form/);
  assert.match(stdout, /public\.readings: \d+ chunks stay uncompressed: younger than `after` \(30d\)/);
  assert.match(stdout, /public\.counted: orderby lacks the time column: TimescaleDB is expected to add n DESC/);
  assert.match(stdout, /write rate is not known/);
  assert.match(stdout, /measured: [\d.]+ [KMG]iB\/s|too little is there/);
  assert.match(stdout, /Nothing was written\.\n$/);
  for (const line of stdout.split('\n').filter((text) => /^(table|hypertable|public\.)/.test(text))) assert.ok(line.length <= 120, line);
});

test('the sample is short, of the largest tables, and in the units of the estimates', () => {
  const { sample } = shown;
  assert.equal(sample.problem, '');
  assert.deepEqual(sample.tables.slice(0, 2), ['public.big', 'public.noindex']);
  assert.ok(sample.seconds < 6, sample.seconds);
  assert.ok(sample.rows > 0 && sample.copyBytes > 0);
  assert.ok(sample.tableBytes <= shown.estimatedBytes);
});

// Stored compressed, each row is small in the table and a megabyte on the way.
test('the sample ends in time where there is more than it can read', async () => {
  const wide = makeDatabase(source.uri);
  query(wide, "CREATE TABLE wide (filler text); INSERT INTO wide VALUES (repeat('x', 1000000))");
  for (let i = 0; i < 13; ++i) query(wide, 'INSERT INTO wide SELECT * FROM wide');
  query(wide, 'ANALYZE wide');
  const to = makeDatabase(source.uri);
  const file = writeConfig(place.folder, 'wide.yml', 'parallel: 2\n');
  const { code, stdout, stderr } = await plan({ from: wide, to, file, args: ['--json'] });
  assert.equal(code, 0, stderr);
  const { sample, estimatedBytes } = JSON.parse(stdout);
  assert.equal(sample.problem, '');
  assert.ok(sample.seconds >= 2.9 && sample.seconds < 5, sample.seconds);
  assert.ok(sample.rows > 10 && sample.rows < 8192, sample.rows);
  assert.ok(Math.abs(sample.tableBytes / estimatedBytes - sample.rows / 8192) < 0.01);
  const { secondsAtWorst } = sample.expectedReading;
  assert.ok(Math.abs(secondsAtWorst - sample.seconds * 8192 / sample.rows) < 0.1 * secondsAtWorst, secondsAtWorst);
  assert.equal(value(wide, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'hypershift%'"), '0');
});

test('everything at once that a migration would refuse is refused, each with its remedy', async () => {
  const yaml = `
hypertable_configs:
  - {schema: public, name: flihgts, time_column_name: date}
  - {schema: public, name: readings, time_column_name: att}
  - {schema: public, name: noindex, time_column_name: at}
exclude_tables: [public.nope]
`;
  const reasons = [/flihgts.*did you mean 'public\.flights'/, /att.*at/, /exclude_tables: public\.nope/, /noindex.*CREATE INDEX.*--ignore-missing-time-index/];
  await refused(reasons, { yaml });
  const result = await refused(reasons, { yaml, args: ['--json'] });
  const object = JSON.parse(result.stdout);
  assert.equal(object.refusals.length, 4);
  assert.deepEqual(object.tables, []);
  await refused([/flights: compression may replace.*--fail-on-value-rewrite/], {
    yaml: 'hypertable_configs: [{schema: public, name: flights, time_column_name: date, compress: {}}]\n',
    args: ['--fail-on-value-rewrite'],
  });
});

test('what can not be asked is refused in one line', async () => {
  await refused([/target.*no-such-host\.invalid/], { to: 'postgres://postgres@no-such-host.invalid/x' });
  await refused([/source.*no-such-host\.invalid/], { from: `postgres://u:${canary}@no-such-host.invalid/x` });
  await refused([/target: no database given/], { to: '' });
  await refused([/source.*nosuchdb/], { from: withDatabase(source.uri, 'nosuchdb') });
  await refused([/nosuchdb.*create_db: true/], { to: withDatabase(source.uri, 'nosuchdb') });
  await refused([/:2: .*paralel.*parallel/], { yaml: '\nparalel: 3\n' });
});

test('a target without TimescaleDB is refused, and one that has the tables', async () => {
  const bare = makeDatabase(source.uri);
  watched.push(bare);
  await refused([/TimescaleDB is not available/], { to: bare, yaml: 'hypertable_configs: [{schema: public, name: flights, time_column_name: date}]\n' });
  query(bare, 'CREATE TABLE big (id int)');
  await refused([/public\.big exists there already.*exclude_tables/], { to: bare, yaml: 'include_tables: [public.big]\n' });
});

test('a database that create_db asks for is planned for, and not created', async () => {
  const to = withDatabase(source.uri, 'not_there_yet');
  const file = writeConfig(place.folder, 'create.yml', 'create_db: true\ninclude_tables: [public.big, public.composite]\n');
  const result = await plan({ to, file });
  assert.equal(result.code, 0, result.stderr + result.stdout);
  assert.match(result.stdout, /^public\.big /m);
  query(source.uri, "CREATE ROLE modest LOGIN PASSWORD 'modest'");
  await refused([/may not create the database.*CREATEDB/], { to: withUser(to, 'modest:modest'), yaml: 'create_db: true\ninclude_tables: [public.big]\n' });
});

test('clone with the same configuration does what plan has shown', async () => {
  const to = emptyTarget(target);
  watched.push(to);
  const { code, stdout, stderr } = await plan({ to, args: ['--json', '--verify'] });
  assert.equal(code, 0, stderr);
  shown = JSON.parse(stdout);
  const result = await run(['clone', '-s', source.uri, '-t', to, '-c', config, '--verify', '--hide-progress']);
  assert.equal(result.code, 0, result.stderr + result.stdout);
  const journal = query(to, `SELECT t.table_name, t.plan::jsonb->>'method', count(k.id) FILTER (WHERE k.kind = 'copy')
    FROM _hypershift.source_table t LEFT JOIN _hypershift.task k ON k.table_id = t.id GROUP BY 1, 2`);
  assert.deepEqual(shown.tables.map((table) => `${table.name}|${table.method}|${table.ranges}`).sort(), journal.sort());
  const kinds = query(to, 'SELECT kind, count(*) FROM _hypershift.task GROUP BY 1');
  assert.deepEqual(Object.entries(shown.tasks).map(([kind, count]) => `${kind.replace('KIND_', '').toLowerCase()}|${count}`).sort(), kinds.sort());
  const record = (column) => JSON.parse(value(to, `SELECT ${column} FROM _hypershift.migration`));
  assert.deepEqual(record('warnings'), shown.warnings);
  assert.deepEqual(record('left_out'), shown.leftOut);

  // Chunks, and the columns that compression goes by.
  for (const { name, hypertable } of shown.tables.filter((table) => table.hypertable !== null)) {
    const [all, compressed] = query(to, `SELECT count(*), count(*) FILTER (WHERE is_compressed) FROM timescaledb_information.chunks WHERE hypertable_name = '${name}'`)[0].split('|').map(Number);
    if (hypertable.chunks === null) continue;
    assert.equal(hypertable.chunks, all, name);
    assert.equal(hypertable.chunksCompressedDirectly + hypertable.chunksCompressedAfterwards, compressed, name);
    assert.equal(hypertable.chunksUncompressed, all - compressed, name);
    if (!hypertable.compress) continue;
    const settings = query(to, `SELECT attname || CASE WHEN orderby_asc THEN '' ELSE ' DESC' END || CASE WHEN orderby_asc = orderby_nullsfirst THEN ' other NULLS' ELSE '' END
      FROM timescaledb_information.compression_settings WHERE hypertable_name = '${name}' AND orderby_column_index IS NOT NULL ORDER BY orderby_column_index`);
    assert.deepEqual(hypertable.orderby, settings, name);
  }
  assert.equal(tableOf('counted').hypertable.orderbyAssumed, true);
  assert.ok(tableOf('readings').hypertable.chunksUncompressed > 20);

  // Nothing is planned anew where a migration has been.
  await refused([/exist there already, and migration \w+ is done/], { to, yaml: 'exclude_tables: [public.unwanted]\n' });
  query(to, "UPDATE _hypershift.migration SET phase = 'run', finished_at = NULL");
  await refused([/it holds an unfinished migration.*hypershift cleanup/], { to });
});

test('no password is printed', () => {
  assert.ok(printed.length > 15);
  for (const text of printed) assert.ok(!text.includes('canary-7391'), text);
});
