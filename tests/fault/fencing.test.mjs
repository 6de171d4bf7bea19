// Whoever was thought dead wakes up: a worker after its lease was given away, a coordinator after its lead was. It can do
// nothing any more, wherever it had stopped.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ask } from './cluster.mjs';
import { exitAtFailpoint, Migration, programs, World } from './support/migration.mjs';
import { sleep, until } from '../integration/support/servers.mjs';

let world;

before(async () => {
  world = await World.start();
  await world.makeReference();
});

after(() => world?.stop());

// A migration that is ended and shown whatever becomes of it.
async function within(name, body) {
  const migration = await Migration.create(world, name);
  try {
    await body(migration);
  } catch (error) {
    for (const { child } of migration.programs) child.kill('SIGKILL');
    await Promise.all(migration.programs.map(({ done }) => done));
    error.message += `\n${migration.story}`;
    throw error;
  } finally {
    await migration.end();
  }
}

const untilFired = (migration, rule) => until(rule, () => migration.fired().includes(rule));

async function taskOf(migration, worker) {
  const rows = await ask(migration.to, `SELECT id, attempt FROM _hypershift.task WHERE worker = '${worker}' AND state = 'leased'`);
  assert.equal(rows.length, 1, `${worker} should run one task: ${rows.join()}`);
  const [id, attempt] = rows[0].split('|').map(Number);
  return { id, attempt };
}

const task = async (migration, id) => {
  const [row] = await ask(migration.to, `SELECT attempt, state, worker, session_pid IS NOT NULL FROM _hypershift.task WHERE id = ${id}`);
  const [attempt, state, worker, isClaimed] = row.split('|');
  return { attempt: Number(attempt), state, worker, isClaimed: isClaimed === 't' };
};

// Sooner than any lock is waited for in vain.
const untilDone = (migration, id) => until('another attempt', async () => (await task(migration, id)).state === 'done', 25);

async function endWell(...programs) {
  for (const program of programs) {
    const { code, signal, stderr } = await program.done;
    assert.equal(code, 0, `${signal ?? code}\n${stderr}`);
  }
}

// A worker that was stopped may have missed the end of the migration: nobody is left to tell it.
async function endSomehow(worker) {
  await Promise.race([worker.done, sleep(5000)]);
  worker.child.kill('SIGTERM');
  assert.equal((await worker.done).code, 0);
}

