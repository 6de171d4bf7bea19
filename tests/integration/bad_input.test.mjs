// Bad input: one clear line with place and remedy, exit 2, and nothing changed.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { fingerprint } from './support/oracle.mjs';
import { makeDatabase, query, run, startPair, temporaryFolder, value, writeConfig } from './support/servers.mjs';

const place = temporaryFolder();
let source;
let target;

before(async () => {
  ({ source, target } = await startPair(place.folder, 'canary-7391-secret'));
  query(source.uri, `CREATE TABLE flights (date timestamp NOT NULL, origin text, id int);
    INSERT INTO flights SELECT '2001-01-01'::timestamp + i * interval '1 hour', 'ATL', i FROM generate_series(1, 500) i;
    CREATE INDEX ON flights (date);
    CREATE TABLE keyed (at timestamptz NOT NULL, id int PRIMARY KEY); CREATE INDEX ON keyed (at);
    CREATE TABLE noindex (at timestamptz NOT NULL, id int); INSERT INTO noindex SELECT '2020-01-01'::timestamptz + i * interval '1 h', i FROM generate_series(1, 500) i;
    CREATE TABLE with_null (at timestamptz, id int); CREATE INDEX ON with_null (at); INSERT INTO with_null VALUES (NULL, 1), ('2020-01-01', 2);
    CREATE TABLE with_inf (at timestamptz, id int); CREATE INDEX ON with_inf (at); INSERT INTO with_inf VALUES ('infinity', 1), ('2020-01-01', 2);
    CREATE TABLE with_neg (at timestamptz, id int); CREATE INDEX ON with_neg (at); INSERT INTO with_neg VALUES ('-infinity', 1), ('2020-01-01', 2);
    CREATE SCHEMA other; CREATE TABLE other.t1 (a int); INSERT INTO other.t1 VALUES (1);
    CREATE TABLE "Mixed" (a int); INSERT INTO "Mixed" VALUES (7);`);
});

after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

const state = (uri) => query(uri, `SELECT count(*) FROM pg_class WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^(pg_|_timescaledb|timescaledb_)')
  UNION ALL SELECT count(*) FROM pg_namespace UNION ALL SELECT count(*) FROM pg_extension`).join();

let counter = 0;
async function refused(pattern, { yaml = '', from, to, args = [] }) {
  const before = [state(source.uri), state(target.uri)];
  const config = writeConfig(place.folder, `bad${++counter}.yml`, yaml);
  const result = await run(['clone', '-s', from ?? source.uri, '-t', to ?? target.uri, '-c', config, '--hide-progress', ...args]);
  assert.equal(result.code, 2, result.stderr + result.stdout);
  const lines = result.stderr.split('\n').filter((line) => line.startsWith('hypershift: '));
  assert.equal(lines.length, 1, result.stderr);
  assert.match(lines[0], pattern);
  assert.ok(!result.stderr.includes('canary-7391'), result.stderr);
  assert.deepEqual([state(source.uri), state(target.uri)], before);
}

const hypertable = (name, time, more = '') => `hypertable_configs:\n  - {schema: public, name: ${name}, time_column_name: ${time}, chunk_time_interval: 7d${more}}\nexclude_tables: [${['keyed', 'noindex', 'with_null', 'with_inf', 'with_neg'].filter((t) => t !== name).map((t) => `public.${t}`).join(', ')}]\n`;

