// Many clients at once: their transactions, their settings, their statements,
// and what remains when one is killed.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import test, { after, before } from 'node:test';
import { psql, tryPsql } from './support/psql.mjs';
import { RawClient, bind, describe, execute, parse, summary, sync, copyData, copyDone } from './support/raw-client.mjs';
import { Server } from './support/server.mjs';
import { queryMessage } from '../src/wire.mjs';

let server;
before(async () => {
  server = await Server.start('--queue-timeout', '20');
});
after(() => server.stop());

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test('8 clients copy and keep a journal in one transaction each', async () => {
  await psql(server, ['CREATE TABLE events (client int, n int, payload text)', 'CREATE TABLE journal (client int PRIMARY KEY, rows int)']);
  const { stdout: rows } = await tryPsql(
    server,
    "COPY (SELECT 0, i, md5(i::text) FROM generate_series(1, 10000) i) TO STDOUT (FORMAT binary)",
  );
  const copyOne = async (client) => {
    for (let round = 0; round < 3; round++) {
      const commands = [
        'BEGIN',
        'COPY events FROM STDIN (FORMAT binary)',
        `INSERT INTO journal VALUES (${client * 10 + round}, 10000)`,
        'COMMIT',
      ];
      await psql(server, commands, { input: rows });
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, client) => copyOne(client)));
  assert.equal(await psql(server, 'SELECT count(*), count(DISTINCT n) FROM events'), '240000|10000');
  assert.equal(await psql(server, 'SELECT count(*), sum(rows) FROM journal'), '24|240000');
});

test('a client killed in mid-COPY leaves nothing, and the others go on', async () => {
  await psql(server, 'CREATE TABLE killed (n int, t text)');
  for (const [how, begin] of [['in a transaction', 'BEGIN;'], ['by itself', '']]) {
    const args = ['-X', server.uri(), '-c', `${begin} COPY killed FROM STDIN`];
    const child = spawn('psql', args, { stdio: ['pipe', 'ignore', 'ignore'] });
    child.stdin.on('error', () => {}); // it is killed while it reads
    for (let i = 0; i < 200; i++) child.stdin.write(`1\t${'x'.repeat(50)}\n`.repeat(100));
    await pause(700); // it is under way, and holds the engine
    child.kill('SIGKILL');
    const start = Date.now();
    assert.equal(await psql(server, 'SELECT count(*) FROM killed'), '0', how);
    assert.ok(Date.now() - start < 3000, 'the engine is free at once');
  }
});

test('a connection that is reset leaves nothing, whatever it was doing', async () => {
  await psql(server, 'CREATE TABLE reset_by_peer (n int)');
  const insert = queryMessage('BEGIN; INSERT INTO reset_by_peer VALUES (1)');
  const cases = {
    'idle in transaction': async (client) => client.query('BEGIN; INSERT INTO reset_by_peer VALUES (1)'),
    'inside a CopyData message': async (client) => {
      client.send(queryMessage('COPY reset_by_peer FROM STDIN'));
      await client.nextOfType('G');
      client.send(copyData('1\n'), copyData('2\n'.repeat(500_000)).subarray(0, 600_000));
      await pause(300);
    },
    'in a pipeline without its Sync': async (client) => {
      client.send(parse('', 'INSERT INTO reset_by_peer VALUES (1)'), bind(''), execute(), parse('', 'SELECT 1'));
      await pause(300);
    },
    'in a COPY by the extended protocol': async (client) => {
      client.send(parse('', 'COPY reset_by_peer FROM STDIN'), bind(''), execute(), sync());
      await client.nextOfType('G');
      client.send(copyData('1\n'));
      await pause(100);
    },
    'at the begin of a COPY by the extended protocol': async (client) => {
      client.send(parse('', 'COPY reset_by_peer FROM STDIN'), bind(''), execute(), sync());
    },
    'before it has seen the answer': async (client) => {
      client.send(insert);
    },
  };
  for (const [name, act] of Object.entries(cases)) {
    const client = await RawClient.connect(server);
    await act(client);
    client.reset();
    assert.equal(await psql(server, 'SELECT count(*) FROM reset_by_peer'), '0', name);
  }
});

