// Promises: workers on links capped alike add up; latency to the target costs next to nothing.
//
// Times are those of the copies in the journal, from the first lease to the last commit. Links are slow, so that the machine's own
// speed does not matter.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FaultProxy } from '../fault/proxy.mjs';
import { table, World } from './support/world.mjs';

const names = ['one', 'two', 'three', 'four'];
const rate = 2.5e6;

let world;
before(async () => {
  world = await World.start({ config: 'parallel: 8\n' });
  world.addHosts(names, { rate });
});
after(() => world?.stop());

const tables = (count, megabytes) => Array.from({ length: count }, (_, i) => table(`t${i}`, megabytes)).join(';');

// Runs a migration by workers on these hosts; seconds of copying.
async function run(t, schema, hosts, how = {}) {
  const move = world.move(schema);
  t.after(() => move.end());
  const workers = hosts.map((host) => move.worker(host, { ...how, more: how.more?.(move) }));
  const coordinator = move.coordinator();
  await move.endsWell(coordinator, ...workers);
  move.assertWhole();
  return move.copySeconds();
}

// How many times as fast `second` is as `first`, which resolve with seconds: by the best of each, as whatever else the machine
// does only ever adds, and once is enough where nothing does.
async function ratioOf(t, first, second, enough) {
  let [a, b] = [Infinity, Infinity];
  for (let round = 0; round < 3 && !(a / b >= enough); ++round) {
    a = Math.min(a, await first());
    b = Math.min(b, await second());
    t.diagnostic(`${a.toFixed(1)} s and ${b.toFixed(1)} s: ${(a / b).toFixed(2)} x`);
  }
  assert.ok(a / b >= enough, `${a} s and ${b} s: ${a / b}`);
  return { first: a, second: b };
}

test('four workers on capped links are at least 3.6 times as fast as one', async (t) => {
  const schema = tables(32, 2);
  const { first } = await ratioOf(t, () => run(t, schema, names.slice(0, 1)), () => run(t, schema, names), 3.6);
  // By the cap alone, so that a link that was none would show.
  assert.ok(first > 64e6 / rate * 0.9, `${first} s for 64 MB at ${rate} bytes a second`);
});

// 50 ms each way, so that an answer takes 100.
test('50 ms to the target cost at most 10 %', async (t) => {
  const schema = tables(16, 2);
  // The same way for both: only the delay differs.
  const to = { host: world.hosts.target.address, port: world.target.port };
  const near = await FaultProxy.start(to, { address: world.hosts.one.router, chunks: 64 });
  const far = await FaultProxy.start(to, { address: world.hosts.one.router, chunks: 64, delay: 50 });
  t.after(() => Promise.all([near.stop(), far.stop()]));
  const by = (proxy) => run(t, schema, ['one'], {
    slots: 4, more: (move) => ['-t', move.to.replace(/@[^/]*/, `@${world.hosts.one.router}:${proxy.port}`)],
  });
  await ratioOf(t, () => by(near), () => by(far), 0.9);
});
