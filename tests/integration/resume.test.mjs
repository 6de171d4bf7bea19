// Interrupt and repeat: nothing is lost or copied twice, under the same snapshot while a keeper lives.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { join } from 'node:path';
import { fingerprint, fingerprints } from './support/oracle.mjs';
import { query, run, sleep, start, startServer, temporaryFolder, until, value, writeConfig } from './support/servers.mjs';

const place = temporaryFolder();
let source;
let target;
let config;
const times = ['--lease-duration', '3s', '--leader-lease', '2s', '--parallel', '2', '--hide-progress'];
const names = ['metrics', 'notes'];

before(async () => {
  source = await startServer('source-server', join(place.folder, 's'));
  config = writeConfig(place.folder, 'resume.yml', `
hypertable_configs:
  - {schema: public, name: metrics, time_column_name: at, chunk_time_interval: 1d,
     compress: {segmentby: [device], orderby: [at desc]}}
`);
});

let number = 0;
beforeEach(async () => {
  query(source.uri, `DROP TABLE IF EXISTS metrics, notes;
    CREATE TABLE metrics (at timestamptz NOT NULL, device int NOT NULL, value double precision);
    INSERT INTO metrics SELECT '2020-01-01'::timestamptz + i * interval '1 minute', i % 5, i FROM generate_series(0, 120000) i;
    CREATE INDEX ON metrics (at);
    CREATE TABLE notes (id int PRIMARY KEY, t text); INSERT INTO notes SELECT i, 'n' || i FROM generate_series(1, 2000) i; ANALYZE;`);
  await target?.stop();
  target = await startServer('target-server', join(place.folder, `t${++number}`));
});

after(async () => {
  query(source.uri, 'SELECT 1');
  await source?.stop();
  await target?.stop();
  place.remove();
});

const clone = (...more) => start(['clone', '-s', source.uri, '-t', target.uri, '-c', config, ...times, ...more]);

function copiesDone() {
  try {
    return Number(value(target.uri, "SELECT count(*) FROM _hypershift.task WHERE kind = 'copy' AND state = 'done'"));
  } catch {
    return 0;
  }
}

function keepers() {
  return query(source.uri, "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'hypershift%' AND state = 'idle in transaction'");
}

async function killMidCopy() {
  const running = clone();
  await until('some ranges', () => copiesDone() >= 3);
  // The keeper process has imported the snapshot too.
  await until('a keeper', () => keepers().length >= 3);
  running.child.kill('SIGKILL');
  const ended = await running.done;
  assert.equal(ended.signal, 'SIGKILL', 'it had ended before it was killed');
  return copiesDone();
}

async function killKeepers() {
  query(source.uri, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'hypershift%'");
  await until('no keeper', () => keepers().length === 0);
}

function assertNothingTwice() {
  const rows = query(target.uri, "SELECT state, count(*), count(DISTINCT (table_id, range_key)) FROM _hypershift.task WHERE kind = 'copy' GROUP BY 1");
  assert.equal(rows.length, 1, rows.join());
  assert.equal(rows[0].split('|')[1], rows[0].split('|')[2]);
}

// Promise: Ctrl-C ends cleanly and the same command resumes.
test('SIGINT, then the same command', async () => {
  const running = clone();
  await until('some ranges', () => copiesDone() >= 2);
  running.child.kill('SIGINT');
  const first = await running.done;
  assert.equal(first.code, 130, first.stderr + first.stdout);
  const done = copiesDone();
  assert.equal(value(target.uri, "SELECT count(*) FROM _hypershift.task WHERE state = 'leased'"), '0');
  const second = await clone().done;
  assert.equal(second.code, 0, second.stderr + second.stdout);
  assert.ok(copiesDone() > done);
  assert.deepEqual(fingerprints(target.uri, names), fingerprints(source.uri, names));
  assertNothingTwice();
});

// Promise: a killed run goes on under the same snapshot, while the source is written to.
test('SIGKILL within the keeper\'s grace: the target equals the source as of the snapshot', async () => {
  const asOfSnapshot = fingerprints(source.uri, names);
  const done = await killMidCopy();
  query(source.uri, `INSERT INTO metrics SELECT '2020-02-01'::timestamptz + i * interval '1 minute', 9, i FROM generate_series(0, 5000) i;
    DELETE FROM metrics WHERE value < 1000; UPDATE notes SET t = 'changed';`);
  assert.notDeepEqual(fingerprints(source.uri, names), asOfSnapshot);
  const attemptsBefore = value(target.uri, "SELECT sum(attempt) FROM _hypershift.task WHERE kind = 'copy' AND state = 'done'");
  const second = await clone().done;
  assert.equal(second.code, 0, second.stderr + second.stdout);
  assert.ok(Number(attemptsBefore) >= done);
  assert.deepEqual(fingerprints(target.uri, names), asOfSnapshot);
  assertNothingTwice();
});

// Promise: without a keeper it says so and names the ways on; --source-unchanged takes the operator's word.
test('SIGKILL and no keeper: refused with three ways on, then --source-unchanged', async () => {
  await killMidCopy();
  await killKeepers();
  const refused = await clone().done;
  assert.equal(refused.code, 2, refused.stderr + refused.stdout);
  for (const way of ['--source-unchanged', '--restart-tables', '--allow-inconsistent']) assert.match(refused.stderr, new RegExp(way));
  const unchanged = await clone('--source-unchanged').done;
  assert.equal(unchanged.code, 0, unchanged.stderr + unchanged.stdout);
  assert.deepEqual(fingerprints(target.uri, names), fingerprints(source.uri, names));
  assertNothingTwice();
});

// Promise: --source-unchanged is refused when counters prove a write; --restart-tables begins unfinished tables anew.
test('a written source refuses --source-unchanged and takes --restart-tables', async () => {
  await killMidCopy();
  await killKeepers();
  query(source.uri, 'INSERT INTO metrics SELECT at, 77, value FROM metrics LIMIT 500');
  await sleep(1500); // The statistics come with a delay.
  const refused = await clone('--source-unchanged').done;
  assert.equal(refused.code, 2, refused.stderr + refused.stdout);
  assert.match(refused.stderr, /public\.metrics/);
  const restarted = await clone('--restart-tables').done;
  assert.equal(restarted.code, 0, restarted.stderr + restarted.stdout);
  assert.equal(fingerprint(target.uri, 'metrics'), fingerprint(source.uri, 'metrics'));
  assertNothingTwice();
});

// Promise: an unfinished migration is resumed by its own configuration only.
test('another configuration is refused by name', async () => {
  await killMidCopy();
  const other = writeConfig(place.folder, 'other.yml', 'exclude_tables: [public.notes]\n');
  const refused = await run(['clone', '-s', source.uri, '-t', target.uri, '-c', other, ...times]);
  assert.equal(refused.code, 2, refused.stderr);
  assert.match(refused.stderr, /another configuration/);
  await killKeepers();
});
