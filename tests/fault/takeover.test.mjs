// The coordinator dies or is stopped, and another one goes on: with the same snapshot and with the same workers.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { ask } from './cluster.mjs';
import { findProblems } from './oracle.mjs';
import { FaultProxy } from './proxy.mjs';
import { largeTable, Scene, smallTable } from './support/scene.mjs';
import { query, sleep, until, value } from '../integration/support/servers.mjs';

let scene;
before(async () => {
  scene = await Scene.start();
});
after(() => scene?.stop());

const schema = largeTable('big') + smallTable('small');

// The workers' way to the target is slow, so that much is still to be copied when something happens.
async function begin(t, rate, { durations } = {}) {
  const move = scene.move(schema);
  const proxy = await FaultProxy.start({ port: scene.target.port }, { rate });
  const to = move.to.replace(`:${scene.target.port}/`, `:${proxy.port}/`);
  t.after(async () => {
    move.end();
    await proxy.stop();
  });
  const leader = move.coordinator({ durations });
  const coordinators = [move.address('a'), move.address('b')];
  const workers = ['w1', 'w2'].map((name) => move.worker({ name, coordinators, to }));
  await until('a range', async () => await move.count("kind = 'copy' AND state = 'done'") > 0, 180);
  const standby = move.coordinator({ name: 'b', more: ['--standby'], durations });
  await until('copies that run', async () => await move.count("kind = 'copy' AND state = 'leased'") > 1);
  return { move, proxy, leader, standby, workers };
}

const holder = async (move) => (await ask(move.to, 'SELECT address FROM _hypershift.leader WHERE expires_at > clock_timestamp()'))[0];
const snapshot = async (move) => (await ask(move.to, 'SELECT snapshot FROM _hypershift.migration'))[0];
const writeToBig = (move) => query(move.from, `INSERT INTO big SELECT -i, 'later' FROM generate_series(1, 500) i;
  DELETE FROM big WHERE id % 3 = 0`);
const writeToSource = (move) => {
  writeToBig(move);
  query(move.from, "UPDATE small SET t = 'changed'");
};

// Promise: kill -9 of the leader in mid-copy. The stand-by leads within 15 s, keeps the snapshot while the source is written
// to, keeps the workers and what they run, and the target equals the source as of the snapshot.
test('a stand-by takes over from a killed leader', async (t) => {
  const { move, proxy, leader, standby, workers } = await begin(t, 2e6);
  const before = await snapshot(move);
  const attempts = await move.count("kind = 'copy' AND attempt > 1");
  leader.child.kill('SIGKILL');
  const killed = Date.now();
  writeToSource(move);
  assert.ok(await move.count("kind = 'copy' AND state <> 'done'") > 0, 'everything had been copied before it was killed');
  await until('a new leader', async () => await holder(move) === move.address('b'), 15);
  assert.ok(Date.now() - killed < 15000);
  proxy.rate = 0;
  await move.endsWell(standby, ...workers);
  assert.equal(await snapshot(move), before);
  assert.equal(await move.count("kind = 'copy' AND attempt > 1"), attempts, 'what the workers ran was given away');
  move.assertWhole();
});

// Promise: a leader that was stopped and comes back after its lead was taken can do nothing: it ends and says why, its
// workers have moved on, and the migration is whole.
test('a deposed leader that wakes up can do nothing', async (t) => {
  const { move, proxy, leader, standby, workers } = await begin(t, 2e6);
  leader.child.kill('SIGSTOP');
  await until('a new leader', async () => await holder(move) === move.address('b'), 15);
  const epoch = value(move.to, 'SELECT epoch FROM _hypershift.leader');
  leader.child.kill('SIGCONT');
  const { code, stderr } = await leader.done;
  assert.notEqual(code, 0);
  assert.match(stderr, /another coordinator has taken the lead/);
  assert.equal(value(move.to, 'SELECT epoch FROM _hypershift.leader'), epoch);
  assert.equal(await holder(move), move.address('b'));
  proxy.rate = 0;
  await move.endsWell(standby, ...workers);
  move.assertWhole();
});

