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
      const rule = `${place}=pause:2s@${place.includes('COPY') ? 2 : 1}`;
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
    const rule = 'worker.claim[KIND_COPY]=pause:2s@2';
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
}

const epoch = async (migration) => Number((await ask(migration.to, 'SELECT max(epoch) FROM _hypershift.leader'))[0]);
// Open transactions of coordinators that have the journal's lock.
const writers = (migration) => ask(migration.to, `SELECT a.pid FROM pg_stat_activity a JOIN pg_locks k ON k.pid = a.pid
  WHERE a.datname = current_database() AND a.application_name = 'hypershift coordinator' AND a.state = 'idle in transaction'
    AND k.relation = '_hypershift.leader'::regclass AND k.granted`);
const lives = async (migration, pid) => (await ask(migration.to, `SELECT 1 FROM pg_stat_activity WHERE pid = ${pid}`)).length > 0;

// A coordinator whose lead lasts so long.
const leading = (migration, time, { address = migration.address, rules = [], more = [] } = {}) => migration.start(programs.coordinator,
  [...migration.coordinatorArguments(address).map((word, i, words) => (words[i - 1] === '--leader-lease' ? time : word)), ...more], rules);

async function startKeeper(migration, coordinators) {
  const keeper = migration.worker('keeper', [], { coordinators, slots: 0 });
  let said = '';
  keeper.child.stderr.on('data', (text) => (said += text));
  await until('the keeper', () => said.includes('snapshot held'));
  return keeper;
}

// Whoever leads now had the lead taken from another one.
const untilDeposed = (migration, seconds) => until('the stand-by leads', async () => (await epoch(migration)) === 2, seconds);

function coordinators() {
  // While ranges run, a coordinator whose run loop does not go on is deposed, though it still answers calls. In its setup it is
  // deposed when the process is stopped.
  const places = [
    ...['journal_write[pre_data]', 'commit_sent[hypertables]', 'commit_sent[plan]'].map((place) => ({ place, stopped: true })),
    ...['journal_write[turn]', 'commit_sent[turn]', 'commit_answered[turn]', 'commit_sent[release]', 'commit_sent[terminate]'].map((place) => ({ place })),
  ];
  for (const { place, stopped } of places) {
    // Promise: a coordinator that stops in the middle of a write for longer than its lead is replaced by the stand-by at once.
    // Its write is refused, it ends with an error that says why, and its workers go on under the stand-by.
    test(`a coordinator that ${stopped ? 'is stopped' : 'pauses'} at ${place} for longer than its lead`, () => within(place, async (migration) => {
      const rule = `coordinator.${place}=pause:${stopped ? '2s' : '12s'}${place.includes('turn') ? '@4' : ''}`;
      const addresses = [migration.address, `${migration.address}b`];
      const leader = leading(migration, '3s', { rules: [rule] });
      // In the setup nothing is to be kept yet.
      const keeper = stopped ? null : startKeeper(migration, addresses);
      // Something must have expired before sessions are terminated.
      const dies = place.includes('terminate');
      const worker = migration.worker('w1', dies ? ['worker.copy_end[KIND_COPY]=exit'] : ['worker.copy_end[KIND_COPY]=pause:300ms@1x99'], { coordinators: addresses });
      await untilFired(migration, rule);
      if (stopped) leader.child.kill('SIGSTOP');
      const [writer] = await writers(migration);
      assert.equal(writer !== undefined, place.includes('commit_sent'), 'whether the write that stopped holds the lock');
      const paused = Date.now();
      const standby = leading(migration, '3s', { address: addresses[1], more: ['--standby'] });
      const other = dies ? migration.worker('w2', [], { coordinators: addresses }) : worker;
      await untilDeposed(migration, 30);
      assert.ok(stopped || Date.now() - paused < 11_000, 'the stand-by waited for the pause to end');
      if (writer) assert.equal(await lives(migration, writer), false, 'a deposed leader may still commit');
      if (stopped) leader.child.kill('SIGCONT');
      const { code, stderr } = await leader.done;
      assert.ok(code !== 0, 'a deposed leader ended well');
      assert.match(stderr, /another coordinator has taken the lead/);
      await endWell(standby, other, ...(keeper ? [await keeper] : []));
      if (dies) assert.equal((await worker.done).code, exitAtFailpoint);
      assert.equal(await epoch(migration), 2);
      await migration.assertWhole();
    }));
  }

  for (const place of ['journal_write[archive]', 'journal_write[pre_data]', 'journal_write[plan]']) {
    // Promise: a setup may take longer than a lead lasts. The coordinator lives, so no stand-by takes its lead.
    test(`a coordinator that takes its time at ${place}`, () => within(place, async (migration) => {
      const rule = `coordinator.${place}=pause:7s`;
      const addresses = [migration.address, `${migration.address}b`];
      const leader = leading(migration, '3s', { rules: [rule] });
      const standby = leading(migration, '3s', { address: addresses[1], more: ['--standby'] });
      const worker = migration.worker('w1', [], { coordinators: addresses });
      await endWell(leader, standby, worker);
      assert.equal(await epoch(migration), 1);
      await migration.assertWhole();
    }));
  }

  // Promise: a worker that was stopped in its COMMIT, and holds the row of its task, is in no successor's way.
  test('a coordinator dies while a worker is stopped in its COMMIT', () => within('dies', async (migration) => {
    const rule = 'worker.commit_sent[KIND_COPY]=pause:2s@2';
    const addresses = [migration.address, `${migration.address}b`];
    const leader = migration.coordinator([]);
    const keeper = await startKeeper(migration, addresses);
    const stopped = migration.worker('w1', [rule], { coordinators: addresses, slots: 1 });
    await untilFired(migration, rule);
    stopped.child.kill('SIGSTOP');
    const { id } = await taskOf(migration, 'w1');
    leader.child.kill('SIGKILL');
    const standby = migration.coordinator([], { address: addresses[1], more: ['--standby'] });
    const other = migration.worker('w2', [], { coordinators: addresses });
    await untilDeposed(migration, 15);
    await untilDone(migration, id);
    stopped.child.kill('SIGCONT');
    await endWell(standby, other, keeper);
    await endSomehow(stopped);
    await migration.assertWhole();
  }));

  // Promise: whoever waits for the lead goes on from where the last leader has come to, not from where it was when the waiting
  // began.
  test('a coordinator that waits while the leader plans and copies', () => within('waiting', async (migration) => {
    const planning = 'coordinator.commit_sent[plan]=pause:5s';
    const end = 'coordinator.commit_answered[turn]=exit@8';
    const addresses = [migration.address, `${migration.address}b`];
    // How long the leader may pause, and how long the other one waits for it.
    const leader = leading(migration, '9s', { rules: [planning, end] });
    const worker = migration.worker('w1', ['worker.claim[KIND_VERIFY]=pause:2s@1x99'], { coordinators: addresses, slots: 3 });
    await untilFired(migration, planning);
    const waiting = leading(migration, '20s', { address: addresses[1] });
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
