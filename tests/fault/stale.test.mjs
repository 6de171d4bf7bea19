// Whoever was thought dead comes back at the one moment at which nothing but the attempt, or the lead's epoch, stands in its
// way; fencing.test.mjs has all other moments.
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { ask } from './cluster.mjs';
import { FaultProxy } from './proxy.mjs';
import { Migration, World } from './support/migration.mjs';
import { until } from '../integration/support/servers.mjs';

let world;
before(async () => {
  world = await World.start();
  await world.makeReference();
});
after(() => world?.stop());

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

// A process that was started, and all that it has said so far.
function listen(running) {
  running.said = '';
  running.child.stderr.on('data', (text) => (running.said += text));
  return running;
}

class Lateness {
  static async start(t, name) {
    const one = new Lateness();
    one.migration = await Migration.create(world, name);
    t.after(() => one.migration.end());
    return one;
  }

  // Stops the process the moment that a rule has fired in it.
  async stopAt(running, rule) {
    await until(`${rule} to fire`, () => this.migration.fired().includes(rule));
    running.child.kill('SIGSTOP');
  }

  async keeper(coordinators) {
    const keeper = listen(this.migration.worker('keeper', [], { slots: 0, coordinators }));
    await until('the keeper', () => keeper.said.includes('snapshot held'));
    return keeper;
  }

  async count(condition) {
    return Number((await ask(this.migration.to, `SELECT count(*) FROM _hypershift.task WHERE ${condition}`))[0]);
  }

  // The task that this worker holds: slots are one, so there is but one.
  async leasedTo(name) {
    return (await ask(this.migration.to, `SELECT id FROM _hypershift.task WHERE worker = '${name}' AND state = 'leased'`))[0];
  }

  // As where a pooler is in between, or a server that numbers no processes: nobody can end this worker's session.
  async hideSession(name) {
    await ask(this.migration.to, `CREATE SCHEMA meddling; CREATE FUNCTION meddling.hide() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN NEW.session_pid := 0; RETURN NEW; END'; CREATE TRIGGER hide BEFORE UPDATE ON _hypershift.task
      FOR EACH ROW WHEN (NEW.worker = '${name}') EXECUTE FUNCTION meddling.hide()`);
  }

  async endsWell(...runnings) {
    for (const running of runnings) {
      const { code, signal, stderr } = await running.done;
      assert.equal(code, 0, `${running.child.spawnargs.join(' ')}: ${signal ?? code}\n${stderr}`);
    }
    await ask(this.migration.to, 'DROP SCHEMA IF EXISTS meddling CASCADE');
    await this.migration.assertWhole();
  }
}

// A coordinator with these rules, and a worker that was stopped before it claimed its first task, whose lease expires. It can
// hear nobody: only the journal can tell it that the lease is no longer its own.
async function deafWorker(t, name, coordinatorRules, workerRules = []) {
  const one = await Lateness.start(t, name);
  const address = `127.0.0.1:${await freePort()}`;
  const proxy = await FaultProxy.start({ port: Number(address.split(':')[1]) });
  t.after(() => proxy.stop());
  const coordinator = one.migration.coordinator(coordinatorRules, { address });
  await one.keeper([address]);
  const claim = 'worker.claim[KIND_COPY]=pause:3s';
  const late = listen(one.migration.worker('late', [claim, ...workerRules], { slots: 1, coordinators: [`127.0.0.1:${proxy.port}`] }));
  await one.stopAt(late, claim);
  const task = await one.leasedTo('late');
  // Who hears nothing looks into the journal for whoever leads.
  await ask(one.migration.to, `UPDATE _hypershift.leader SET address = '127.0.0.1:${proxy.port}'`);
  proxy.silence({ milliseconds: 120_000 });
  return { one, migration: one.migration, address, coordinator, late, task };
}