function workers() {
  const places = [
    'worker.claim[KIND_COPY]', 'worker.copy_end[KIND_COPY]', 'worker.journal_write[KIND_COPY]', 'worker.commit_sent[KIND_COPY]',
    'worker.commit_answered[KIND_COPY]', 'worker.commit_sent[KIND_INDEX]', 'worker.commit_sent[KIND_CONSTRAINT]',
    'worker.commit_sent[KIND_FOREIGN_KEY]', 'worker.commit_sent[KIND_SEQUENCE]', 'worker.commit_sent[KIND_MATERIALIZED_VIEW]',
  ];
  for (const place of places) {
    // Promise: what a worker had not committed when it was stopped is done by another one, once; what it had committed stays
    // its own. Its locks are in nobody's way, and when it comes back it commits nothing.
    test(`a worker stopped at ${place} for longer than its lease`, () => within(place, async (migration) => {
      const rule = `${place}=pause:300ms@${place.includes('COPY') ? 2 : 1}`;
      const coordinator = migration.coordinator([]);
      const stopped = migration.worker('w1', [rule], { slots: 1 });
      await untilFired(migration, rule);
      stopped.child.kill('SIGSTOP');
      const isCommitted = place.includes('commit_answered');
      const mine = isCommitted ? null : await taskOf(migration, 'w1');
      const other = migration.worker('w2', []);
      if (isCommitted) await coordinator.done;
      else await untilDone(migration, mine.id);
      stopped.child.kill('SIGCONT');
      await endWell(coordinator, other);
      await endSomehow(stopped);
      const { stderr } = await stopped.done;
      if (!isCommitted) {
        const { attempt, worker } = await task(migration, mine.id);
        assert.ok(attempt > mine.attempt);
        assert.equal(worker, 'w2');
        assert.match(stderr, new RegExp(`task failed worker=w1 task=${mine.id} attempt=${mine.attempt} `));
      }
      await migration.assertWhole();
    }));
  }

  // Promise: an attempt is stale from the moment that the next one is leased, not only when that one has ended.
  test('a stopped worker wakes up while the next attempt runs', () => within('two attempts', async (migration) => {
    const rule = 'worker.claim[KIND_COPY]=pause:300ms@2';
    const coordinator = migration.coordinator([]);
    const stopped = migration.worker('w1', [rule], { slots: 1 });
    await untilFired(migration, rule);
    stopped.child.kill('SIGSTOP');
    const { id, attempt } = await taskOf(migration, 'w1');
    const other = migration.worker('w2', ['worker.copy_end[KIND_COPY]=pause:5s@1x99'], { slots: 8 });
    await until('the next attempt', async () => {
      const now = await task(migration, id);
      return now.attempt > attempt && now.state === 'leased' && now.isClaimed;
    });
    stopped.child.kill('SIGCONT');
    await endWell(coordinator, stopped, other);
    assert.match((await stopped.done).stderr, new RegExp(`attempt ${attempt} of task ${id} no longer holds the lease`));
    assert.doesNotMatch((await other.done).stderr, /no longer holds the lease/);
    await migration.assertWhole();
  }));

  // Promise: what a worker commits after the coordinator has last looked at the journal, and before it writes that the lease
  // has expired, stays done.
  test('a stopped worker commits while its lease is taken back', () => within('taken back', async (migration) => {
    const rule = 'worker.claim[KIND_COPY]=pause:300ms@2';
    const expiry = 'coordinator.lease_expiry=pause:1ms@1x99';
    const coordinator = migration.coordinator([expiry, 'coordinator.journal_write[turn]=pause:4s@1x8']);
    const stopped = migration.worker('w1', [rule], { slots: 1 });
    await untilFired(migration, rule);
    stopped.child.kill('SIGSTOP');
    const { id, attempt } = await taskOf(migration, 'w1');
    await untilFired(migration, expiry);
    stopped.child.kill('SIGCONT');
    await endWell(coordinator, stopped);
    assert.equal((await task(migration, id)).attempt, attempt, 'the lease had been given away before the worker was back');
    await migration.assertWhole();
  }));
}

const epoch = async (migration) => Number((await ask(migration.to, 'SELECT max(epoch) FROM _hypershift.leader'))[0]);
// Open transactions of coordinators that have the journal's lock.
const writers = (migration) => ask(migration.to, `SELECT a.pid FROM pg_stat_activity a JOIN pg_locks k ON k.pid = a.pid
  WHERE a.datname = current_database() AND a.application_name = 'hypershift coordinator' AND a.state = 'idle in transaction'
    AND k.relation = '_hypershift.leader'::regclass AND k.granted`);
const lives = async (migration, pid) => (await ask(migration.to, `SELECT 1 FROM pg_stat_activity WHERE pid = ${pid}`)).length > 0;

