// COPY in and out, byte for byte, and what happens when it goes wrong.

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { psql, run, tryPsql } from './support/psql.mjs';
import { RawClient, bind, copyData, copyDone, execute, parse, summary, sync } from './support/raw-client.mjs';
import { Server } from './support/server.mjs';
import { message, queryMessage } from '../src/wire.mjs';

let server;
before(async () => {
  server = await Server.start();
  await psql(server, [
    `CREATE TABLE source AS
       SELECT i AS id, md5(i::text) AS label, i * 0.25::float8 AS value,
              timestamptz '2024-01-01' + i * interval '1 min' AS time,
              CASE WHEN i % 7 = 0 THEN NULL ELSE decode(md5(i::text), 'hex') END AS raw,
              E'tab\\tline\\n"quoted", \\\\ ' || i AS awkward
         FROM generate_series(1, 20000) i`,
    'CREATE TABLE target (LIKE source)',
  ]);
});
after(() => server.stop());

for (const format of ['text', 'csv', 'binary']) {
  test(`${format} comes back as it went`, async () => {
    const out = (table) => tryPsql(server, `COPY (SELECT * FROM ${table} ORDER BY id) TO STDOUT (FORMAT ${format})`);
    const original = await out('source');
    assert.equal(original.code, 0, original.stderr);
    assert.ok(original.stdout.length > 1_000_000);
    await psql(server, 'TRUNCATE target');
    await psql(server, `COPY target FROM STDIN (FORMAT ${format})`, { input: original.stdout });
    const copy = await out('target');
    assert.ok(copy.stdout.equals(original.stdout));
    const difference = 'SELECT count(*) FROM ((TABLE source EXCEPT TABLE target) UNION ALL (TABLE target EXCEPT TABLE source)) d';
    assert.equal(await psql(server, difference), '0');
  });
}

test('a constraint that fails mid-COPY leaves nothing, and the session goes on', async () => {
  await psql(server, 'CREATE TABLE positive (n int CHECK (n > 0))');
  const rows = Array.from({ length: 50_000 }, (_, i) => (i === 40_000 ? -1 : i + 1)).join('\n');
  const result = await tryPsql(server, 'COPY positive FROM STDIN', { input: rows });
  assert.notEqual(result.code, 0);
  assert.match(result.stderr, /violates check constraint.*[\s\S]*line 40001/);
  assert.equal(await psql(server, 'SELECT count(*) FROM positive'), '0');
});

test('data that follows a failed COPY is ignored', async () => {
  const client = await RawClient.connect(server);
  await client.query('CREATE TABLE one (n int)');
  client.send(queryMessage('COPY one FROM STDIN'));
  await client.nextOfType('G');
  client.send(copyData('x\n'));
  const failed = summary(await client.untilReady());
  assert.equal(failed.errors[0].C, '22P02');
  assert.equal(failed.status, 'I');
  client.send(copyData('1\n'), copyData('2\n'), copyDone());
  assert.deepEqual((await client.query('SELECT count(*) FROM one')).rows, [['0']]);
  client.close();
});

test('CopyFail ends a COPY with an error in the words of the client', async () => {
  const client = await RawClient.connect(server);
  await client.query('CREATE TABLE failing (n int)');
  await client.query('BEGIN');
  client.send(queryMessage('COPY failing FROM STDIN'));
  await client.nextOfType('G');
  client.send(copyData('1\n'), message('f', Buffer.from('changed my mind\0')));
  const { errors, status } = summary(await client.untilReady());
  assert.equal(errors[0].C, '57014');
  assert.match(errors[0].M, /changed my mind/);
  assert.equal(status, 'E');
  assert.equal((await client.query('ROLLBACK')).status, 'I');
  assert.deepEqual((await client.query('SELECT count(*) FROM failing')).rows, [['0']]);
  client.close();
});

