// What somebody else's doing keeps from going on: the migration waits, says for whom, and goes on by itself or when told to.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { FaultProxy } from './proxy.mjs';
import { largeTable, programs, Scene, smallTable } from './support/scene.mjs';
import { query, start, until, value } from '../integration/support/servers.mjs';

let scene;
before(async () => {
  scene = await Scene.start();
});
after(() => scene?.stop());

// A session that has run `sql` in a transaction and does nothing more until it is told to end.
async function hold(uri, sql) {
  const child = spawn('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', uri], {
    stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, PGAPPNAME: 'somebody' } });
  const ended = new Promise((resolve) => child.on('close', resolve));
  const ready = new Promise((resolve) => child.stdout.once('data', resolve));
  child.stdin.write(`BEGIN; ${sql}; SELECT 'held';\n`);
  await ready;
  return {
    end: async () => {
      if (!child.stdin.writableEnded) child.stdin.end('ROLLBACK;\n');
      await ended;
    },
  };
}

const xminOf = (move) => value(scene.source.uri, `SELECT count(*) FROM pg_stat_activity
  WHERE backend_xmin IS NOT NULL AND application_name LIKE 'hypershift%' AND datname = '${new URL(move.from).pathname.slice(1)}'`);

// Promise: somebody's lock on a target table keeps its index from being built: the status says whose, no retry is used up,
// and meanwhile nothing is held on the source any more. When the lock goes, the migration ends by itself.
test('a lock on the target is waited for, and the snapshot is gone meanwhile', async (t) => {
  const move = scene.move(smallTable('locked') + smallTable('other'));
  t.after(() => move.end());
  const coordinator = move.coordinator({ more: ['--retry-limit', '1'] });
  await until('a plan', async () => await move.count("kind = 'copy'") === 2);
  const holder = await hold(move.to, 'LOCK TABLE locked IN ROW EXCLUSIVE MODE');
  t.after(() => holder.end());
  const worker = move.worker();
  const status = await move.untilStatus('it to name the lock', ({ migration }) => /^waits for a lock/.test(migration.statusLine));
  assert.match(status.migration.statusLine, /on the target's table public\.locked that session \d+ holds \(user postgres, somebody, idle in transaction/);
  assert.ok(status.migration.snapshotReleased);
  assert.ok(await move.count("kind = 'index' AND state <> 'done'") > 0);
  // Keepers hear of it at their next heartbeat.
  await until('nothing to be held on the source', () => xminOf(move) === '0', 20);
  assert.ok(await move.count("kind = 'index' AND state <> 'done'") > 0);
  await holder.end();
  await move.endsWell(coordinator, worker);
  move.assertWhole();
});

// Promise: a lock on a source table is waited for likewise.
test('a lock on the source is waited for', async (t) => {
  const move = scene.move(smallTable('locked') + smallTable('other'));
  t.after(() => move.end());
  const coordinator = move.coordinator({ more: ['--retry-limit', '1'] });
  await until('a plan', async () => await move.count("kind = 'copy'") === 2);
  const holder = await hold(move.from, 'LOCK TABLE locked IN ACCESS EXCLUSIVE MODE');
  t.after(() => holder.end());
  const worker = move.worker();
  const status = await move.untilStatus('it to name the lock', ({ migration }) => /^waits for a lock/.test(migration.statusLine));
  assert.match(status.migration.statusLine, /on the source's table public\.locked/);
  assert.ok(Number(status.migration.snapshotXminAge) > 0);
  assert.notEqual(xminOf(move), '0');
  await holder.end();
  await move.endsWell(coordinator, worker);
  move.assertWhole();
});

// Promise: one table fails for want of a permission, at once and alone; when it is granted, `hypershift retry` brings it.
test('retry resumes a failed table while the others run', async (t) => {
  const move = scene.move(smallTable('forbidden') + smallTable('other'));
  t.after(() => move.end());
  const source = new URL(move.from);
  query(move.from, `CREATE ROLE reader${move.number} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader${move.number}`);
  source.username = `reader${move.number}`;
  const coordinator = move.coordinator({ from: source.href });
  await until('a plan', async () => await move.count("kind = 'copy'") === 2);
  query(move.from, `REVOKE SELECT ON forbidden FROM reader${move.number}`);
  const holder = await hold(move.to, 'LOCK TABLE other IN ROW EXCLUSIVE MODE');
  t.after(() => holder.end());
  const worker = move.worker({ from: source.href });
  const retry = (table) => start(['retry', table, '--coordinator', move.address()], {}, { program: programs.clone }).done;
  const failed = await move.untilStatus('a failed table', ({ migration }) => migration.tablesFailed === '1');
  const { error } = failed.tables.find(({ name }) => name === 'forbidden');
  assert.match(error, /permission denied for table forbidden \(grant the role what it lacks, then retry the table\)/);
  for (const [table, message] of [['public.forbiden', /did you mean public\.forbidden\?/], ['public.other', /no step of public\.other has failed/]]) {
    const refused = await retry(table);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, message);
  }
  query(move.from, `GRANT SELECT ON forbidden TO reader${move.number}`);
  const retried = await retry('public.forbidden');
  assert.equal(retried.code, 0, retried.stderr);
  assert.match(retried.stdout, /One step of public\.forbidden will be tried again/);
  await until('its rows', () => value(move.to, 'SELECT count(*) FROM forbidden') === '3000');
  await holder.end();
  await move.endsWell(coordinator, worker);
  move.assertWhole();
});

// A run through a proxy that is slow enough for something to happen in the middle of it.
async function midCopy(t, target, more = []) {
  const move = scene.move(largeTable('big') + smallTable('small'));
  const proxy = await FaultProxy.start({ port: scene.target.port }, { rate: 2e6 });
  t.after(async () => {
    move.end();
    await proxy.stop();
  });
  const to = target(move);
  const running = [move.coordinator({ to, more }), move.worker({ to: to.replace(`:${scene.target.port}/`, `:${proxy.port}/`) })];
  await until('copies that run', async () => await move.count("kind = 'copy' AND state = 'leased'") > 1);
  return { move, proxy, running };
}

// Promise: a target without a free connection is waited for; no retry is used up.
test('too many connections', async (t) => {
  const role = `mover_${process.pid}`;
  query(scene.target.uri, `CREATE ROLE ${role} LOGIN`);
  const { move, proxy, running } = await midCopy(t, (own) => {
    query(own.to, `GRANT CREATE ON DATABASE ${new URL(own.to).pathname.slice(1)} TO ${role}; ALTER SCHEMA public OWNER TO ${role}`);
    return own.to.replace('//postgres@', `//${role}@`);
  }, ['--retry-limit', '1']);
  query(scene.target.uri, `ALTER ROLE ${role} CONNECTION LIMIT 1`);
  query(scene.target.uri, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'hypershift w1%'`);
  proxy.rate = 0;
  const status = await move.untilStatus('it to say so', ({ migration }) => /too many connections/.test(migration.statusLine));
  assert.match(status.migration.statusLine, /^waits/);
  query(scene.target.uri, `ALTER ROLE ${role} CONNECTION LIMIT -1`);
  await move.endsWell(...running);
  move.assertWhole();
});

// Promise: a target that takes no writes for a while, as in a switch-over, is an outage and no failure of a table.
test('a target that is read-only for a while', async (t) => {
  const { move, proxy, running } = await midCopy(t, (own) => own.to, ['--retry-limit', '1']);
  const database = new URL(move.to).pathname.slice(1);
  query(scene.target.uri, `ALTER DATABASE ${database} SET default_transaction_read_only = on`);
  query(scene.target.uri, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}'`);
  proxy.rate = 0;
  await move.untilStatus('it to say so', ({ migration }) => /^waits: .*read-only transaction/.test(migration.statusLine));
  query(scene.target.uri, `ALTER DATABASE ${database} RESET default_transaction_read_only`);
  await move.endsWell(...running);
  move.assertWhole();
});
