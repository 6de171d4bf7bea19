// A pooler that gives each transaction another session: a snapshot and a session's settings don't last through it.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Scene, smallTable } from './support/scene.mjs';
import { until, value } from '../integration/support/servers.mjs';

let scene;
before(async () => {
  scene = await Scene.start();
});
after(() => scene?.stop());

// The same database through a pgbouncer in front of its server.
async function poolInFrontOf(t, uri, mode) {
  const at = new URL(uri);
  const port = Number(at.port) - 10000;
  const file = join(scene.place.folder, `${mode}-${port}.ini`);
  writeFileSync(file, `[databases]
* = host=127.0.0.1 port=${at.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = 20
ignore_startup_parameters = extra_float_digits
`);
  // It does not run as root.
  const [command, ...args] = [...(process.getuid() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : []), 'pgbouncer', '-q', file];
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  t.after(() => child.kill('SIGTERM'));
  at.port = port;
  await until('pgbouncer', () => spawnSync('psql', ['-X', '-d', at.href, '-c', 'SELECT 1']).status === 0, 20);
  return at.href;
}

// Promise: a pooler in transaction mode on either side is refused with the reason and the remedy, and nothing is written.
test('a pooler in transaction mode is refused', async (t) => {
  const move = scene.move(smallTable('small'));
  t.after(() => move.end());
  for (const side of ['source', 'target']) {
    const direct = side === 'source' ? move.from : move.to;
    const pooled = await poolInFrontOf(t, direct, 'transaction');
    const { code, stderr } = await move.clone(side === 'source' ? { from: pooled } : { to: pooled }).done;
    assert.equal(code, 2, stderr);
    assert.match(stderr, new RegExp(`${side}: .* is a connection pooler in transaction mode, .*pool_mode = session`));
    assert.equal(value(move.to, "SELECT count(*) FROM pg_namespace WHERE nspname = '_hypershift'"), '0');
  }
});

// Promise: one in session mode serves.
test('a pooler in session mode serves', async (t) => {
  const move = scene.move(smallTable('small'));
  t.after(() => move.end());
  const [from, to] = [await poolInFrontOf(t, move.from, 'session'), await poolInFrontOf(t, move.to, 'session')];
  await move.endsWell(move.clone({ from, to }));
  move.assertWhole();
});