test('COPY by the extended protocol', async () => {
  const client = await RawClient.connect(server);
  await client.query('CREATE TABLE extended (n int)');
  const copy = [parse('', 'COPY extended FROM STDIN'), bind(''), execute(), sync()];
  client.send(...copy);
  await client.nextOfType('G');
  client.send(copyData('1\n2'), copyData('\n3\n'), copyDone(), sync());
  assert.deepEqual(summary(await client.untilReady()).tags, ['COPY 3']);
  // Once more with an error, and more data behind it.
  client.send(...copy);
  await client.nextOfType('G');
  client.send(copyData('4\nx\n'), copyData('5\n'), copyDone(), sync());
  const { errors, status } = summary(await client.untilReady());
  assert.equal(errors[0].C, '22P02');
  assert.equal(status, 'I');
  client.send(parse('', 'COPY extended TO STDOUT'), bind(''), execute(), sync());
  const out = await client.untilReady();
  assert.equal(out.filter(({ type }) => type === 'd').map(({ body }) => body).join(''), '1\n2\n3\n');
  client.close();
});

test('two COPYs and a SELECT in one simple query', async () => {
  const client = await RawClient.connect(server);
  await client.query('CREATE TABLE pair (n int)');
  client.send(queryMessage('COPY pair FROM STDIN; COPY pair FROM STDIN; SELECT sum(n) FROM pair'));
  await client.nextOfType('G');
  client.send(copyData('1\n'), copyDone());
  await client.nextOfType('G');
  client.send(copyData('2\n'), copyDone());
  const { tags, rows } = summary(await client.untilReady());
  assert.deepEqual(tags, ['COPY 1', 'SELECT 1']);
  assert.deepEqual(rows, [['3']]);
  client.close();
});

test('a reader that stands still makes the engine wait, not the memory grow', async () => {
  const client = await RawClient.connect(server);
  await psql(server, 'SELECT 1');
  const before = await server.residentBytes();
  client.socket.pause();
  client.send(queryMessage("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 300000)) TO STDOUT"));
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const grown = (await server.residentBytes()) - before;
  assert.ok(grown < 60e6, `grew by ${grown} bytes`);
  client.socket.resume();
  const messages = await client.untilReady();
  assert.equal(messages.filter(({ type }) => type === 'd').length, 300_000);
  client.close();
});

test('a writer that is faster than the engine is held back', async () => {
  await psql(server, 'CREATE TABLE slow (t text)');
  const client = await RawClient.connect(server);
  // Another client keeps the engine, so nothing of the COPY can be used yet.
  const holder = await RawClient.connect(server);
  await holder.query('BEGIN');
  client.send(queryMessage('COPY slow FROM STDIN'));
  const before = await server.residentBytes();
  const line = copyData(`${'y'.repeat(9_999)}\n`);
  const many = Buffer.concat(Array.from({ length: 100 }, () => line));
  for (let i = 0; i < 200; i++) client.socket.write(many); // 200 MB
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const grown = (await server.residentBytes()) - before;
  assert.ok(grown < 60e6, `grew by ${grown} bytes`);
  await holder.query('COMMIT');
  holder.close();
  await client.nextOfType('G');
  client.send(copyDone());
  assert.deepEqual(summary(await client.untilReady()).tags, ['COPY 20000']);
  client.close();
  await psql(server, 'DROP TABLE slow');
});

test('COPY of a psql pipe: out of one table, into another', async () => {
  await psql(server, 'TRUNCATE target');
  const command = `psql -Xqc "COPY source TO STDOUT (FORMAT binary)" "$URI" > "$FILE" && psql -Xqc "\\copy target from '$FILE' binary" "$URI"; rm "$FILE"`;
  const env = { URI: server.uri(), FILE: `/tmp/embedded-copy-${process.pid}.bin` };
  const { code, stderr } = await run('sh', ['-c', command], { env });
  assert.equal(code, 0, stderr);
  assert.equal(await psql(server, 'SELECT count(*) FROM target'), '20000');
});