// Promise: a worker that was stopped while its coordinator died, and comes back when the unfinished tables have been started
// again under a new snapshot, is in nobody's way until then, and copies under the new one: tables don't mix two moments.
test('a worker that comes back with the snapshot of before copies under the new one', async (t) => {
  // Nothing else: a table that is finished before the leader dies keeps its moment.
  const move = scene.move(largeTable('big'));
  const proxy = await FaultProxy.start({ port: scene.target.port }, { rate: 2e6 });
  t.after(async () => {
    move.end();
    await proxy.stop();
  });
  const leader = move.coordinator();
  const worker = move.worker({ to: move.to.replace(`:${scene.target.port}/`, `:${proxy.port}/`) });
  await until('a range', async () => await move.count("kind = 'copy' AND state = 'done'") > 0);
  await until('copies that run', async () => await move.count("kind = 'copy' AND state = 'leased' AND session_pid IS NOT NULL") > 0);
  worker.child.kill('SIGSTOP');
  leader.child.kill('SIGKILL');
  await leader.done;
  const before = await snapshot(move);
  writeToBig(move);
  const second = move.coordinator({ more: ['--restart-tables'] });
  await until('a new snapshot', async () => await snapshot(move) !== before);
  worker.child.kill('SIGCONT');
  proxy.rate = 0;
  await move.endsWell(second, worker);
  assert.deepEqual(findProblems(move.from, move.to), []);
});

// Promise: a successor gives the workers one more lease's time before it takes anything back: one of them is not there before all
// leases of the dead leader are over, and keeps what it runs.
test('a worker that is late for a successor keeps its ranges', async (t) => {
  const seconds = 4;
  const durations = ['--lease-duration', `${seconds}s`, '--leader-lease', `${seconds}s`, '--keeper-wait', '20s'];
  const { move, proxy, leader, standby, workers } = await begin(t, 1e6, { durations });
  const held = () => ask(move.to, "SELECT id, attempt FROM _hypershift.task WHERE kind = 'copy' AND worker = 'w2' AND state = 'leased' ORDER BY id");
  const before = await held();
  assert.ok(before.length > 0);
  workers[1].child.kill('SIGSTOP');
  leader.child.kill('SIGKILL');
  const killed = Date.now();
  await until('a new leader', async () => await holder(move) === move.address('b'), 15);
  const led = Date.now();
  await until('the leases of before are over', () => Date.now() - killed > (seconds + 0.5) * 1000);
  await until('the other one works on', async () => (await ask(move.to, "SELECT 1 FROM _hypershift.task WHERE worker = 'w1' AND state = 'leased' AND lease_expires_at > clock_timestamp()")).length > 0);
  assert.ok(Date.now() - led < (seconds - 1) * 1000, 'this machine is too slow to tell');
  assert.deepEqual(await held(), before);
  workers[1].child.kill('SIGCONT');
  await sleep(seconds * 1000);
  const kept = await ask(move.to, `SELECT id, attempt FROM _hypershift.task WHERE id IN (${before.map((line) => line.split('|')[0])}) ORDER BY id`);
  assert.deepEqual(kept, before);
  proxy.rate = 0;
  await move.endsWell(standby, ...workers);
  move.assertWhole();
});

// Promise: a stand-by that is not needed ends with the migration; so does one that never saw a migration and is stopped.
test('a stand-by ends with the migration', async (t) => {
  const { move, proxy, leader, standby, workers } = await begin(t, 2e6);
  proxy.rate = 0;
  await move.endsWell(leader, standby, ...workers);
  move.assertWhole();
  const idle = scene.move(smallTable('small'));
  t.after(() => idle.end());
  const waiting = idle.coordinator({ more: ['--standby'] });
  await idle.untilStatus('it stands by', ({ migration }) => /stands by: no migration has begun/.test(migration.statusLine));
  waiting.child.kill('SIGTERM');
  assert.equal((await waiting.done).code, 130);
});

// Promise: a keeper that nobody has told of the end learns of it from the journal and lets the snapshot go, even if there was no
// migration yet when it registered.
test('a keeper that nobody tells of the end finds it in the journal', async (t) => {
  const move = scene.move(schema);
  const proxies = { source: await FaultProxy.start({ port: scene.source.port }), target: await FaultProxy.start({ port: scene.target.port }, { rate: 2e6 }) };
  const through = (uri, name) => uri.replace(`:${scene[name].port}/`, `:${proxies[name].port}/`);
  t.after(async () => {
    move.end();
    await Promise.all(Object.values(proxies).map((proxy) => proxy.stop()));
  });
  proxies.source.silence({ milliseconds: 4000 });
  const leader = move.coordinator({ from: through(move.from, 'source') });
  const keeper = move.worker({ name: 'keeper', slots: 0 });
  const worker = move.worker({ to: through(move.to, 'target') });
  let said = '';
  keeper.child.stderr.on('data', (chunk) => (said += chunk));
  await until('the keeper is registered', () => said.includes('registered'));
  assert.deepEqual(await ask(move.to, 'SELECT id FROM _hypershift.migration').catch(() => []), [], 'there is a migration already');
  await move.untilStatus('the keeper holds the snapshot', ({ workers }) => workers.some((one) => one.name === 'keeper' && one.holdsSnapshot));
  await until('a range', async () => await move.count("kind = 'copy' AND state = 'done'") > 0, 180);
  keeper.child.kill('SIGSTOP');
  leader.child.kill('SIGKILL');
  await leader.done;
  proxies.target.rate = 0;
  await move.endsWell(move.coordinator(), worker);
  let ended = null;
  keeper.done.then((end) => (ended = end));
  keeper.child.kill('SIGCONT');
  await until('the keeper ends', () => ended !== null, 30);
  assert.equal(ended.code, 0, ended.stderr);
  move.assertWhole();
});

