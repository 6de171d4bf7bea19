// What a run never does: need more room than its result, show a password, or leave something behind. And what it shows
// while it runs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { differences } from './support/oracle.mjs';
import {
  emptyTarget, keepersOf, makeDatabase, processes, query, run, sample, sleep, start, started, startPair, temporaryFolder, until, value,
  withUser, writeConfig,
} from './support/servers.mjs';

const canary = 'canary-5512-secret';
const place = temporaryFolder();
let source;
let target;
let from;
let config;

before(async () => {
  ({ source, target } = await startPair(place.folder, canary));
  from = makeDatabase(source.uri);
  // What compresses well: eight times smaller at the end, so room for the uncompressed rows would show.
  query(from, `
    CREATE TABLE metrics (at timestamptz NOT NULL, device int NOT NULL, value double precision, state text);
    INSERT INTO metrics SELECT '2020-01-01'::timestamptz + i * interval '10 s', i % 10, i % 100, 'state ' || i % 3
      FROM generate_series(0, 250000) i;
    CREATE INDEX ON metrics (at); ANALYZE`);
  config = writeConfig(place.folder, 'limits.yml', `
hypertable_configs:
  - {schema: public, name: metrics, time_column_name: at, chunk_time_interval: 2d,
     compress: {segmentby: [device], orderby: [at desc]}}
`);
});

after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

// Promise: the target never needs room for the uncompressed data.
test('the hypertable never takes more than 1.3 times its final size', async () => {
  const to = emptyTarget(target);
  query(to, 'CREATE EXTENSION IF NOT EXISTS timescaledb'); // What is sampled must be there.
  const size = `SELECT coalesce((SELECT hypertable_size(format('%I.%I', schema_name, table_name)::regclass)
    FROM _timescaledb_catalog.hypertable WHERE table_name = 'metrics'), 0)`;
  const sampling = sample(to, size.replaceAll('\n', ' '), 0.05);
  const result = await run(['clone', '-s', from, '-t', to, '-c', config, '--parallel', '4', '--hide-progress']);
  assert.equal(result.code, 0, result.stderr + result.stdout);
  const samples = await sampling.stop();
  const [peak, final] = [Math.max(...samples), Number(value(to, size))];
  assert.ok(samples.filter((sampled) => sampled > 0).length >= 5, samples.join());
  assert.ok(peak <= 1.3 * final, `peak ${peak}, final ${final}`);
  // The rows themselves are far larger, or this would prove nothing.
  assert.ok(Number(value(from, "SELECT pg_table_size('metrics')")) > 3 * final, `final ${final}`);
  assert.equal(differences(from, to), '');
});

// Promise: a password is in no output, no journal and no process list, wherever it came from.
test('a password shows up nowhere', async () => {
  const to = emptyTarget(target);
  const report = join(place.folder, 'report.json');
  const running = start(['clone', '-c', config, '--verbose', '--verify', '--report', report], {
    HYPERSHIFT_SOURCE_URI: withUser(from, `secretuser:${canary}`),
    HYPERSHIFT_TARGET_URI: withUser(to, `postgres:${canary}`),
  });
  let ended = false;
  running.done.then(() => (ended = true));
  const seen = new Set();
  let looks = 0;
  while (!ended) {
    for (const pid of processes((command) => command.includes(canary))) seen.add(pid);
    ++looks;
    await sleep(2);
  }
  const result = await running.done;
  assert.equal(result.code, 0, result.stderr + result.stdout);
  assert.ok(looks > 20, `${looks}`);
  assert.deepEqual([...seen], []);
  assert.ok(!(result.stdout + result.stderr).includes(canary));
  const hex = Buffer.from(canary).toString('hex');
  for (const table of query(to, "SELECT c.oid::regclass FROM pg_class c WHERE relnamespace = '_hypershift'::regnamespace AND relkind = 'r'")) {
    const found = value(to, `SELECT count(*) FROM ${table} t WHERE t::text LIKE '%${canary}%' OR t::text LIKE '%${hex}%'`);
    assert.equal(found, '0', table);
  }
  assert.equal(value(to, `SELECT position('${hex}' IN encode(archive, 'hex')) FROM _hypershift.migration`), '0');
  // A wrong one is not repeated either.
  for (const uri of [withUser(from, `secretuser:wrong-${canary}`), `postgres://secretuser:${canary}@/x@127.0.0.1/y`, `host=127.0.0.1 pasword=${canary}`]) {
    const refused = await run(['clone', '-t', to], { HYPERSHIFT_SOURCE_URI: uri });
    assert.equal(refused.code, 2);
    assert.ok(!(refused.stdout + refused.stderr).includes(canary), refused.stderr);
  }
});

// Promise: a run can be watched from elsewhere, by its target alone.
test('status shows a running migration, as text and as JSON', async () => {
  const to = emptyTarget(target);
  const running = start(['clone', '-s', from, '-t', to, '-c', config, '--parallel', '1', '--hide-progress']);
  let ended = false;
  running.done.then(() => (ended = true));
  let json;
  let text;
  while (!ended && !(json && text)) {
    const answer = await run(['status', '-t', to, '--json']);
    if (answer.code === 0 && answer.stdout.includes('"metrics"')) {
      json ??= JSON.parse(answer.stdout);
      const plain = await run(['status', '-t', to]);
      if (plain.code === 0) text = plain.stdout;
    }
  }
  assert.ok(json && text, 'no answer while it ran');
  const table = json.tables.find(({ name }) => name === 'metrics');
  assert.equal(table.schema, 'public');
  assert.equal(json.workers.length >= 1, true);
  assert.match(text, /public\.metrics/);
  const result = await running.done;
  assert.equal(result.code, 0, result.stderr + result.stdout);
  const late = await run(['status', '-t', to]);
  assert.equal(late.code, 2);
  assert.match(late.stderr, /no coordinator/);
});

// Promise: when it has ended, nothing is left open on either side, and no process.
test('nothing is left behind', async () => {
  const open = (uri) => value(uri, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'hypershift%'");
  await until('no session on the source', () => open(source.uri) === '0', 15);
  await until('no keeper', () => started.flatMap(keepersOf).length === 0, 15);
});

// Promise: a keeper lives as long as there is a snapshot to keep, no longer.
test('no keeper is left when a table has failed after the last copy', async () => {
  const dangling = makeDatabase(source.uri);
  query(dangling, `CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int REFERENCES parent);
    SET session_replication_role = replica; INSERT INTO child VALUES (1)`);
  const checked = writeConfig(place.folder, 'checked.yml', 'foreign_keys_priority: immediate\n');
  const failed = await run(['clone', '-s', dangling, '-t', makeDatabase(source.uri), '-c', checked, '--hide-progress',
    '--retry-limit', '1', '--keeper-grace', '20s']);
  assert.equal(failed.code, 4, failed.stderr + failed.stdout);
  await until('no keeper', () => started.flatMap(keepersOf).length === 0, 5);
});
