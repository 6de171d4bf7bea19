// Promises: whatever becomes of a host or of its link, the migration ends with the source's rows, each once, and the other hosts
// go on meanwhile.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sleep, until } from '../integration/support/servers.mjs';
import { table, World } from './support/world.mjs';

const names = ['one', 'two', 'three', 'four'];

let world;
before(async () => {
  world = await World.start({ config: 'parallel: 8\n' });
  world.addHosts(names, { rate: 1e6 });
});
after(() => world?.stop());

// A migration that takes some 15 s, in mid-copy: every worker has a range.
async function begin(t, hosts = names, count = 30) {
  const move = world.move(Array.from({ length: count }, (_, i) => table(`t${i}`, 2)).join(';'));
  t.after(() => move.end());
  const coordinator = move.coordinator();
  const workers = Object.fromEntries(hosts.map((host) => [host, move.worker(host)]));
  await until('ranges on every host', async () => await move.journal('count(DISTINCT worker)', "kind = 'copy' AND state = 'leased' AND started_at IS NOT NULL") === hosts.length);
  return { move, coordinator, workers };
}

const doneBy = (move, host) => move.journal('count(*)', `kind = 'copy' AND state = 'done' AND worker = '${host}'`);
const leasedTo = (move, host) => move.journal('count(*)', `kind = 'copy' AND state = 'leased' AND worker = '${host}'`);

test('a worker host is cut off for a minute, then comes back', async (t) => {
  // More than a minute's work for the others, so that the one that comes back has something to do.
  const { move, coordinator, workers } = await begin(t, ['one', 'two'], 75);
  world.hosts.two.cutOff();
  const before = await doneBy(move, 'two');
  await until('its ranges are taken back', async () => await leasedTo(move, 'two') === 0, 30);
  const status = await move.status();
  assert.equal(status.workers.find(({ name }) => name === 'two').connected ?? false, false);
  await sleep(60_000);
  assert.equal(await doneBy(move, 'two'), before, 'a host that is cut off has committed');
  world.hosts.two.heal();
  await until('it works again', async () => await doneBy(move, 'two') > before, 60);
  await move.endsWell(coordinator, ...Object.values(workers));
  move.assertWhole();
});

test('packets are lost one way only', async (t) => {
  const { move, coordinator, workers } = await begin(t);
  // It hears nothing any more, and is still heard.
  world.hosts.three.dropTo();
  await until('its ranges are taken back', async () => await leasedTo(move, 'three') === 0, 60);
  await sleep(10_000);
  world.hosts.three.heal();
  await move.endsWell(coordinator, ...Object.values(workers));
  move.assertWhole();
});

test('a worker host is removed', async (t) => {
  const { move, coordinator, workers } = await begin(t);
  world.hosts.four.remove();
  await move.endsWell(coordinator, ...['one', 'two', 'three'].map((name) => workers[name]));
  assert.equal(await leasedTo(move, 'four'), 0);
  move.assertWhole();
});