test('200 connections cut at any moment leave whole transactions or nothing', async () => {
  await psql(server, ['CREATE TABLE cut_rows (client int)', 'CREATE TABLE cut_journal (client int)']);
  let seed = 20240101;
  const random = (limit) => ((seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) >> 8) % limit;
  const extended = (sql) => [parse('', sql), bind(''), execute(), sync()];
  const work = async (client, id) => {
    const run = async (sql) => {
      client.send(...(id % 2 === 0 ? [queryMessage(sql)] : extended(sql)));
      return client.untilReady();
    };
    await run('BEGIN');
    client.send(...(id % 2 === 0 ? [queryMessage('COPY cut_rows FROM STDIN')] : extended('COPY cut_rows FROM STDIN')));
    await client.nextOfType('G');
    for (let i = 0; i < 10; i++) client.send(copyData(`${id}\n`.repeat(100)));
    client.send(copyDone(), ...(id % 2 === 0 ? [] : [sync()]));
    await client.untilReady();
    await run(`INSERT INTO cut_journal VALUES (${id})`);
    await run('COMMIT');
  };
  for (let id = 0; id < 200; id++) {
    const client = await RawClient.connect(server);
    const working = work(client, id).catch(() => {}); // cut off
    await pause(random(100));
    if (id % 3 === 0) client.socket.end();
    else client.reset();
    await working;
  }
  const torn = 'SELECT count(*) FROM (SELECT client, count(*) AS n FROM cut_rows GROUP BY 1) r FULL JOIN cut_journal j USING (client) WHERE n IS DISTINCT FROM 1000 OR j IS NULL';
  assert.equal(await psql(server, torn), '0');
  const whole = Number(await psql(server, 'SELECT count(*) FROM cut_journal'));
  assert.ok(whole > 0 && whole < 200, `${whole} of 200 came through`);
});

test('a killed reader of an endless COPY frees the engine at once', async () => {
  const client = await RawClient.connect(server);
  client.send(queryMessage("COPY (SELECT repeat('x', 100), generate_series(1, 2000000000)) TO STDOUT"));
  await client.nextOfType('d');
  client.reset();
  const start = Date.now();
  await psql(server, 'SELECT 1');
  assert.ok(Date.now() - start < 3000);
});

test('Terminate in mid-transaction rolls back', async () => {
  const client = await RawClient.connect(server);
  await client.query('CREATE TABLE terminated (n int)');
  await client.query('BEGIN; INSERT INTO terminated VALUES (1)');
  client.close();
  assert.equal(await psql(server, 'SELECT count(*) FROM terminated'), '0');
});

test('what a client sent before it closed is still done', async () => {
  const client = await RawClient.connect(server);
  await client.query('CREATE TABLE parting (n int)');
  client.socket.end(queryMessage('INSERT INTO parting VALUES (1)'));
  await pause(300);
  assert.equal(await psql(server, 'SELECT count(*) FROM parting'), '1');
});

test('each client has its own settings', async () => {
  const a = await RawClient.connect(server, { user: 'postgres', application_name: 'a', options: '-c work_mem=7MB' });
  const b = await RawClient.connect(server, { user: 'postgres', search_path: 'pg_catalog', TimeZone: 'Asia/Tokyo' });
  const show = async (client) =>
    (await client.query("SELECT current_setting('work_mem'), current_setting('search_path'), current_setting('TimeZone'), current_setting('application_name'), current_setting('statement_timeout')")).rows[0];
  const plain = ['4MB', '"$user", public', 'UTC', '', '0'];
  assert.deepEqual(await show(a), ['7MB', ...plain.slice(1, 3), 'a', '0']);
  assert.deepEqual(await show(b), ['4MB', 'pg_catalog', 'Asia/Tokyo', '', '0']);
  await a.query("SELECT set_config('search_path', '', false)"); // as pg_restore does
  await a.query('SET statement_timeout = 12345');
  await b.query('SET work_mem = 9999');
  assert.deepEqual(await show(a), ['7MB', '', 'UTC', 'a', '12345ms']);
  assert.deepEqual(await show(b), ['9999kB', 'pg_catalog', 'Asia/Tokyo', '', '0']);
  assert.deepEqual(await show(await RawClient.connect(server)), plain);
  await a.query('RESET ALL');
  assert.equal((await a.query('SHOW client_min_messages')).rows[0][0], 'notice');
  await b.query('DISCARD ALL');
  assert.deepEqual(await show(b), ['4MB', 'pg_catalog', 'Asia/Tokyo', '', '0']);
  a.close();
  b.close();
});

test('roles: logging in as one, and SET ROLE, stay with their client', async () => {
  await psql(server, ['CREATE ROLE reader LOGIN', 'CREATE TABLE secret (n int)']);
  const reader = await RawClient.connect(server, { user: 'reader' });
  const admin = await RawClient.connect(server);
  assert.deepEqual((await reader.query('SELECT session_user, current_user')).rows, [['reader', 'reader']]);
  assert.equal((await reader.query('SELECT * FROM secret')).errors[0].C, '42501');
  assert.equal((await admin.query('SELECT * FROM secret')).errors.length, 0);
  await admin.query('SET ROLE reader');
  assert.deepEqual((await RawClient.connect(server).then((c) => c.query('SELECT current_user'))).rows, [['postgres']]);
  assert.deepEqual((await admin.query('SELECT session_user, current_user')).rows, [['postgres', 'reader']]);
  reader.close();
  admin.close();
});

