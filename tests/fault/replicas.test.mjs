// Stand-bys on either side: as the source, and as the target's successor.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { FaultProxy } from './proxy.mjs';
import { startReplica, untilReplayed } from './support/replica.mjs';
import { largeTable, Scene, smallTable } from './support/scene.mjs';
import { query, until, value, withDatabase } from '../integration/support/servers.mjs';

let scene;
before(async () => {
  scene = await Scene.start();
});
after(() => scene?.stop());

const nameOf = (uri) => new URL(uri).pathname.slice(1);

// Promise: a stand-by that ends whoever hinders replay is refused with the remedy; one that tells its primary what it still
// reads serves as the source, while the primary removes the very rows.
test('a stand-by as the source', async (t) => {
  const move = scene.move(largeTable('big') + smallTable('small'));
  const replica = await startReplica(scene.source, join(scene.place.folder, 'sr'),
    ['max_standby_streaming_delay=100ms', 'hot_standby_feedback=off', 'wal_receiver_status_interval=1s']);
  const proxy = await FaultProxy.start({ port: scene.target.port }, { rate: 2e6 });
  t.after(async () => {
    move.end();
    await proxy.stop();
    await replica.stop();
  });
  const from = withDatabase(replica.uri, nameOf(move.from));
  const refused = await move.clone({ from }).done;
  assert.equal(refused.code, 2, refused.stderr);
  assert.match(refused.stderr, /source: the server is a stand-by that ends long transactions .*hot_standby_feedback = on/);
  assert.equal(value(move.to, "SELECT count(*) FROM pg_namespace WHERE nspname = '_hypershift'"), '0');

  await replica.set('hot_standby_feedback', 'on');
  const running = [move.coordinator({ from }), move.worker({ from, to: move.to.replace(`:${scene.target.port}/`, `:${proxy.port}/`) })];
  await until('copies that run', async () => await move.count("kind = 'copy' AND state = 'leased'") > 1);
  query(move.from, "DELETE FROM big WHERE id % 2 = 0; UPDATE small SET t = 'changed'");
  query(move.from, 'VACUUM');
  await untilReplayed(scene.source, replica);
  assert.ok(await move.count("kind = 'copy' AND state <> 'done'") > 0, 'everything had been copied before the rows were removed');
  proxy.rate = 0;
  await move.endsWell(...running);
  move.assertWhole();
});

// Promise: a worker's own connection strings may take other ways to the same servers, but not to others: it is refused, with what
// they lead to, and the others go on.
test('a worker whose own servers are others is refused', async (t) => {
  const move = scene.move(largeTable('big') + smallTable('small'));
  const replica = await startReplica(scene.source, join(scene.place.folder, 'er'), ['hot_standby_feedback=on']);
  const proxy = await FaultProxy.start({ port: scene.target.port }, { rate: 2e6 });
  t.after(async () => {
    move.end();
    await proxy.stop();
    await replica.stop();
  });
  await untilReplayed(scene.source, replica);
  const running = [move.coordinator(), move.worker({ to: move.to.replace(`:${scene.target.port}/`, `:${proxy.port}/`) })];
  await until('copies that run', async () => await move.count("kind = 'copy' AND state = 'leased'") > 1);
  const refused = async (pattern, where) => {
    const { code, stderr } = await move.worker({ name: 'astray', ...where }).done;
    assert.equal(code, 1, stderr);
    assert.match(stderr, pattern);
  };
  await refused(/--source of worker astray is a stand-by of the server/, { from: withDatabase(replica.uri, nameOf(move.from)) });
  await refused(/--source of worker astray is another server/, { from: move.to });
  await refused(/--target of worker astray is another server/, { to: move.from });
  await refused(/--source of worker astray is another database of the server/, { from: move.template });
  assert.equal(await move.count("worker = 'astray'"), 0);
  proxy.rate = 0;
  await move.endsWell(...running);
  move.assertWhole();
});

// Promise: the target's primary dies in mid-copy and its stand-by takes its place, without what the last moments had brought.
// Rows and journal have lost the same transactions, so the migration goes on there and ends whole.
test('the target fails over to its stand-by', async (t) => {
  const move = scene.move(largeTable('big') + smallTable('small'));
  const replica = await startReplica(scene.target, join(scene.place.folder, 'tr'), ['wal_receiver_status_interval=1s']);
  const primary = await FaultProxy.start({ port: scene.target.port }, { rate: 2e6 });
  const { port } = scene.target;
  t.after(async () => {
    move.end();
    await primary.stop();
    await replica.stop();
  });
  const hosts = (first) => `postgres://postgres@127.0.0.1:${first},127.0.0.1:${replica.port}/${nameOf(move.to)}`;
  const running = [move.coordinator({ to: hosts(port) }), move.worker({ to: hosts(primary.port) })];
  await until('copies that run', async () => await move.count("kind = 'copy' AND state = 'leased'") > 1);
  // What is committed from here on is lost.
  await replica.set('primary_conninfo', '');
  await until('it to be cut off', () => value(replica.uri, 'SELECT count(*) FROM pg_stat_wal_receiver') === '0');
  const before = await move.count("kind = 'copy' AND state = 'done'");
  primary.rate = 8e6;
  await until('ranges that will be lost', async () => await move.count("kind = 'copy' AND state = 'done'") > before);
  const lost = await move.count("kind = 'copy' AND state = 'done'");
  await scene.target.kill();
  await primary.stop();
  move.to = withDatabase(replica.uri, nameOf(move.to));
  await replica.control('promote');
  assert.ok(await move.count("kind = 'copy' AND state = 'done'") < lost, 'nothing was lost');
  await move.endsWell(...running);
  move.assertWhole();
});
