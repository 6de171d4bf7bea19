// Start-up, errors of every kind, pipelines and cancelling.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { psql, run } from './support/psql.mjs';
import { RawClient, bind, describe, execute, flush, parse, summary, sync } from './support/raw-client.mjs';
import { Server } from './support/server.mjs';
import { errorFields, message, queryMessage } from '../src/wire.mjs';

let server;
before(async () => {
  server = await Server.start();
});
after(async () => {
  assert.equal(await server.stop(), 0);
});

test('the ready line is all there is on standard output', async () => {
  await psql(server, 'SELECT 1');
  assert.equal(server.stdout, `ready host=127.0.0.1 port=${server.port}\n`);
});

test('encryption is declined, then the start-up goes on', async () => {
  for (const code of [80877103, 80877104]) {
    const client = await RawClient.open(server);
    const request = Buffer.alloc(8);
    request.writeUInt32BE(8, 0);
    request.writeUInt32BE(code, 4);
    const answer = new Promise((resolve) => client.socket.once('data', resolve));
    client.socket.write(request);
    assert.equal((await answer).toString('latin1', 0, 1), 'N');
    client.socket.destroy();
  }
  assert.equal(await psql(server, 'SELECT 1', { parameters: 'sslmode=prefer&gssencmode=prefer' }), '1');
});

test('parameters of the connection string arrive', async () => {
  const parameters = 'application_name=my%20app&options=-c%20search_path%3Da,b%20-c%20work_mem%3D5MB';
  const shown = await psql(server, ['SHOW application_name', 'SHOW search_path', 'SHOW work_mem'], { parameters });
  assert.equal(shown, 'my app\na,b\n5MB');
});

test('bad start-ups end with one FATAL error', async () => {
  const attempts = [
    [{ user: 'postgres', options: '-x' }, '42601'],
    [{ database: 'x' }, '28000'],
    [{ user: 'postgres', replication: 'database' }, '0A000'],
  ];
  for (const [parameters, sqlstate] of attempts) {
    const client = await RawClient.open(server);
    client.startup(parameters);
    const { body } = await client.nextOfType('E');
    assert.equal(errorFields(body).C, sqlstate);
    assert.equal(errorFields(body).S, 'FATAL');
  }
  const client = await RawClient.connect(server, { user: 'postgres', no_such_setting: '1' });
  client.send(queryMessage('SELECT 1'));
  assert.equal(errorFields((await client.nextOfType('E')).body).C, '42704');
});

test('errors carry their fields and leave a usable session', async () => {
  const client = await RawClient.connect(server);
  await client.query('CREATE TABLE e (id int PRIMARY KEY, CONSTRAINT small CHECK (id < 10))');
  const cases = [
    ['SELEC 1', '42601', { P: '1' }],
    ['SELECT 1/0', '22012', {}],
    ['SELECT * FROM missing', '42P01', { P: '15' }],
    ['INSERT INTO e VALUES (1), (1)', '23505', { n: 'e_pkey', t: 'e' }],
    ['INSERT INTO e VALUES (99)', '23514', { n: 'small' }],
    ['ALTER TABLE e ADD COLUMN id int', '42701', {}],
    ["DO $$BEGIN RAISE EXCEPTION 'mine' USING ERRCODE = 'P0099', HINT = 'a hint', DETAIL = 'a detail'; END$$", 'P0099', { H: 'a hint', D: 'a detail' }],
    ['SELECT ' + '('.repeat(300) + '1' + ')'.repeat(299), '42601', {}],
  ];
  for (const [sql, sqlstate, fields] of cases) {
    const { errors, status } = await client.query(sql);
    assert.equal(errors.length, 1, sql);
    assert.equal(errors[0].C, sqlstate, sql);
    assert.equal(errors[0].S, 'ERROR');
    for (const [letter, value] of Object.entries(fields)) assert.equal(errors[0][letter], value, `${sql}: ${letter}`);
    assert.equal(status, 'I');
  }
  assert.equal((await client.query('BEGIN')).status, 'T');
  assert.equal((await client.query('SELECT 1/0')).status, 'E');
  assert.equal((await client.query('SELECT 1')).errors[0].C, '25P02');
  assert.equal((await client.query('COMMIT')).tags[0], 'ROLLBACK');
  await client.query('BEGIN; INSERT INTO e VALUES (5)');
  assert.equal((await client.query('ROLLBACK')).types, 'CZ', 'no warnings');
  assert.equal((await client.query("DO $$BEGIN RAISE NOTICE 'seen'; END$$")).types, 'NCZ');
  assert.equal((await client.query('SAVEPOINT s')).errors[0].C, '25P01');
  assert.deepEqual((await client.query('')).types, 'IZ');
  client.close();
});

test('an error in mid-pipeline skips to the Sync; the next one runs', async () => {
  const client = await RawClient.connect(server);
  await client.query('CREATE TABLE pipeline (n int)');
  const statement = (sql) => [parse('', sql), bind(''), execute()];
  client.send(
    ...statement('INSERT INTO pipeline VALUES (1)'),
    ...statement('SELECT 1/0'),
    ...statement('INSERT INTO pipeline VALUES (2)'),
    sync(),
    ...statement('INSERT INTO pipeline VALUES (3)'),
    sync(),
    queryMessage('SELECT * FROM pipeline'),
  );
  const first = summary(await client.untilReady());
  assert.equal(first.errors[0].C, '22012');
  assert.deepEqual(first.tags, ['INSERT 0 1']);
  assert.deepEqual(summary(await client.untilReady()).tags, ['INSERT 0 1']);
  assert.deepEqual(summary(await client.untilReady()).rows, [['3']]);
  client.close();
});