test('changed settings are reported before ReadyForQuery', async () => {
  const client = await RawClient.connect(server, { user: 'postgres', application_name: 'first' });
  const reported = (messages) => messages.filter(({ type }) => type === 'S').map(({ body }) => body.toString().split('\0').slice(0, 2));
  assert.ok(reported(client.welcome).some(([name, value]) => name === 'application_name' && value === 'first'));
  client.send(queryMessage("SET application_name = 'second'; SET TimeZone = 'Asia/Tokyo'"));
  const messages = await client.untilReady();
  assert.deepEqual(reported(messages), [['application_name', 'second'], ['TimeZone', 'Asia/Tokyo']]);
  assert.equal(messages.map(({ type }) => type).join(''), 'CCSSZ');
  client.close();
});

test('encodings other than UTF8 are refused, and harm nobody', async () => {
  const client = await RawClient.connect(server);
  assert.equal((await client.query("SELECT convert_to('x', 'LATIN1')")).errors[0].C, '0A000');
  await client.query("SET client_encoding = 'LATIN1'");
  assert.deepEqual((await client.query("SELECT 'é', current_setting('client_encoding')")).rows, [['é', 'UTF8']]);
  client.close();
  const { stderr } = await tryPsql(server, 'SELECT 1', { parameters: 'client_encoding=LATIN1' });
  assert.match(stderr, /client_encoding must be UTF8/);
});

test('statements of the same name in two clients', async () => {
  const [a, b] = [await RawClient.connect(server), await RawClient.connect(server)];
  for (const [client, value] of [[a, 'a'], [b, 'b']]) {
    client.send(parse('s', `SELECT '${value}' || $1`), describe('s'), sync());
    assert.deepEqual(summary(await client.untilReady()).errors, []);
  }
  for (const [client, value] of [[a, 'a'], [b, 'b'], [a, 'a']]) {
    client.send(bind('s', '1'), execute(), sync());
    assert.deepEqual(summary(await client.untilReady()).rows, [[`${value}1`]]);
  }
  assert.deepEqual((await a.query('DEALLOCATE s')).errors, []);
  a.send(bind('s', '1'), execute(), sync());
  assert.equal(summary(await a.untilReady()).errors[0].C, '26000');
  assert.deepEqual((await b.query('DEALLOCATE ALL')).tags, ['DEALLOCATE ALL']);
  b.send(bind('s', '1'), execute(), sync());
  assert.equal(summary(await b.untilReady()).errors[0].C, '26000');
  a.close();
  b.close();
});

test('the unnamed statement outlives other clients, not a simple query', async () => {
  const [a, b] = [await RawClient.connect(server), await RawClient.connect(server)];
  a.send(parse('', "SELECT 'a' || $1"), sync());
  await a.untilReady();
  b.send(parse('', "SELECT 'b' || $1"), sync());
  await b.untilReady();
  for (const [client, value] of [[a, 'a1'], [b, 'b1']]) {
    client.send(bind('', '1'), execute(), sync());
    assert.deepEqual(summary(await client.untilReady()).rows, [[value]]);
  }
  await a.query('SELECT 1');
  a.send(bind('', '1'), execute(), sync());
  assert.equal(summary(await a.untilReady()).errors[0].C, '26000');
  a.close();
  b.close();
});

test('the statements of a client that has gone are closed', async () => {
  const before = await psql(server, 'SELECT count(*) FROM pg_prepared_statements');
  const client = await RawClient.connect(server);
  for (let i = 0; i < 5; i++) client.send(parse(`p${i}`, 'SELECT 1'), sync());
  for (let i = 0; i < 5; i++) await client.untilReady();
  client.reset();
  await pause(200);
  assert.equal(await psql(server, 'SELECT count(*) FROM pg_prepared_statements'), before);
});

test('a statement that waits too long fails, and its client goes on', async () => {
  const impatient = await Server.start('--queue-timeout', '0.7');
  try {
    const holder = await RawClient.connect(impatient);
    await holder.query('BEGIN');
    const waiter = await RawClient.connect(impatient);
    const start = Date.now();
    const { errors, status } = await waiter.query('SELECT 1');
    assert.equal(errors[0].C, '55P03');
    assert.equal(status, 'I');
    assert.ok(Date.now() - start > 600 && Date.now() - start < 5000);
    // An extended round is skipped to its Sync.
    waiter.send(parse('', 'SELECT 1'), bind(''), execute(), sync());
    const refused = summary(await waiter.untilReady());
    assert.equal(refused.types, 'EZ');
    await holder.query('COMMIT');
    assert.deepEqual((await waiter.query('SELECT 2')).rows, [['2']]);
    holder.close();
    waiter.close();
  } finally {
    await impatient.stop();
  }
});
