// The storm's proxy does what it is told: a storm that only seems to break connections proves nothing.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createConnection, createServer } from 'node:net';
import { FaultProxy } from './proxy.mjs';

let echo;
// How connections ended for the server, one after the other.
const endings = [];
const proxies = [];

before(async () => {
  // Sends back what it gets; ends when its peer does.
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', (error) => endings.push(error.code));
    socket.on('end', () => endings.push('end'));
    socket.pipe(socket);
  });
  await new Promise((resolve) => echo.listen(0, '127.0.0.1', resolve));
});

after(async () => {
  for (const proxy of proxies) await proxy.stop();
  echo.close();
});

async function proxied(options) {
  const proxy = await FaultProxy.start({ port: echo.address().port }, options);
  proxies.push(proxy);
  return proxy;
}

// A client: all it has received, and how it ended ('end', or an error's code).
async function connect(proxy) {
  const socket = createConnection({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
  const client = { socket, received: Buffer.alloc(0), ended: null };
  const done = new Promise((resolve) => (client.finish = (how) => { client.ended ??= how; resolve(client.ended); }));
  client.done = done;
  socket.on('data', (chunk) => (client.received = Buffer.concat([client.received, chunk])));
  socket.on('end', () => client.finish('end'));
  socket.on('error', (error) => client.finish(error.code));
  socket.on('close', () => client.finish('close'));
  await new Promise((resolve) => socket.once('connect', resolve));
  return client;
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
async function until(condition) {
  for (let i = 0; i < 500 && !condition(); ++i) await sleep(10);
  assert.ok(condition(), String(condition));
}

// Promise: without a fault every byte arrives, in order, and an end in one direction leaves the other open.
test('passes everything on', async () => {
  const client = await connect(await proxied());
  const sent = Buffer.alloc(3_000_000, 'abcdefg');
  client.socket.end(sent);
  assert.equal(await client.done, 'end');
  assert.ok(client.received.equals(sent));
});

// Promise: a cut comes after exactly the bytes asked for, as a reset or as an orderly end.
for (const how of ['rst', 'fin']) {
  test(`cuts after so many bytes: ${how}`, async () => {
    const proxy = await proxied();
    const client = await connect(proxy);
    await until(() => proxy.links.size === 1);
    const before = endings.length;
    assert.equal(proxy.cut({ after: 70_001, how }), 1);
    client.socket.write(Buffer.alloc(200_000));
    await client.done;
    // The server's word for it: libuv takes a reset that comes with the last bytes for an end.
    await until(() => endings.length === before + 1);
    assert.equal(endings.at(-1), how === 'rst' ? 'ECONNRESET' : 'end');
    // A reset may overtake what had been sent, never add to it.
    if (how === 'fin') assert.equal(client.received.length, 70_001);
    else assert.ok(client.received.length <= 70_001);
    assert.equal(proxy.links.size, 0);
  });
}

// Promise: without an open connection the next one is cut.
test('cuts the next connection', async () => {
  const proxy = await proxied();
  assert.equal(proxy.cut({ after: 5, how: 'fin' }), 0);
  const first = await connect(proxy);
  first.socket.write('0123456789');
  assert.equal(await first.done, 'end');
  assert.equal(String(first.received), '01234');
  const second = await connect(proxy);
  second.socket.end('0123456789');
  await second.done;
  assert.equal(String(second.received), '0123456789');
});

// Promise: silence loses nothing when it heals; new connections are silent as well.
for (const direction of ['up', 'down', 'both']) {
  test(`silent, then healed: ${direction}`, async () => {
    const proxy = await proxied();
    const old = await connect(proxy);
    old.socket.write('a');
    await until(() => old.received.length === 1);
    proxy.silence({ direction, milliseconds: 400 });
    const late = await connect(proxy);
    for (const client of [old, late]) client.socket.write('bc');
    await sleep(200);
    assert.equal(String(old.received), 'a');
    assert.equal(String(late.received), '');
    assert.equal(old.ended, null);
    await until(() => String(old.received) === 'abc' && String(late.received) === 'bc');
  });
}

// Promise: while it is silent neither peer learns that the other has gone; afterwards it does.
test('a silent link hides the death of a peer', async () => {
  const sockets = [];
  const server = createServer((socket) => sockets.push(socket.on('error', () => {})));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy = await FaultProxy.start({ port: server.address().port });
  proxies.push(proxy);
  const client = await connect(proxy);
  await until(() => sockets.length === 1);
  proxy.silence({ milliseconds: 400 });
  sockets[0].resetAndDestroy();
  await sleep(200);
  assert.equal(client.ended, null);
  assert.ok(['ECONNRESET', 'close'].includes(await client.done));
  server.close();
});

// Promise: a firewall that has forgotten a connection resets it.
test('silent, then reset', async () => {
  const proxy = await proxied();
  const client = await connect(proxy);
  await until(() => proxy.links.size === 1);
  proxy.silence({ milliseconds: 200, then: 'rst' });
  client.socket.write('lost');
  assert.equal(await client.done, 'ECONNRESET');
  assert.equal(client.received.length, 0);
});

// Promise: rate and delay are kept, and bytes stay in order.
test('slow and late', async () => {
  const slow = await connect(await proxied({ rate: 1_000_000 }));
  const sent = Buffer.from(Array.from({ length: 500_000 }, (_, i) => i % 251));
  let began = Date.now();
  slow.socket.end(sent);
  await slow.done;
  assert.ok(slow.received.equals(sent));
  assert.ok(Date.now() - began > 400, `500 kB at 1 MB/s took ${Date.now() - began} ms`);
  const late = await connect(await proxied({ delay: 150 }));
  began = Date.now();
  late.socket.end('x');
  await late.done;
  assert.ok(Date.now() - began >= 300, `there and back with 150 ms each way took ${Date.now() - began} ms`);
});

// Promise: a refused connection is reset at once, and only for the time asked for.
test('refuses', async () => {
  const proxy = await proxied();
  proxy.refuse(200);
  const refused = createConnection({ port: proxy.port, host: '127.0.0.1' });
  const error = await new Promise((resolve) => {
    refused.on('error', (e) => resolve(e.code));
    refused.on('close', () => resolve('close'));
  });
  assert.ok(['ECONNRESET', 'close'].includes(error));
  await sleep(250);
  const client = await connect(proxy);
  client.socket.end('x');
  assert.equal(await client.done, 'end');
});