test('a Flush shows what there is before the Sync', async () => {
  const client = await RawClient.connect(server);
  client.send(parse('f', 'SELECT $1::int'), describe('f'), flush());
  for (const type of ['1', 't', 'T']) assert.equal((await client.next()).type, type);
  client.send(bind('f', '5'), execute(), sync());
  assert.deepEqual(summary(await client.untilReady()).rows, [['5']]);
  client.close();
});

test('1,000 statements in one pipeline', async () => {
  const client = await RawClient.connect(server);
  client.send(parse('many', 'SELECT $1::int * 2'));
  for (let i = 0; i < 1000; i++) client.send(bind('many', i), execute());
  client.send(sync());
  const { rows } = summary(await client.untilReady());
  assert.equal(rows.length, 1000);
  assert.deepEqual(rows[999], ['1998']);
  client.close();
});

test('index commands with CONCURRENTLY are refused, the others work', async () => {
  const client = await RawClient.connect(server);
  await client.query('CREATE TABLE indexed (n int); CREATE INDEX i ON indexed (n)');
  for (const sql of ['CREATE UNIQUE INDEX CONCURRENTLY u ON indexed (n)', 'drop index concurrently i', 'REINDEX (VERBOSE) INDEX CONCURRENTLY i']) {
    const { errors, status } = await client.query(sql);
    assert.equal(errors[0].C, '0A000', sql);
    assert.equal(status, 'I');
    client.send(parse('', sql), bind(''), execute(), sync());
    assert.equal(summary(await client.untilReady()).types, 'EZ', sql);
  }
  assert.deepEqual((await client.query('REINDEX INDEX i; DROP INDEX i')).errors, []);
  client.close();
});

test('a nonsensical message ends only its own connection', async () => {
  const tooLong = Buffer.from([0x51, 0x7f, 0xff, 0xff, 0xff]);
  const tooShort = Buffer.from([0x51, 0, 0, 0, 3]);
  for (const nonsense of [message('?', Buffer.from('what')), tooLong, tooShort, message('Q', Buffer.from('no end')), message('P')]) {
    const client = await RawClient.connect(server);
    client.send(nonsense);
    assert.equal(errorFields((await client.nextOfType('E')).body).C, '08P01');
  }
  assert.equal(await psql(server, 'SELECT 1'), '1');
});

async function cancelRequest({ welcome }) {
  const { body } = welcome.find(({ type }) => type === 'K');
  const client = await RawClient.open(server);
  const request = Buffer.alloc(8);
  request.writeUInt32BE(16, 0);
  request.writeUInt32BE(80877102, 4);
  client.socket.write(Buffer.concat([request, body]));
  await once(client.socket, 'close'); // the server has seen to it
}

test('a CancelRequest stops a COPY, and a statement that waits', async () => {
  const client = await RawClient.connect(server);
  client.send(queryMessage("COPY (SELECT repeat('x', 100), generate_series(1, 2000000000)) TO STDOUT"));
  await client.nextOfType('d');
  const waiting = await RawClient.connect(server);
  waiting.send(queryMessage('SELECT 1'));
  await new Promise((resolve) => setTimeout(resolve, 200)); // until it is in the queue
  await cancelRequest(waiting);
  assert.equal(summary(await waiting.untilReady()).errors[0].C, '57014');
  await cancelRequest(client);
  assert.equal(summary(await client.untilReady()).errors[0].C, '57014');
  // One that comes too late does no harm.
  await cancelRequest(client);
  assert.deepEqual((await client.query('SELECT 1')).rows, [['1']]);
  client.close();
  waiting.close();
});

test('statement_timeout and CancelRequest stop what reads or writes files', async () => {
  const client = await RawClient.connect(server);
  const long = 'SELECT count(*) FROM generate_series(1, 2000000000)';
  await client.query('SET statement_timeout = 300');
  assert.equal((await client.query(long)).errors[0]?.C, '57014');
  assert.deepEqual((await client.query('SELECT 1')).rows, [['1']]);
  await client.query('RESET statement_timeout');
  client.send(queryMessage(long));
  await new Promise((resolve) => setTimeout(resolve, 500));
  await cancelRequest(client);
  assert.equal(summary(await client.untilReady()).errors[0].C, '57014');
  assert.deepEqual((await client.query('SELECT pg_sleep(0.1)')).errors, []);
  client.close();
});

test('pgbench runs with 8 clients in every mode', async () => {
  await psql(server, 'CREATE TABLE counter AS SELECT 0 AS n');
  const script = path.join(os.tmpdir(), `embedded-pgbench-${process.pid}.sql`);
  fs.writeFileSync(script, 'BEGIN;\nUPDATE counter SET n = n + 1;\nCOMMIT;\n');
  for (const mode of ['simple', 'extended', 'prepared']) {
    // A thread for each client: one that prepares blocks its thread.
    const { code, stderr } = await run('pgbench', ['-n', '-M', mode, '-c8', '-j8', '-t20', '-f', script, server.uri()]);
    assert.equal(code, 0, stderr);
  }
  fs.rmSync(script);
  assert.equal(await psql(server, 'SELECT n FROM counter'), '480');
});