// Promise: a coordinator that can't begin, since another one leads, sends nobody home and keeps nobody waiting: its workers find
// the leader.
test('a second coordinator that is refused leaves its workers to the leader', async (t) => {
  const move = scene.move(schema);
  const proxy = await FaultProxy.start({ port: scene.target.port }, { rate: 2e6 });
  const to = move.to.replace(`:${scene.target.port}/`, `:${proxy.port}/`);
  t.after(async () => {
    move.end();
    await proxy.stop();
  });
  const leader = move.coordinator();
  const worker = move.worker({ to });
  await until('a range', async () => await move.count("kind = 'copy' AND state = 'done'") > 0, 180);
  const second = move.coordinator({ name: 'b' });
  await until('its socket', () => existsSync(move.address('b').slice('unix:'.length)));
  const strayed = [0, 2].map((slots) => move.worker({ name: `strayed-${slots}`, slots, coordinators: [move.address('b')] }));
  const registered = () => ask(move.to, "SELECT 1 FROM _hypershift.worker WHERE name LIKE 'strayed%'");
  await until('the strayed workers at the leader', async () => (await registered()).length === 2);
  const refused = await second.done;
  assert.equal(refused.code, 2, refused.stderr);
  assert.equal(await holder(move), move.address('a'));
  proxy.rate = 0;
  await move.endsWell(leader, worker, ...strayed);
  move.assertWhole();
});

// Promise: a stand-by leaves a leader alone that takes longer than a lease for one thing: a dump from far away, a transaction
// that restores the schema. Both are longer here than the lead lasts, and the stand-by would take as long.
test('a leader that takes long to begin keeps the lead', async (t) => {
  const move = scene.move(`${schema} CREATE VIEW slowly AS SELECT 1 AS n;`);
  query(move.to, `CREATE SCHEMA meddling; CREATE FUNCTION meddling.wait() RETURNS event_trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(5); END'; CREATE EVENT TRIGGER wait ON ddl_command_end WHEN TAG IN ('CREATE VIEW')
    EXECUTE FUNCTION meddling.wait()`);
  const proxy = await FaultProxy.start({ port: scene.source.port }, { delay: 40 });
  t.after(async () => {
    move.end();
    await proxy.stop();
  });
  const from = move.from.replace(`:${scene.source.port}/`, `:${proxy.port}/`);
  const leader = move.coordinator({ from });
  await until('a lead', async () => (await ask(move.to, "SELECT to_regclass('_hypershift.leader') IS NOT NULL"))[0] === 't');
  const standby = move.coordinator({ name: 'b', from, more: ['--standby'] });
  const worker = move.worker();
  await until('a range', async () => await move.count("kind = 'copy' AND state = 'done'") > 0);
  proxy.delay = 0;
  await move.endsWell(leader, standby, worker);
  assert.equal(value(move.to, 'SELECT epoch FROM _hypershift.leader'), '1');
  move.assertWhole();
});

// Promise: a worker that was sent home, and that still has to end what it runs, stays when the same command goes on meanwhile.
test('a worker that was on its way home stays for the next coordinator', async (t) => {
  const move = scene.move(schema);
  const proxy = await FaultProxy.start({ port: scene.target.port }, { rate: 2e6 });
  t.after(async () => {
    move.end();
    await proxy.stop();
  });
  const first = move.coordinator();
  // Of one slot, so that it has nothing to do between two ranges.
  const worker = move.worker({ slots: 1, to: move.to.replace(`:${scene.target.port}/`, `:${proxy.port}/`) });
  await until('a range', async () => await move.count("kind = 'copy' AND state = 'done'") > 0, 180);
  await until('copies that run', async () => await move.count("kind = 'copy' AND state = 'leased' AND session_pid IS NOT NULL") > 0);
  proxy.silence({ milliseconds: 20_000 });  // What it breaks off can't end.
  first.child.kill('SIGINT');
  await sleep(100);
  first.child.kill('SIGINT');
  assert.equal((await first.done).code, 130);
  assert.equal(worker.child.exitCode, null);
  const second = move.coordinator();
  await move.untilStatus('the worker there', ({ workers }) => workers.length > 0);
  proxy.rate = 0;
  await move.endsWell(second, worker);
  move.assertWhole();
});