describe('a worker', { concurrency: 4 }, () => {
  // Its session can't be ended: nothing but the attempt keeps it from committing.
  async function comesBack(t, { name, until: condition, other }) {
    const terminated = 'coordinator.commit_answered[terminate]=pause:6s';
    const write = 'worker.journal_write[KIND_COPY]=pause:2s';
    const { one, migration, address, coordinator, late, task } = await deafWorker(t, name, [terminated], [write]);
    await one.hideSession('late');
    await until('its session to be looked for', () => migration.fired().includes(terminated));
    late.child.kill('SIGCONT');
    await one.stopAt(late, write);
    const second = listen(migration.worker('w2', other, { slots: 1, coordinators: [address] }));
    await until('the second attempt', async () => await one.count(`id = ${task} AND ${condition}`) === 1);
    late.child.kill('SIGCONT');
    await until('its failure', () => late.said.includes('task failed'));
    assert.match(late.said, /no longer holds the lease; nothing was committed/);
    await one.endsWell(coordinator, second);
    assert.doesNotMatch(second.said, /no longer holds the lease/);
  }

  // Promise: a stale attempt commits nothing, neither when another one has done the task nor while it does.
  test('whose task another one has done commits nothing', { timeout: 240_000 }, (t) =>
    comesBack(t, { name: 'done meanwhile', until: "attempt > 1 AND state = 'done'", other: [] }));
  test('whose task another one does just now commits nothing', { timeout: 240_000 }, (t) =>
    comesBack(t, {
      name: 'leased meanwhile', until: "attempt > 1 AND state = 'leased' AND session_pid IS NOT NULL",
      other: ['worker.journal_write[KIND_COPY]=pause:3sx100'],
    }));

  // Promise: what it commits after the coordinator has last looked at the journal, and before that writes that the lease has
  // expired, stays done.
  test('that commits while its lease is taken back has committed', { timeout: 240_000 }, async (t) => {
    const looked = 'coordinator.lease_expiry=run-then-pause:10s';
    const { one, migration, address, coordinator, late, task } = await deafWorker(t, 'taken back', [looked]);
    await until('the journal to be looked at', () => migration.fired().includes(looked));
    late.child.kill('SIGCONT');
    const second = migration.worker('w2', [], { coordinators: [address] });
    await one.endsWell(coordinator, second);
    assert.equal(await one.count(`id = ${task} AND attempt = 1`), 1,
      `the lease had been given away before the worker was back:\n${migration.fired().join('\n')}\n${(await coordinator.done).stderr}\n${late.said}`);
  });
});

// Promise: a leader that is stopped when it has just sent a COMMIT, and wakes up when another one leads, has changed nothing:
// what it decided is not in the journal, and it ends and says why.
test('a deposed leader\'s last COMMIT has no effect', { timeout: 240_000 }, async (t) => {
  const one = await Lateness.start(t, 'deposed');
  const { migration } = one;
  const addresses = ['a', 'b'].map((name) => migration.address.replace('.sock', `${name}.sock`));
  // Its first turn gives tasks to a worker that has registered while it still planned.
  const turn = 'coordinator.commit_sent[turn]=pause:1s';
  const leader = migration.coordinator(['coordinator.journal_write[plan]=pause:5s', turn], { address: addresses[0] });
  const worker = migration.worker('w1', [], { coordinators: addresses });
  await one.keeper(addresses);
  await one.stopAt(leader, turn);
  const writers = await ask(migration.to, `SELECT count(*) FROM pg_locks WHERE relation = '_hypershift.task'::regclass
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND mode = 'RowExclusiveLock'`);
  assert.deepEqual(writers, ['1'], 'the stopped leader gives no task to anybody: there is no effect to be seen');
  worker.child.kill('SIGSTOP');
  const standby = migration.coordinator([], { address: addresses[1], more: ['--standby'] });
  await until('another leader', async () =>
    (await ask(migration.to, 'SELECT address FROM _hypershift.leader WHERE expires_at > clock_timestamp()'))[0] === addresses[1]);
  leader.child.kill('SIGCONT');
  await until('the deposed leader to end', () => leader.child.exitCode !== null || leader.child.signalCode !== null, 30);
  const { code, stderr } = await leader.done;
  assert.notEqual(code, 0);
  assert.match(stderr, /another coordinator has taken the lead/);
  assert.equal(await one.count('attempt > 0'), 0);
  worker.child.kill('SIGCONT');
  await one.endsWell(standby, worker);
});
