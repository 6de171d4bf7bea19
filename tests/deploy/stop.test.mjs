// What docs/runbook/machines.md says of stopping and restarting a coordinator, by the statuses that systemd and Kubernetes go by.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ask } from '../fault/cluster.mjs';
import { FaultProxy } from '../fault/proxy.mjs';
import { largeTable, Scene, smallTable } from '../fault/support/scene.mjs';
import { query, until } from '../integration/support/servers.mjs';

let scene;
before(async () => {
  scene = await Scene.start();
});
after(() => scene?.stop());

// A coordinator, a keeper and a worker of one slot on a slow way to the target, in mid-copy: ranges are left when its own ends.
async function begin(t) {
  const move = scene.move(largeTable('big') + smallTable('small'));
  const proxy = await FaultProxy.start({ port: scene.target.port }, { rate: 2e6 });
  const to = move.to.replace(`:${scene.target.port}/`, `:${proxy.port}/`);
  t.after(async () => {
    move.end();
    await proxy.stop();
  });
  const coordinator = move.coordinator();
  const keeper = move.worker({ name: 'keeper', slots: 0 });
  const worker = move.worker({ to, slots: 1 });
  await until('a range', async () => await move.count("kind = 'copy' AND state = 'done'") > 0, 180);
  await move.untilStatus('the keeper holds the snapshot', ({ workers }) => workers.some((one) => one.name === 'keeper' && one.holdsSnapshot));
  return { move, proxy, to, coordinator, keeper, worker };
}

const snapshot = async (move) => (await ask(move.to, 'SELECT snapshot FROM _hypershift.migration'))[0];
const writeToSource = (move) => query(move.from, "INSERT INTO big SELECT -i, 'later' FROM generate_series(1, 500) i; DELETE FROM big WHERE id % 3 = 0");

// Promise: SIGTERM lets running tasks finish; the coordinator ends with 130, the worker with 0, the keeper stays. The same command
// goes on under the same snapshot, with a worker that is started again.
test('a stopped coordinator goes on by what the keeper holds', async (t) => {
  const { move, proxy, to, coordinator, keeper, worker } = await begin(t);
  const before = await snapshot(move);
  coordinator.child.kill('SIGTERM');
  assert.equal((await coordinator.done).code, 130);
  assert.equal((await worker.done).code, 0);
  assert.ok(await move.count("kind = 'copy' AND state <> 'done'") > 0, 'everything had been copied before it was stopped');
  assert.equal(keeper.child.exitCode, null);
  writeToSource(move);
  proxy.rate = 0;
  const again = [move.coordinator(), move.worker({ to })];
  await move.endsWell(...again, keeper);
  assert.equal(await snapshot(move), before);
  move.assertWhole();
});

// Promise: a killed coordinator that is started again at once, as a service manager does, waits for its own lead to expire, and
// sends nobody home.
test('a killed coordinator goes on with its workers', async (t) => {
  const { move, proxy, coordinator, keeper, worker } = await begin(t);
  const before = await snapshot(move);
  coordinator.child.kill('SIGKILL');
  await coordinator.done;
  writeToSource(move);
  const again = move.coordinator();
  proxy.rate = 0;
  await move.endsWell(again, worker, keeper);
  assert.equal(await snapshot(move), before);
  move.assertWhole();
});
