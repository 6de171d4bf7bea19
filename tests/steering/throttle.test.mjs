// Limits that hold a running migration back, measured from outside.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startReplica } from '../fault/support/replica.mjs';
import { psql, query, sleep, until } from '../integration/support/servers.mjs';
import { attempts, begin, startScene, statusLine, succeeds, tables } from './support.mjs';

let scene;
before(async () => {
  scene = await startScene('max_bytes_per_second: 2MB\n');
});
after(() => scene?.stop());

// Counts what passes to a server.
async function startCounter(port) {
  const counter = { bytes: 0, sockets: new Set() };
  const server = createServer((client) => {
    const upstream = createConnection({ port, host: '127.0.0.1' });
    for (const socket of [client, upstream]) {
      counter.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        counter.sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (chunk) => (counter.bytes += chunk.length));
    client.pipe(upstream);
    upstream.pipe(client);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  counter.port = server.address().port;
  counter.stop = () => {
    for (const socket of counter.sockets) socket.destroy();
    server.close();
  };
  return counter;
}

// Bytes per second over so many seconds.
async function measure(counter, seconds) {
  const [bytes, at] = [counter.bytes, performance.now()];
  await sleep(seconds * 1000);
  return (counter.bytes - bytes) / ((performance.now() - at) / 1000);
}

function assertNear(rate, limit) {
  console.log(`limit ${limit / 1e6} MB/s, measured ${(rate / 1e6).toFixed(2)} MB/s`);
  assert.ok(Math.abs(rate - limit) <= limit / 10, `${(rate / 1e6).toFixed(2)} MB/s instead of ${limit / 1e6}`);
}

// Promise: max-bytes-per-second holds within 10 % over 10 s, over workers of unequal size, when it is changed while they run,
// when one comes and another one goes, and while they have lost their coordinator.
test('max-bytes-per-second', async (t) => {
  const counter = await startCounter(scene.target.port);
  const move = scene.move(tables(70));
  t.after(() => {
    move.end();
    counter.stop();
  });
  const to = move.to.replace(`:${scene.target.port}/`, `:${counter.port}/`);
  const leader = move.coordinator();
  const workers = [['w1', 3], ['w2', 1]].map(([name, slots]) => move.worker({ name, slots, to }));
  await until('a range', () => move.count("kind = 'copy' AND state = 'done'"), 60);
  await succeeds(move, 'set', 'max-bytes-per-second', '4MB');
  await sleep(500);
  assertNear(await measure(counter, 10), 4e6);
  await succeeds(move, 'set', 'max-bytes-per-second', '8MB');
  await sleep(500);
  const changing = measure(counter, 10);
  await sleep(3000);
  workers.push(move.worker({ name: 'w3', slots: 2, to }));
  await sleep(3000);
  await succeeds(move, 'drain', 'w2');
  assertNear(await changing, 8e6);
  assert.match(await statusLine(move), /throttled: .*MiB\/s, no more than max-bytes-per-second 8MB/);
  // Without a coordinator the shares hold; what each runs ends soon.
  leader.child.kill('SIGSTOP');
  assert.ok(await measure(counter, 1) < 8e6 * 1.35);
  leader.child.kill('SIGCONT');
  await sleep(1000);
  assertNear(await measure(counter, 8), 8e6);
  assert.ok(await move.count("kind = 'copy' AND state <> 'done'") > 0, 'it had ended before all was measured');
  await succeeds(move, 'set', 'max-bytes-per-second', 'off');
  await move.endsWell();
  move.assertWhole();
});

// Nothing begins for some seconds, while what runs goes on to its end.
async function assertHeld(move, pattern) {
  await until('nothing runs', async () => await move.count("state = 'leased'") === 0, 30);
  const before = await attempts(move);
  await sleep(3000);
  assert.equal(await attempts(move), before);
  const { migration } = await move.status();
  assert.match(migration.statusLine, pattern);
  assert.match(migration.throttled, pattern);
  assert.match(await succeeds(move, 'tasks', '--state', 'pending'), /waits for less load: /);
}

const goesOn = async (move, before) => until('it goes on', async () => await attempts(move) > before, 20);

// Promise: more active sessions of others than max-source-load hold new ranges back, the status says so with what was measured,
// and it goes on when they have gone. Idle sessions and our own don't count.
test('max-source-load', async (t) => {
  const { move } = await begin(t, scene, 14);
  const sleepers = [];
  t.after(() => sleepers.forEach((child) => child.kill('SIGKILL')));
  await succeeds(move, 'set', 'max-source-load', '2');
  await sleep(3000);
  assert.doesNotMatch(await statusLine(move), /active session/);
  for (let i = 0; i < 4; ++i) {
    sleepers.push(spawn(psql, ['-X', '-d', scene.source.uri, '-c', 'SELECT pg_sleep(120)'], { stdio: 'ignore' }));
  }
  await move.untilStatus('the throttle', ({ migration }) => /^throttled: 4 active sessions on the source, more than max-source-load 2/.test(migration.statusLine));
  await assertHeld(move, /4 active sessions on the source, more than max-source-load 2/);
  const before = await attempts(move);
  query(scene.source.uri, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(120)' AND pid <> pg_backend_pid()");
  await goesOn(move, before);
  await succeeds(move, 'set', 'max-bytes-per-second', 'off');
  await move.endsWell();
  move.assertWhole();
});

// Promise: WAL on the target above max-target-wal holds new ranges back until its next checkpoint, or until the limit goes.
test('max-target-wal', async (t) => {
  const { move } = await begin(t, scene, 14);
  await succeeds(move, 'set', 'max-target-wal', '1MB');
  await assertHeld(move, /of WAL on the target since its last checkpoint, more than max-target-wal 1MB/);
  let before = await attempts(move);
  query(scene.target.uri, 'CHECKPOINT');
  await goesOn(move, before);
  await assertHeld(move, /of WAL on the target/);
  before = await attempts(move);
  await succeeds(move, 'set', 'max-target-wal', 'off', 'max-bytes-per-second', 'off');
  await goesOn(move, before);
  await move.endsWell();
  move.assertWhole();
});

// Promise: a stand-by of the source that lags more than max-replication-lag holds new ranges back; one that has replayed all,
// however long ago, does not; one that can't be asked holds nothing back, and the status says so.
test('max-replication-lag', async (t) => {
  const replica = await startReplica(scene.source, join(scene.place.folder, 'replica'));
  t.after(() => replica.stop());
  const { move } = await begin(t, scene, 14, { more: ['--source-standby', replica.uri] });
  await sleep(3000);
  await succeeds(move, 'set', 'max-replication-lag', '2s');
  await sleep(2500);
  assert.doesNotMatch(await statusLine(move), /lags/);
  query(replica.uri, 'SELECT pg_wal_replay_pause()');
  query(move.from, 'CREATE TABLE later AS SELECT 1 AS n');
  await move.untilStatus('the throttle', ({ migration }) => /the source's stand-by .* lags \d+/.test(migration.statusLine));
  await assertHeld(move, /the source's stand-by .* lags .*, more than max-replication-lag 2s/);
  let before = await attempts(move);
  query(replica.uri, 'SELECT pg_wal_replay_resume()');
  await goesOn(move, before);
  await replica.kill();
  await move.untilStatus('a warning', ({ migration }) => migration.warnings.some((line) => /max-replication-lag .*stand-by/.test(line)));
  before = await attempts(move);
  await goesOn(move, before);
  await succeeds(move, 'set', 'max-bytes-per-second', 'off');
  await move.endsWell();
  query(move.from, 'DROP TABLE later');
  move.assertWhole();
});