const port = () => source.uri.match(/:(\d+)\//)[1];

for (const [title, pattern, make] of [
  ['a URI that does not parse', /source/, () => ({ from: 'postgres://[::1/x' })],
  ['a wrong password', /source.*password/i, () => ({ from: `postgres://secretuser:canary-7391-wrong@127.0.0.1:${port()}/postgres` })],
  ['an unreachable host', /target/, () => ({ to: 'postgres://postgres@127.0.0.1:1/x' })],
  ['a missing database', /source.*nosuchdb/, () => ({ from: `postgres://postgres@127.0.0.1:${port()}/nosuchdb` })],
  ['malformed YAML', /bad\d+\.yml:\d+/, () => ({ yaml: 'parallel: [1\n' })],
  ['an unknown key', /bad\d+\.yml:2: .*paralel.*parallel/, () => ({ yaml: '\nparalel: 3\n' })],
  ['include_tables with exclude_tables', /include_tables.*exclude_tables/, () => ({ yaml: 'include_tables: [public.a]\nexclude_tables: [public.b]\n' })],
  ['a table that is not there', /flihgts.*flights/, () => ({ yaml: hypertable('flihgts', 'date') })],
  ['a column that is not there', /dat.*date/, () => ({ yaml: hypertable('flights', 'dat') })],
  ['a segmentby column that is not there', /segmentby.*orgin.*origin/, () => ({ yaml: hypertable('flights', 'date', ', compress: {segmentby: [orgin]}') })],
  ['an interval that does not parse', /7 parsecs/, () => ({ yaml: 'hypertable_configs:\n  - {schema: public, name: flights, time_column_name: date, chunk_time_interval: 7 parsecs}\n' })],
  ['a unique key without the time column', /keyed_pkey.*drop_incompatible_hypertable_constraints/, () => ({ yaml: hypertable('keyed', 'at') })],
  ['NULL in the time column', /with_null.*NULL/, () => ({ yaml: hypertable('with_null', 'at') })],
  ['infinity in the time column', /with_inf.* infinity/, () => ({ yaml: hypertable('with_inf', 'at') })],
  ['-infinity in the time column', /with_neg.*-infinity/, () => ({ yaml: hypertable('with_neg', 'at') })],
  ['no time index', /noindex.*--ignore-missing-time-index/, () => ({ yaml: hypertable('noindex', 'at') })],
  ['an excluded table that is not there', /exclude_tables.*public\.nope/, () => ({ yaml: 'exclude_tables: [public.nope]\n' })],
  ['a listener off loopback', /--listen/, () => ({ args: ['--listen', '0.0.0.0:0'] })],
]) {
  test(`${title} is refused`, () => refused(pattern, make()));
}

test('a target without TimescaleDB is refused when hypertables are asked for', async () => {
  const plain = makeDatabase(source.uri);
  await refused(/TimescaleDB/, { yaml: hypertable('flights', 'date'), to: plain });
});

test('tables that are on the target already are refused by name, and left as they are', async () => {
  const full = makeDatabase(source.uri);
  query(full, 'CREATE TABLE flights (date timestamp); CREATE TABLE "Mixed" (a int)');
  await refused(/public\.flights.*exclude_tables/, { to: full, yaml: 'include_tables: [public.flights]\n' });
  assert.equal(value(full, "SELECT count(*) FROM pg_namespace WHERE nspname = '_hypershift'"), '0');
});

test('a schema in a filter that is not there is refused', () =>
  refused(/include_schemas.*othr.*other/, { yaml: 'include_schemas: [othr]\n' }));

// Where nothing else stands in the way, not even the extension is made before the check has passed.
test('a refused run leaves a target without the extension without it', async (context) => {
  if (target.kind === 'embedded') return context.skip('the embedded server has one database');
  const bare = makeDatabase(target.uri);
  query(bare, 'DROP EXTENSION IF EXISTS timescaledb');
  await refused(/with_null.*NULL/, { yaml: hypertable('with_null', 'at'), to: bare });
  return undefined;
});

// What refuses by default goes through when told to; old spellings and variables mean what they meant.
test('the ways through: dropped constraints, a missing index, filters, old flags, environment', async () => {
  const config = writeConfig(place.folder, 'good.yml', `
hypertable_configs:
  - {schema: public, name: keyed, time_column_name: at}
  - {schema: public, name: noindex, time_column_name: at, compress: {orderby: [at]}}
drop_incompatible_hypertable_constraints: true
exclude_tables: [public.with_null, public.with_inf, public.with_neg, public.flights]
exclude_schemas: [other]
foreign_keys_priority: immediate
parallel: 2
log_format: json
`);
  const result = await run(['-S', source.uri, '-C', config, '--verbose'],
    { HYPERSHIFT_TARGET_URI: target.uri, HYPERSHIFT_IGNORE_MISSING_TIME_INDEX: 'true' });
  assert.equal(result.code, 0, result.stderr + result.stdout);
  for (const line of result.stderr.split('\n').filter((l) => l !== '')) JSON.parse(line);
  assert.match(result.stdout, /keyed_pkey/);
  assert.equal(fingerprint(target.uri, 'noindex'), fingerprint(source.uri, 'noindex'));
  assert.equal(fingerprint(target.uri, '"Mixed"'), fingerprint(source.uri, '"Mixed"'));
  assert.equal(value(target.uri, "SELECT count(*) FROM pg_class WHERE relname IN ('flights', 't1', 'with_null')"), '0');
  assert.equal(query(target.uri, "SELECT DISTINCT k.status FROM timescaledb_information.chunks c JOIN _timescaledb_catalog.chunk k ON k.table_name = c.chunk_name WHERE c.hypertable_name = 'noindex'").join(), '1');
  assert.equal(value(target.uri, "SELECT count(*) FROM pg_indexes WHERE tablename = 'noindex'"), '1');
});
