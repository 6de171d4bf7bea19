// Every key of hypershift.yml, every variable and every flag has an effect. Targets are plain databases beside the source
// where no hypertable is asked for: a target without TimescaleDB is a target too.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { differences, tables } from './support/oracle.mjs';
import {
  emptyTarget, makeDatabase, query, run, startPair, temporaryFolder, value, withDatabase, withUser, writeConfig,
} from './support/servers.mjs';

const canary = 'canary-2046-secret';
const place = temporaryFolder();
let source;
let target;
let shop;

before(async () => {
  ({ source, target } = await startPair(place.folder, canary));
  shop = makeDatabase(source.uri);
  query(shop, `
    CREATE TABLE customer (id int PRIMARY KEY, name text);
    CREATE TABLE purchase (id int PRIMARY KEY, customer int REFERENCES customer, amount numeric);
    INSERT INTO customer SELECT i, 'c' || i FROM generate_series(1, 200) i;
    INSERT INTO purchase SELECT i, 1 + i % 200, i / 7.0 FROM generate_series(1, 1000) i;
    CREATE SCHEMA "Mixed"; CREATE TABLE "Mixed"."Table" ("Id" int, "say ""hi""" text);
    INSERT INTO "Mixed"."Table" SELECT i, 'm' FROM generate_series(1, 50) i;
    CREATE TABLE "Mixed".other (a int); INSERT INTO "Mixed".other VALUES (1);
    CREATE SCHEMA attic; CREATE TABLE attic.old (a int); INSERT INTO attic.old VALUES (1);
    CREATE VIEW attic.names AS SELECT name FROM customer;
    ANALYZE`);
});

after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

let configs = 0;
const configFile = (yaml) => writeConfig(place.folder, `config${++configs}.yml`, yaml);

// Runs a clone that must go well; where to, and what it said.
async function clone(yaml, { from = shop, to = makeDatabase(source.uri), args = [], env = {}, status = 0 } = {}) {
  const result = await run(['clone', '-s', from, '-t', to, '-c', configFile(yaml), '--hide-progress', ...args], env);
  assert.equal(result.code, status, result.stderr + result.stdout);
  return { ...result, to };
}

const copies = (uri, table) => Number(value(uri, `SELECT count(*) FROM _hypershift.task t JOIN _hypershift.source_table s
  ON s.id = t.table_id AND s.migration_id = t.migration_id WHERE t.kind = 'copy' AND s.table_name = '${table}'`));
const ours = (uri) => tables(uri).join(' ');
const foreignKey = (uri) => value(uri, "SELECT convalidated FROM pg_constraint WHERE conname = 'purchase_customer_fkey'");

test('without filters everything moves', async () => {
  const { to } = await clone('');
  assert.equal(ours(to), ours(shop));
  assert.equal(differences(shop, to), '');
});

test('include_tables moves exactly these tables, mixed case too, and says what is left out', async () => {
  const { to, stdout } = await clone(`include_tables: ['"Mixed"."Table"', public.purchase]\n`);
  assert.equal(ours(to), '"Mixed"."Table" public.purchase');
  assert.equal(differences(shop, to, tables(to)), '');
  assert.match(stdout, /purchase_customer_fkey/);
});

test('include_tables brings the types, functions and triggers that the table needs', async () => {
  const from = makeDatabase(source.uri);
  query(from, `
    CREATE SCHEMA kinds; CREATE TYPE kinds.state AS ENUM ('new', 'paid');
    COMMENT ON TYPE kinds.state IS 'of an order'; CREATE TYPE unused AS ENUM ('x'); COMMENT ON TYPE unused IS 'none';
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TABLE ordered (id int PRIMARY KEY, state kinds.state DEFAULT 'new');
    CREATE TRIGGER touched BEFORE UPDATE ON ordered FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE TABLE other (id int); INSERT INTO ordered SELECT i FROM generate_series(1, 10) i;
    SELECT lo_create(4711); CREATE PUBLICATION news`);
  const { to, stdout } = await clone('include_tables: [public.ordered]\n', { from });
  assert.equal(ours(to), 'public.ordered');
  assert.equal(differences(from, to, ['public.ordered']), '');
  assert.equal(value(to, 'SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal'), '1');
  assert.equal(value(to, "SELECT count(*) FROM pg_type WHERE typname = 'unused'"), '0');
  assert.match(stdout, /large objects: 1/);
  assert.match(stdout, /publication news/);
});

