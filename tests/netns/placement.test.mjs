// Promises: a worker on a slow link does not hold up the end; the status says how far the servers are and what is slow.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '../integration/support/servers.mjs';
import { table, World } from './support/world.mjs';

let world;
before(async () => {
  world = await World.start({ config: 'parallel: 8\n' });
  world.addHosts(['near'], { rate: 8e6 });
  world.addHosts(['slow'], { rate: 1e5 });
});
after(() => world?.stop());

const tables = (count, megabytes) => Array.from({ length: count }, (_, i) => table(`t${i}`, megabytes)).join(';');

test('the last ranges go to who is done sooner', async (t) => {
  const move = world.move(tables(12, 4));
  t.after(() => move.end());
  const coordinator = move.coordinator();
  const slow = move.worker('slow');
  await until('the slow one has ranges', async () => await move.journal('count(*)', "kind = 'copy' AND state = 'leased' AND worker = 'slow'") === 2);
  const near = move.worker('near');
  await move.endsWell(coordinator, slow, near);
  move.assertWhole();
  const seconds = await move.copySeconds();
  t.diagnostic(`${seconds.toFixed(1)} s`);
  // By itself it would have taken 80 s for the two it began with.
  assert.ok(seconds < 40, `${seconds} s`);
  assert.equal(await move.journal('count(*)', "kind = 'copy' AND worker = 'near'"), 12);
  assert.equal(await move.journal('max(attempt)'), 2);
});

test('the status says that the link is slow, and how far the servers are', async (t) => {
  const move = world.move(tables(6, 4));
  t.after(() => move.end());
  move.coordinator();
  move.worker('slow', { slots: 4 });
  const { migration, workers: [worker] } = await move.untilStatus('a bottleneck and latencies', (status) =>
    status.migration.bottleneck !== 'PART_UNSPECIFIED' && status.workers[0].targetLatency !== undefined);
  assert.equal(migration.bottleneck, 'PART_LINK');
  assert.equal(worker.bottleneck, 'PART_LINK');
  assert.ok(parseFloat(worker.sourceLatency) > 0, worker.sourceLatency);
  assert.ok(parseFloat(worker.targetLatency) > 0, worker.targetLatency);
  assert.match(await move.status('workers'), /slow +slow .*ms +link/);
  assert.match(await move.status('status'), /slowest +link/);
});
