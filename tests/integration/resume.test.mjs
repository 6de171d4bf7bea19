// Interrupt and repeat: nothing is lost or copied twice, under the same snapshot while a keeper lives.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { dirname, join } from 'node:path';
import { differences, fingerprint, fingerprints } from './support/oracle.mjs';
import {
  emptyTarget, keepersOf, makeDatabase, program, query, run, sleep, start, startPair, temporaryFolder, until, value, writeConfig,
} from './support/servers.mjs';

const place = temporaryFolder();
let source;
let target;
let template;
let from;
let to;
let config;
const times = ['--lease-duration', '3s', '--leader-lease', '2s', '--keeper-grace', '60s', '--keeper-wait', '8s', '--parallel', '2', '--hide-progress'];
const names = ['metrics', 'notes'];
const ways = ['--source-unchanged', '--restart-tables', '--allow-inconsistent'];

before(async () => {
  ({ source, target } = await startPair(place.folder));
  template = makeDatabase(source.uri);
  query(template, `
    CREATE TABLE metrics (at timestamptz NOT NULL, device int NOT NULL, value double precision);
    INSERT INTO metrics SELECT '2020-01-01'::timestamptz + i * interval '1 minute', i % 5, i FROM generate_series(0, 45000) i;
    CREATE INDEX ON metrics (at);
    CREATE TABLE notes (id int PRIMARY KEY, t text); INSERT INTO notes SELECT i, 'n' || i FROM generate_series(1, 2000) i; ANALYZE`);
  config = writeConfig(place.folder, 'resume.yml', `
hypertable_configs:
  - {schema: public, name: metrics, time_column_name: at, chunk_time_interval: 1d,
     compress: {segmentby: [device], orderby: [at desc]}}
`);
});

beforeEach(() => {
  from = makeDatabase(source.uri, new URL(template).pathname.slice(1));
  to = emptyTarget(target);
});

afterEach(() => killKeepers());

after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

const command = (more) => ['clone', '-s', from, '-t', to, '-c', config, ...times, ...more];
const clone = (more = []) => start(command(more));
// The same program with a pause at the end of each copy: the whole takes three seconds otherwise, and is over before it is
// interrupted.
const slowClone = (options = {}) => start(command([]), { HYPERSHIFT_FAILPOINTS: 'worker.copy_end[KIND_COPY]=pause:400ms@1x999' },
  { program: join(dirname(program), 'tests/fault/hypershift-fault'), ...options });

function copies(condition) {
  try {
    return Number(value(to, `SELECT count(*) FROM _hypershift.task WHERE kind = 'copy' AND ${condition}`));
  } catch {
    return 0; // There is no journal yet.
  }
}
const copiesDone = () => copies("state = 'done'");

const sessions = () => query(source.uri, `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'hypershift%'
  AND datname = '${new URL(from).pathname.slice(1)}' AND state = 'idle in transaction'`);

// Until so many ranges are done, and the keeper process has imported the snapshot too: the coordinator, the worker, the keeper.
async function untilCopying(running, ranges) {
  const began = Date.now();
  let seen = '';
  try {
    // The keeper first: the target answers late while it is busy, and the copies go on meanwhile.
    await until('a keeper', () => sessions().length >= 3);
    seen += `a keeper after ${Date.now() - began} ms`;
    await until('some ranges', () => copiesDone() >= ranges);
  } catch (error) {
    const { exitCode } = running.child;
    running.child.kill('SIGKILL');
    const { stdout, stderr } = await running.done;
    error.message += `; ${seen}; it had ${exitCode === null ? 'not ended' : `ended with ${exitCode}`}\n${stderr}${stdout}`;
    throw error;
  }
}

async function startAndWaitForCopies() {
  const running = slowClone();
  await untilCopying(running, 3);
  return running;
}