test('exclude_tables leaves these out', async () => {
  const { to } = await clone(`exclude_tables: ['"Mixed"."Table"', public.purchase]\n`);
  assert.equal(ours(to), '"Mixed".other attic.old public.customer');
});

test('include_schemas moves these schemas alone', async () => {
  const { to } = await clone('include_schemas: [\'"Mixed"\']\n');
  assert.equal(ours(to), '"Mixed"."Table" "Mixed".other');
});

test('exclude_schemas goes together with exclude_tables', async () => {
  const { to } = await clone('exclude_schemas: [attic]\nexclude_tables: [public.purchase]\n');
  assert.equal(ours(to), '"Mixed"."Table" "Mixed".other public.customer');
  assert.equal(value(to, "SELECT count(*) FROM pg_namespace WHERE nspname = 'attic'"), '0');
});


test('foreign_keys_priority: unchecked is the default, and lets a dangling row through', async () => {
  const dangling = makeDatabase(source.uri, new URL(shop).pathname.slice(1));
  query(dangling, "SET session_replication_role = replica; INSERT INTO purchase VALUES (5000, 999, 1)");
  const { to } = await clone('', { from: dangling });
  assert.equal(foreignKey(to), 'f');
  // The same row stops a checked one: that table says so, everything else arrives.
  const failed = await clone('foreign_keys_priority: immediate\n', { from: dangling, status: 4, args: ['--retry-limit', '1', '--keeper-grace', '10s'] });
  assert.match(failed.stdout, /purchase_customer_fkey/);
  assert.equal(differences(dangling, failed.to), '');
});

for (const [priority, validated] of [['immediate', 't'], ['deferred', 't'], ['unchecked', 'f'], ['disabled', '']]) {
  test(`foreign_keys_priority: ${priority}`, async () => {
    const { to, stdout } = await clone(`foreign_keys_priority: ${priority}\n`);
    assert.equal(foreignKey(to), validated);
    assert.equal(stdout.includes('purchase_customer_fkey'), priority === 'disabled', stdout);
  });
}

test('parallel_min_table_size decides whether a table is cut', async () => {
  const large = makeDatabase(source.uri);
  query(large, `CREATE TABLE large (id int, filler text); ALTER TABLE large ALTER filler SET STORAGE plain;
    INSERT INTO large SELECT i, repeat('x', 2000) FROM generate_series(1, 20000) i; DELETE FROM large WHERE id % 9 = 0; ANALYZE`);
  const cut = await clone('parallel_min_table_size: 1\nparallel: 3\n', { from: large });
  assert.ok(copies(cut.to, 'large') >= 2);
  assert.equal(differences(large, cut.to), '');
  const whole = await clone('parallel: 3\n', { from: large });
  assert.equal(copies(whole.to, 'large'), 1);
});

test('table_priorities decides which tables go first', async () => {
  const names = ['a', 'b', 'c', 'd'];
  const ordered = makeDatabase(source.uri);
  query(ordered, `${names.map((name, i) => `CREATE TABLE ${name} (id int PRIMARY KEY); INSERT INTO ${name} SELECT i FROM generate_series(1, ${(4 - i) * 1000}) i;`).join('\n')}
    CREATE TABLE e (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id); CREATE TABLE e_1 PARTITION OF e FOR VALUES FROM (1) TO (10);
    INSERT INTO e VALUES (1); ANALYZE`);
  const { to } = await clone('parallel: 1\ntable_priorities: {public.d: 2, public.e: 1, public.a: -1}\n', { from: ordered });
  assert.deepEqual(query(to, `SELECT t.table_name FROM _hypershift.task k JOIN _hypershift.source_table t
    ON (t.migration_id, t.id) = (k.migration_id, k.table_id) WHERE k.kind = 'copy' ORDER BY min(k.started_at) OVER (PARTITION BY k.xmin::text), 1`), ['d', 'e_1', 'b', 'c', 'a']);
  // Those of the same priority share a transaction.
  assert.equal(value(to, "SELECT count(DISTINCT xmin::text) FROM _hypershift.task WHERE kind = 'copy'"), '4');
  assert.equal(differences(ordered, to), '');
});

