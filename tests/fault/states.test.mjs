// What the storms compare with when somebody writes to the source: the state that a snapshot saw, and whether each table shows
// one such state as a whole.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { fingerprints, tables } from '../integration/support/oracle.mjs';
import { psql, query, temporaryFolder } from '../integration/support/servers.mjs';
import { ask, Cluster, execute } from './cluster.mjs';
import { makeStormDatabase, nextChangeSql } from './database.mjs';
import { stateProblems } from './states.mjs';
import { changesSeen, makeStateAfter } from './writer.mjs';

const place = temporaryFolder();
let cluster;
let template;
let source;
let target;
let states;

async function change(times) {
  for (let i = 0; i < times; ++i) await ask(source, nextChangeSql);
}
const snapshotNow = async () => (await ask(source, 'SELECT pg_current_snapshot()'))[0];

async function stateOf(snapshot, name) {
  const changes = await changesSeen(source, snapshot);
  const uri = await makeStateAfter(cluster, template, changes, name);
  return { snapshot, changes, uri, rows: fingerprints(uri) };
}

before(async () => {
  cluster = await Cluster.start(join(place.folder, 's'));
  template = await cluster.makeDatabase('storm_template');
  makeStormDatabase(template, { megabytes: 2.5 });
  source = await cluster.makeDatabase('source', 'storm_template');
  await change(3);
  const first = await snapshotNow();
  await change(4);
  const second = await snapshotNow();
  states = [await stateOf(first, 'first'), await stateOf(second, 'second')];
  // The last state, moved without a fault. Only its rows are looked at, not its journal.
  target = await cluster.makeDatabase('target', 'second');
  query(target, `CREATE SCHEMA _hypershift; CREATE TABLE _hypershift.migration AS SELECT 'done' AS phase, '${second}' AS snapshot;
    CREATE TABLE _hypershift.source_table (migration_id text, id int, schema_name text, table_name text, plan text);
    CREATE TABLE _hypershift.task (migration_id text, table_id int, kind text, state text, range_key text, rows bigint)`);
});

after(async () => {
  await cluster?.stop();
  place.remove();
});

const problems = (losses = []) => stateProblems({ losses, kept: false, plan: { mayLose: true } }, states, target, { schema: true })
  .filter((problem) => !problem.startsWith('journal: '));

async function showEventsOf(state) {
  const rows = query(state.uri, 'COPY events TO STDOUT');
  query(target, 'TRUNCATE events');
  await execute(psql, ['-X', '-q', '-d', target, '-c', 'COPY events FROM STDIN'], { input: `${rows.join('\n')}\n` });
}

// Promise: the same changes made again are the state that the source had.
test('a state is what the source held', () => {
  assert.deepEqual(states.map((state) => state.changes), [3, 7]);
  assert.deepEqual(states[1].rows, fingerprints(source, tables(source)));
  assert.notDeepEqual(states[0].rows, states[1].rows);
});

// Promise: a change that had not committed when the snapshot was taken is not seen by it, whatever happens afterwards.
test('a change that is under way is not seen', async () => {
  const slow = ask(source, `BEGIN; ${nextChangeSql}; SELECT pg_sleep(2); COMMIT`);
  let running = [];
  while (running.length === 0) running = await ask(source, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
  const snapshot = await snapshotNow();
  await slow;
  assert.equal(await changesSeen(source, snapshot), 7);
  assert.equal(await changesSeen(source, await snapshotNow()), 8);
});

// Promise: a table may show an earlier moment only as a whole, and only where its ranges had all been copied when the snapshot was
// lost or could be since; what mixes two moments is found.
test('one moment for each table', async () => {
  assert.deepEqual(problems(), []);
  const doneAtFirst = [{ snapshot: states[0].snapshot, done: ['public.events'] }];
  await showEventsOf(states[0]);
  assert.deepEqual(problems(doneAtFirst), []);
  query(target, "DELETE FROM events WHERE payload = 'change 2'");
  assert.match(problems(doneAtFirst).join(), /public\.events: only on the source 20 rows/);
  assert.match(problems().join(), /public\.events: /);
  await showEventsOf(states[1]);
  assert.match(problems(doneAtFirst).join(), /public\.events: /);
  assert.deepEqual(problems(), []);
});