async function killMidCopy() {
  const running = await startAndWaitForCopies();
  running.child.kill('SIGKILL');
  const ended = await running.done;
  assert.equal(ended.signal, 'SIGKILL', 'it had ended before it was killed');
  assert.ok(copies("state <> 'done'") > 0, 'everything had been copied before it was killed');
  return running.pid;
}

async function killMidCopyWithKeeper() {
  const pid = await killMidCopy();
  const keepers = keepersOf(pid);
  assert.equal(keepers.length, 1);
  process.kill(keepers[0], 'SIGKILL');
  await until('no keeper', () => sessions().length === 0);
}

async function killKeepers() {
  query(source.uri, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'hypershift%'`);
  await until('no keeper', () => sessions().length === 0);
}

async function endsWell(running) {
  const result = await running.done;
  assert.equal(result.code, 0, result.stderr + result.stdout);
  return result;
}

function assertNothingTwice() {
  const rows = query(to, "SELECT state, count(*), count(DISTINCT (table_id, range_key)), sum(rows) FROM _hypershift.task WHERE kind = 'copy' GROUP BY 1");
  assert.equal(rows.length, 1, rows.join());
  const [state, count, distinct, copied] = rows[0].split('|');
  assert.equal(state, 'done');
  assert.equal(count, distinct);
  assert.equal(copied, value(to, 'SELECT (SELECT count(*) FROM metrics) + (SELECT count(*) FROM notes)'));
}

function assertCompressed() {
  const statuses = query(to, "SELECT DISTINCT k.status FROM _timescaledb_catalog.chunk k JOIN _timescaledb_catalog.hypertable h ON h.id = k.hypertable_id WHERE h.table_name = 'metrics'");
  assert.deepEqual(statuses, ['1']);
}

// Promise: Ctrl-C (which reaches every process in the terminal) ends cleanly, and the same command resumes.
test('SIGINT to the process group, then the same command', async () => {
  const running = slowClone({ detached: true });
  await untilCopying(running, 2);
  process.kill(-running.pid, 'SIGINT');
  const first = await running.done;
  assert.equal(first.code, 130, first.stderr + first.stdout);
  const done = copiesDone();
  assert.equal(value(to, "SELECT count(*) FROM _hypershift.task WHERE state = 'leased'"), '0');
  query(from, 'DELETE FROM metrics WHERE device = 1');
  const resumed = await endsWell(clone());
  assert.match(resumed.stderr, /the snapshot lives on/);
  assert.ok(copiesDone() > done);
  assert.deepEqual(fingerprints(to, names), fingerprints(template, names));
  assertNothingTwice();
  assertCompressed();
});

// Promise: the second Ctrl-C ends at once, and everything is still resumable.
test('SIGINT twice, then the same command', async () => {
  const running = await startAndWaitForCopies();
  running.child.kill('SIGINT');
  await sleep(50);
  running.child.kill('SIGINT');
  const started = Date.now();
  const first = await running.done;
  assert.equal(first.code, 130, first.stderr + first.stdout);
  assert.ok(Date.now() - started < 15000);
  await endsWell(clone());
  assert.equal(differences(from, to, names), '');
  assertNothingTwice();
});

// Promise: a killed run goes on under the same snapshot, while the source is written to.
test('SIGKILL within the keeper\'s grace: the target equals the source as of the snapshot', async () => {
  await killMidCopy();
  query(from, `INSERT INTO metrics SELECT '2020-02-01'::timestamptz + i * interval '1 minute', 9, i FROM generate_series(0, 5000) i;
    DELETE FROM metrics WHERE value < 1000; UPDATE notes SET t = 'changed'`);
  await endsWell(clone());
  assert.deepEqual(fingerprints(to, names), fingerprints(template, names));
  assert.notDeepEqual(fingerprints(from, names), fingerprints(template, names));
  assertNothingTwice();
  assertCompressed();
});

// Promise: without a keeper the operator may vouch for the source.
test('SIGKILL and no keeper: --source-unchanged goes on', async () => {
  await killMidCopyWithKeeper();
  await endsWell(clone(['--source-unchanged']));
  assert.equal(differences(from, to, names), '');
  assertNothingTwice();
  assertCompressed();
});

// Promise: without a keeper it names the ways on, and changes nothing. --source-unchanged is refused when counters prove a
// write; --restart-tables begins unfinished tables anew, so that each is consistent in itself.
test('SIGKILL and no keeper: three ways on; a written source refuses the first and takes --restart-tables', async () => {
  await killMidCopyWithKeeper();
  const before = copiesDone();
  query(from, "INSERT INTO metrics SELECT at, 77, value FROM metrics LIMIT 500; UPDATE notes SET t = 'changed'");
  const table = "SELECT id FROM _hypershift.source_table WHERE table_name = 'notes'";
  const notesWereDone = copies(`state = 'done' AND table_id = (${table})`) > 0;
  const undecided = await clone().done;
  assert.equal(undecided.code, 2, undecided.stderr + undecided.stdout);
  for (const way of ways) assert.ok(undecided.stderr.includes(way), undecided.stderr);
  const refused = await clone(['--source-unchanged']).done;
  assert.equal(refused.code, 2, refused.stderr + refused.stdout);
  assert.match(refused.stderr, /public\.(metrics|notes)/);
  assert.equal(copiesDone(), before);
  await endsWell(clone(['--restart-tables']));
  assert.equal(fingerprint(to, 'metrics'), fingerprint(from, 'metrics'));
  assert.equal(fingerprint(to, 'notes'), fingerprint(notesWereDone ? template : from, 'notes'));
  assertNothingTwice();
  assertCompressed();
});

// Promise: --allow-inconsistent goes on all the same, and the summary says what that means.
test('--allow-inconsistent goes on and warns', async () => {
  await killMidCopyWithKeeper();
  query(from, 'DELETE FROM metrics WHERE device = 1');
  const done = await endsWell(clone(['--allow-inconsistent']));
  assert.match(done.stdout.replace(/\s+/g, ' '), /mix two moments/);
});

// Promise: wherever it is killed, the same command goes on.
test('killed four times at any moment', async () => {
  for (const delay of [200, 600, 1000, 1500]) {
    const running = clone();
    await Promise.race([running.done, sleep(delay)]);
    running.child.kill('SIGKILL');
    const ended = await running.done;
    assert.ok([null, 0, 2].includes(ended.code), ended.stderr + ended.stdout);
  }
  let last = await clone().done;
  // The keeper was killed before it had the snapshot.
  if (last.code === 2 && last.stderr.includes('--source-unchanged')) last = await clone(['--source-unchanged']).done;
  // It may have been done before the last kill.
  if (!last.stderr.includes('exist there already')) assert.equal(last.code, 0, last.stderr + last.stdout);
  assert.equal(differences(from, to, names), '');
  assertNothingTwice();
  assertCompressed();
});

// Promise: an unfinished migration is resumed by its own configuration, source and target only.
test('another configuration or source is refused by name, and cleanup gives the migration up', async () => {
  await killMidCopy();
  const other = writeConfig(place.folder, 'other.yml', 'exclude_tables: [public.notes]\n');
  const refused = await run(['clone', '-s', from, '-t', to, '-c', other, ...times]);
  assert.equal(refused.code, 2, refused.stderr);
  assert.match(refused.stderr, /another configuration.*cleanup/s);
  const elsewhere = await run(['clone', '-s', template, '-t', to, '-c', config, ...times]);
  assert.equal(elsewhere.code, 2, elsewhere.stderr);
  assert.match(elsewhere.stderr, /another database/);
  await sleep(2500); // Until the killed leader's lease is over.
  const given = await run(['cleanup', '-t', to]);
  assert.equal(given.code, 0, given.stderr);
  assert.equal(value(to, "SELECT count(*) FROM pg_namespace WHERE nspname = '_hypershift'"), '0');
});