test('log_format: json gives a JSON object a line, text does not', async () => {
  const json = await clone('log_format: json\n', { args: ['--verbose'] });
  const lines = json.stderr.split('\n').filter((line) => line !== '');
  assert.ok(lines.length > 5, json.stderr);
  for (const line of lines) assert.equal(typeof JSON.parse(line), 'object');
  const text = await clone('log_format: text\n');
  assert.throws(() => JSON.parse(text.stderr.split('\n')[0]));
});

test('create_db makes the target database, and nothing does without it', async () => {
  const missing = withDatabase(source.uri, 'it_"made here"'.replaceAll('"', '%22').replace(' ', '%20'));
  const refused = await clone('', { to: missing, status: 2 });
  assert.match(refused.stderr, /create_db/);
  await clone('create_db: true\n', { to: missing });
  assert.equal(differences(shop, missing), '');
});

test('verify: true reads back, and says so for each table; false does not', async () => {
  const checked = await clone('verify: true\n');
  assert.match(checked.stdout, /customer .*equal/);
  assert.notEqual(value(checked.to, "SELECT count(*) FROM _hypershift.task WHERE kind = 'verify'"), '0');
  const unchecked = await clone('verify: false\n');
  assert.doesNotMatch(unchecked.stdout, /equal/);
  const flag = await clone('', { args: ['--verify'] });
  assert.match(flag.stdout, /customer .*equal/);
});

test('hide_progress hides the progress, verbose logs more', async () => {
  const to = () => makeDatabase(source.uri);
  const shown = await run(['clone', '-s', shop, '-t', to()]);
  const hidden = await run(['clone', '-s', shop, '-t', to(), '-c', configFile('hide_progress: true\n')]);
  assert.match(shown.stderr, / progress percent=/);
  assert.doesNotMatch(hidden.stderr, / progress percent=/);
  const verbose = await run(['clone', '-s', shop, '-t', to(), '-c', configFile('hide_progress: true\nverbose: true\n')]);
  assert.match(verbose.stderr, / DEBUG /);
  assert.doesNotMatch(hidden.stderr, / DEBUG /);
});

test('source, target and parallel may stand in the file', async () => {
  const to = makeDatabase(source.uri);
  const config = configFile(`source: ${shop}\ntarget: '${to}'\nparallel: 1\n`);
  const result = await run(['clone', '-c', config]);
  assert.equal(result.code, 0, result.stderr);
  assert.equal(differences(shop, to), '');
  assert.equal(value(to, 'SELECT slots FROM _hypershift.worker WHERE slots > 0'), '1');
});

test('variables win over the file, flags over variables', async () => {
  const [byFile, byVariable, byFlag] = [1, 2, 3].map(() => makeDatabase(source.uri));
  const config = configFile(`source: ${shop}\ntarget: ${byFile}\n`);
  const variables = { HYPERSHIFT_CONFIG_FILE: config, HYPERSHIFT_TARGET_URI: byVariable };
  assert.equal((await run(['clone'], variables)).code, 0);
  assert.equal(ours(byVariable), ours(shop));
  assert.equal((await run(['clone', '--target', byFlag], variables)).code, 0);
  assert.equal(ours(byFlag), ours(shop));
  assert.equal(ours(byFile), '');
  assert.equal((await run(['clone'], { HYPERSHIFT_SOURCE_URI: shop, HYPERSHIFT_TARGET_URI: byFile })).code, 0);
  assert.equal(ours(byFile), ours(shop));
});

test('the early spellings work without the word clone', async () => {
  for (const words of [['-S', shop, '-T'], ['--source-uri', shop, '--target-uri']]) {
    const to = makeDatabase(source.uri);
    const result = await run([...words, to, '-C', configFile('include_tables: [public.customer]\n')]);
    assert.equal(result.code, 0, result.stderr);
    assert.equal(ours(to), 'public.customer');
  }
});