function coordinators() {
  const places = [
    'journal_write[pre_data]', 'commit_sent[hypertables]', 'commit_sent[plan]', 'journal_write[turn]', 'commit_sent[turn]',
    'commit_answered[turn]', 'commit_sent[release]', 'commit_sent[terminate]',
  ].map((place) => `coordinator.${place}`);
  for (const place of places) {
    // Promise: a coordinator that stops in the middle of a write for longer than its lead is replaced by the stand-by at once.
    // Its write is refused, it ends with an error that says why, and its workers go on under the stand-by.
    test(`a coordinator that pauses at ${place} for longer than its lead`, () => within(place, async (migration) => {
      const rule = `${place}=pause:8s${place.includes('turn') ? '@4' : ''}`;
      const standbyAddress = `${migration.address}b`;
      // Something must have expired before sessions are terminated.
      const dies = place.includes('terminate');
      const leader = migration.coordinator([rule]);
      const standby = migration.coordinator([], { address: standbyAddress, more: ['--standby'] });
      const coordinators = [migration.address, standbyAddress];
      const worker = migration.worker('w1', dies ? ['worker.copy_end[KIND_COPY]=exit'] : ['worker.copy_end[KIND_COPY]=pause:300ms@1x99'], { coordinators });
      const keeper = migration.worker('w2', [], { coordinators, slots: dies ? 2 : 0 });
      await untilFired(migration, rule);
      const [writer] = await writers(migration);
      assert.equal(writer !== undefined, place.includes('commit_sent'), 'whether the paused write holds the lock');
      const paused = Date.now();
      await until('the stand-by leads', async () => (await epoch(migration)) === 2);
      assert.ok(Date.now() - paused < 7000, 'the stand-by waited for the pause to end');
      if (writer) assert.equal(await lives(migration, writer), false, 'a deposed leader may still commit');
      const { code, stderr } = await leader.done;
      assert.ok(code !== 0, 'a deposed leader ended well');
      assert.match(stderr, /another coordinator has taken the lead/);
      await endWell(standby, keeper);
      if (dies) assert.equal((await worker.done).code, exitAtFailpoint);
      else await endWell(worker);
      assert.equal(await epoch(migration), 2);
      await migration.assertWhole();
    }));
  }

  // Promise: a worker that was stopped in its COMMIT, and holds the row of its task, is in no successor's way.
  test('a coordinator dies while a worker is stopped in its COMMIT', () => within('dies', async (migration) => {
    const rule = 'worker.commit_sent[KIND_COPY]=pause:300ms@2';
    const coordinators = [migration.address, `${migration.address}b`];
    const leader = migration.coordinator([]);
    const standby = migration.coordinator([], { address: coordinators[1], more: ['--standby'] });
    const stopped = migration.worker('w1', [rule], { coordinators, slots: 1 });
    await untilFired(migration, rule);
    stopped.child.kill('SIGSTOP');
    const { id } = await taskOf(migration, 'w1');
    leader.child.kill('SIGKILL');
    const other = migration.worker('w2', [], { coordinators });
    await until('the stand-by leads', async () => (await epoch(migration)) === 2, 15);
    await untilDone(migration, id);
    stopped.child.kill('SIGCONT');
    await endWell(standby, other);
    await endSomehow(stopped);
    await migration.assertWhole();
  }));

  // Promise: whoever waits for the lead goes on from where the last leader has come to, not from where it was when the waiting
  // began.
  test('a coordinator that waits while the leader plans and copies', () => within('waiting', async (migration) => {
    const planning = 'coordinator.commit_sent[plan]=pause:5s';
    const end = 'coordinator.commit_answered[turn]=exit@8';
    // How long the leader may pause, and how long the other one waits for it.
    const leading = (time, address, rules) => migration.start(programs.coordinator,
      migration.coordinatorArguments(address).map((word, i, words) => (words[i - 1] === '--leader-lease' ? time : word)), rules);
    const addresses = [migration.address, `${migration.address}b`];
    const leader = leading('9s', addresses[0], [planning, end]);
    const worker = migration.worker('w1', ['worker.claim[KIND_VERIFY]=pause:2s@1x99'], { coordinators: addresses, slots: 3 });
    await untilFired(migration, planning);
    const waiting = leading('20s', addresses[1], []);
    let said = '';
    waiting.child.stderr.on('data', (text) => (said += text));
    await until('it waits', () => said.includes('migration resumes'));
    assert.equal((await leader.done).code, exitAtFailpoint);
    assert.notEqual((await ask(migration.to, "SELECT count(*) FROM _hypershift.task WHERE kind = 'copy' AND state = 'done'"))[0], '0');
    await endWell(waiting, worker);
    await migration.assertWhole();
  }));
}

describe('fencing', { concurrency: Number(process.env.HYPERSHIFT_FAULT_JOBS ?? 6) }, () => {
  workers();
  coordinators();
});
