// With a data folder: what was committed survives, whatever ends the server.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { psql, run, tryPsql } from './support/psql.mjs';
import { RawClient, copyData } from './support/raw-client.mjs';
import { Server } from './support/server.mjs';
import { queryMessage } from '../src/wire.mjs';

let folder;
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'embedded-'));
});
after(() => fs.rmSync(folder, { recursive: true, force: true }));

test('kill -9 keeps what was committed and nothing else', async () => {
  const data = path.join(folder, 'killed');
  let server = await Server.start('--data', data);
  await psql(server, [
    'CREATE EXTENSION timescaledb',
    'CREATE TABLE m (time timestamptz NOT NULL, n int)',
    "SELECT create_hypertable('m', 'time')",
    "INSERT INTO m SELECT timestamptz '2024-01-01Z' + i * interval '1 min', i FROM generate_series(1, 20000) i",
  ]);
  const client = await RawClient.connect(server);
  await client.query("BEGIN; INSERT INTO m VALUES ('2024-01-01Z', -1)");
  client.send(queryMessage('COPY m FROM STDIN'));
  await client.nextOfType('G');
  client.send(copyData("2024-01-01\t-2\n".repeat(10_000)));
  assert.equal(await server.stop('SIGKILL'), 'SIGKILL');

  server = await Server.start('--data', data);
  assert.equal(await psql(server, 'SELECT count(*), sum(n), min(n) FROM m'), '20000|200010000|1');
  await psql(server, "INSERT INTO m VALUES ('2024-06-01Z', 7)"); // into a new chunk
  const second = await Server.start('--data', data).catch((error) => error);
  assert.match(second.message, /in use by process/);
  assert.equal(await server.stop('SIGTERM'), 0);

  server = await Server.start('--data', data);
  assert.equal(await psql(server, 'SELECT count(*) FROM m'), '20001');
  assert.equal(await server.stop('SIGINT'), 0);
});

test('checkpoints keep the WAL from growing', async () => {
  const data = path.join(folder, 'wal');
  const server = await Server.start('--data', data, '--verbose');
  await psql(server, 'CREATE TABLE w (n int, t text)');
  const { stdout } = await tryPsql(server, 'COPY (SELECT i, md5(i::text) FROM generate_series(1, 200000) i) TO STDOUT');
  for (let i = 0; i < 12; i++) {
    await psql(server, 'COPY w FROM STDIN', { input: stdout });
    await psql(server, 'TRUNCATE w');
  }
  const segments = fs.readdirSync(path.join(data, 'pgdata', 'pg_wal')).filter((name) => /^[0-9A-F]{24}$/.test(name));
  assert.match(server.stderr, /checkpoint duration_ms/);
  assert.ok(segments.length < 200, `${segments.length} segments of 1 MB`); // 230 MB were written
  await server.stop();
});

test('pg_restore of every kind', async () => {
  const server = await Server.start();
  // pg_dump 15 refuses a newer server, so the archive comes from a folder of this test.
  const archive = new URL('./data/shop.dump', import.meta.url).pathname;
  for (const options of [[], ['--clean', '--if-exists', '--single-transaction'], ['--clean', '--if-exists', '--jobs=4']]) {
    const { code, stderr } = await run('pg_restore', [...options, '--no-owner', `--dbname=${server.uri()}`, archive]);
    assert.equal(code, 0, `${options.join(' ')}: ${stderr}`);
    const counts = 'SELECT (SELECT count(*) FROM shop.orders), (SELECT sum(amount) FROM shop.orders), (SELECT count(*) FROM shop.customers)';
    assert.equal(await psql(server, counts), '500|125250.00|50');
    const orphan = await tryPsql(server, "INSERT INTO shop.orders (customer, amount) VALUES (999, 1)");
    assert.match(orphan.stderr, /foreign key/);
  }
  assert.equal(await psql(server, 'SHOW search_path'), '"$user", public');
  await server.stop();
});