test('keyword and value connection strings, and passwords apart from them', async () => {
  const name = new URL(makeDatabase(source.uri)).pathname.slice(1);
  const { hostname, port, pathname } = new URL(shop);
  const from = `host=${hostname} port=${port} dbname=${pathname.slice(1)} user=secretuser`;
  const result = await run(['clone', '--source', from, '--source-password', canary,
    '--target', `${from.replace(pathname.slice(1), name)}`, '--target-password', canary]);
  assert.equal(result.code, 0, result.stderr);
  assert.equal(differences(shop, withDatabase(source.uri, name)), '');
  const variable = await run(['clone', '--source', from, '--target', makeDatabase(source.uri)], { PGPASSWORD: canary });
  assert.equal(variable.code, 0, variable.stderr);
  const none = await run(['clone', '--source', withUser(shop, 'secretuser'), '--target', makeDatabase(source.uri)]);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /password/);
});

test('--report writes the summary as JSON', async () => {
  const report = join(place.folder, 'report.json');
  await clone('', { args: ['--report', report] });
  const { migration, tables: reported } = JSON.parse(readFileSync(report, 'utf8'));
  assert.equal(Number(migration.rowsDone), 1252);
  assert.equal(reported.length, 5);
});

// What hypertable_configs says is what TimescaleDB then knows.
test('hypertable_configs: intervals in every form, segmentby, orderby, after, and their defaults', async () => {
  const from = makeDatabase(source.uri);
  const names = ['by_default', 'weeks', 'hours', 'minutes', 'microseconds', 'counted', 'dated'];
  const type = { counted: 'bigint', dated: 'date' };
  query(from, names.map((name) => `CREATE TABLE ${name} (at ${type[name] ?? 'timestamptz'} NOT NULL, "Device" text, v int);
    CREATE INDEX ON ${name} (at);
    INSERT INTO ${name} SELECT ${name === 'counted' ? 'i' : `'2020-01-01'::timestamptz + i * interval '5 min'`}, 'd', i
      FROM generate_series(1, 30) i;`).join('\n'));
  const { to } = await clone(`
hypertable_configs:
  - {schema: public, name: by_default, time_column_name: at}
  - {schema: public, name: weeks, time_column_name: at, chunk_time_interval: 4w, compress: {}}
  - schema: public
    name: hours
    time_column_name: at
    chunk_time_interval: 12h
    compress:
      after: 2d
      segmentby: ['"Device"']
      orderby: [at desc nulls last, v]
  - {schema: public, name: minutes, time_column_name: at, chunk_time_interval: 30m}
  - {schema: public, name: microseconds, time_column_name: at, chunk_time_interval: 5400000000}
  - {schema: public, name: counted, time_column_name: at, chunk_time_interval: 10}
  - {schema: public, name: dated, time_column_name: at, chunk_time_interval: 2d}
`, { from, to: emptyTarget(target) });
  assert.equal(differences(from, to), '');
  assert.deepEqual(query(to, `SELECT hypertable_name, coalesce(time_interval::text, integer_interval::text)
    FROM timescaledb_information.dimensions ORDER BY 1`),
  ['by_default|7 days', 'counted|10', 'dated|2 days', 'hours|12:00:00', 'microseconds|01:30:00', 'minutes|00:30:00', 'weeks|28 days']);
  assert.deepEqual(query(to, `SELECT attname, segmentby_column_index, orderby_column_index, orderby_asc, orderby_nullsfirst
    FROM timescaledb_information.compression_settings WHERE hypertable_name = 'hours' ORDER BY 2, 3`),
  ['Device|1|∅|∅|∅', 'at|∅|1|f|f', 'v|∅|2|t|f']);
  assert.deepEqual(query(to, `SELECT hypertable_name, config->>'compress_after' FROM timescaledb_information.jobs
    WHERE proc_name = 'policy_compression'`), ['hours|2 days']);
  // Without `after` every chunk is compressed; without `compress` none.
  assert.deepEqual(query(to, `SELECT hypertable_name, count(*) > 0, bool_and(is_compressed), bool_or(is_compressed)
    FROM timescaledb_information.chunks GROUP BY 1 ORDER BY 1`).map((row) => row.replaceAll('|', ' ')),
  ['by_default t f f', 'counted t f f', 'dated t f f', 'hours t t t', 'microseconds t f f', 'minutes t f f', 'weeks t t t']);
});
