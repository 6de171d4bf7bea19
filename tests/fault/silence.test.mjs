// A network that drops packets and says nothing: no reset, no end of the connection. The worker is a host of its own, in a
// network namespace, so that its kernel really gets no acknowledgements.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { FaultProxy } from './proxy.mjs';
import { largeTable, programs, Scene, smallTable } from './support/scene.mjs';
import { sleep, start, until, value } from '../integration/support/servers.mjs';

let scene;
before(async () => {
  scene = await Scene.start();
});
after(() => scene?.stop());

const ip = (...args) => spawnSync('ip', args, { encoding: 'utf8' });
const host = `hs${process.pid}`;
const cable = `hsv${process.pid}`.slice(0, 13);
const [here, there] = ['203.0.113.1', '203.0.113.2']; // Kept free for examples: RFC 5737.

function makeHost() {
  for (const args of [
    ['netns', 'add', host], ['link', 'add', `${cable}a`, 'type', 'veth', 'peer', 'name', `${cable}b`, 'netns', host],
    ['addr', 'add', `${here}/30`, 'dev', `${cable}a`], ['link', 'set', `${cable}a`, 'up'],
    ['-n', host, 'addr', 'add', `${there}/30`, 'dev', `${cable}b`], ['-n', host, 'link', 'set', `${cable}b`, 'up'],
    ['-n', host, 'link', 'set', 'lo', 'up'],
  ]) {
    const { status, stderr, error } = ip(...args);
    if (status !== 0) return `ip ${args.join(' ')}: ${error?.message ?? stderr.trim()}`;
  }
  return '';
}

// Promise: when the network goes silent in mid-copy, on both links, the worker notices within 30 s and gives its ranges back;
// when it is there again the migration ends by itself, whole.
test('a silent network is noticed within 30 s', async (t) => {
  t.after(() => ip('netns', 'del', host));
  const problem = makeHost();
  if (problem) {
    console.log(`NOT RUN: no network namespace can be made here (${problem}): run this test as root`);
    t.skip('no network namespace can be made');
    return;
  }
  const move = scene.move(largeTable('big') + smallTable('small'));
  const proxies = await Promise.all([scene.source, scene.target].map(({ port }) => FaultProxy.start({ port }, { rate: 2e6, address: here })));
  t.after(async () => {
    move.end();
    await Promise.all(proxies.map((proxy) => proxy.stop()));
  });
  const [from, to] = [move.from, move.to].map((uri, i) => uri.replace(/127\.0\.0\.1:\d+/, `${here}:${proxies[i].port}`));
  const coordinator = move.coordinator({ more: ['--keeper-grace', '5m'] });
  const worker = start(['netns', 'exec', host, programs.worker, '--coordinator', move.address(), '-s', from, '-t', to,
    '--name', 'far', '--slots', '2'], {}, { program: 'ip' });
  move.running.push(worker);
  await until('copies that run', async () => await move.count("kind = 'copy' AND state = 'leased'") > 1);
  await sleep(1000);

  ip('link', 'set', `${cable}a`, 'down');
  const silent = Date.now();
  const failed = () => move.count("kind = 'copy' AND error <> ''");
  await until('it to notice', async () => await failed() > 0, 45);
  const noticed = Date.now() - silent;
  console.log(`noticed after ${noticed} ms`);
  assert.ok(noticed < 30000, `noticed after ${noticed} ms`);
  ip('link', 'set', `${cable}a`, 'up');
  for (const proxy of proxies) proxy.rate = 0;
  await move.endsWell(coordinator, worker);
  assert.equal(value(move.to, "SELECT max(failures) FROM _hypershift.task"), '0');
  move.assertWhole();
});
