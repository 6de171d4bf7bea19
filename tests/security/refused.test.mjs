// Who is not let in, and what a coordinator does not listen to: real programs, real certificates, and calls made by hand.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, test as nodeTest } from 'node:test';
import { join } from 'node:path';
import { Caller, code, message } from './support/grpc.mjs';
import { makeCertificates, outside, password, token, World } from './support/world.mjs';
import { root, sleep, until } from '../integration/support/servers.mjs';

let world;
const callers = [];
before(async () => {
  world = await World.start();
});
// What a test leaves is ended with it; a hook would run after each of its parts.
const test = (title, ...rest) => {
  const [options, body] = rest.length > 1 ? rest : [{}, rest[0]];
  return nodeTest(title, options, async (t) => {
    try {
      await body(t);
    } finally {
      for (const caller of callers.splice(0)) caller.close();
      world.endAll();
    }
  });
};
after(() => world?.stop());

function call(address, options) {
  const caller = new Caller(address, options);
  callers.push(caller);
  return caller;
}

const secrets = new RegExp(`${password}|${token}`);

// One line that says what to do, exit 2, and no secret in it.
async function refuses(program, args, pattern, env = {}) {
  const { code: status, stdout, stderr } = await world.run(program, args, env).done;
  assert.equal(status, 2, stdout + stderr);
  const lines = stderr.split('\n').filter((line) => line.startsWith('hypershift'));
  assert.equal(lines.length, 1, stderr);
  assert.match(lines[0], pattern);
  assert.doesNotMatch(stdout + stderr, secrets);
}

// Promise: off loopback nothing listens, and nobody connects, without TLS and known callers, unless the operator insists.
test('an address off this machine needs TLS and known callers', async () => {
  const databases = { HYPERSHIFT_SOURCE_URI: world.from, HYPERSHIFT_TARGET_URI: world.target.uri };
  const own = world.serve(world.good, { askCallers: false });
  for (const address of ['0.0.0.0:0', '[::]:0', 'coordinator.example:7433', ...(outside ? [`${outside}:0`] : [])]) {
    await refuses('coordinator', ['--listen', address], /--listen: .*--tls-cert/, databases);
    await refuses('coordinator', ['--listen', address, '--token-file', world.tokenFile], /--listen: .*--tls-cert/, databases);
    await refuses('coordinator', ['--listen', address, ...own], /--listen: .*--token-file/, databases);
    await refuses('clone', ['clone', '--listen', address], /--listen: .*hypershift-coordinator/, databases);
    await refuses('worker', ['--coordinator', address.replace(':0', ':7433')], /--tls-ca/);
    await refuses('clone', ['status', '--coordinator', address.replace(':0', ':7433')], /--tls-ca/);
    await refuses('clone', ['retry', 'public.items', '--coordinator', address.replace(':0', ':7433')], /--tls-ca/, { HYPERSHIFT_TOKEN: token });
  }
});

// Promise: what is wrong with a file is said at the start, not by every connection.
test('unusable certificates and tokens are refused at the start', async () => {
  const databases = { HYPERSHIFT_SOURCE_URI: world.from, HYPERSHIFT_TARGET_URI: world.target.uri };
  const file = (name) => join(world.good, name);
  const pair = (certificate, key) => ['--tls-cert', certificate, '--tls-key', key];
  const open = join(world.place.folder, 'open.key');
  copyFileSync(file('server.key'), open);
  chmodSync(open, 0o644);
  await refuses('coordinator', world.serve(world.expired), /expired at/, databases);
  await refuses('coordinator', pair(file('server.pem'), file('client.key')), /does not belong to the key/, databases);
  await refuses('coordinator', pair('/nowhere/server.pem', file('server.key')), /can't be read/, databases);
  await refuses('coordinator', pair(world.tokenFile, file('server.key')), /holds no PEM certificate/, databases);
  await refuses('coordinator', pair(file('server.pem'), open), /chmod 600/, databases);
  await refuses('coordinator', ['--tls-cert', file('server.pem')], /--tls-key/, databases);
  await refuses('coordinator', ['--tls-ca', file('ca.pem')], /--tls-cert/, databases);
  await refuses('coordinator', ['--token-file', '/nowhere/token'], /--token-file/, databases);
  await refuses('coordinator', [], /HYPERSHIFT_TOKEN: a token has/, { ...databases, HYPERSHIFT_TOKEN: 'short' });
  await refuses('worker', ['--coordinator', 'unix:/x', ...world.tls(world.expired)], /expired at/);
});

// Promise: scripts/make-certs never replaces an authority, and keeps keys private.
test('make-certs replaces no authority', () => {
  const { status, stderr } = spawnSync(join(root, 'scripts/make-certs'), [world.good, 'x'], { encoding: 'utf8' });
  assert.equal(status, 2);
  assert.match(stderr, /has an authority already/);
  for (const name of ['ca', 'server', 'client']) assert.equal(statSync(join(world.good, `${name}.key`)).mode & 0o777, 0o600);
});

// Promise: a coordinator that asks for certificates and a token lets nobody in without both, and its callers believe nobody
// but a coordinator of their authority; whoever is turned away changes nothing, and the migration goes on.
test('only certificate and token together open the door', { timeout: 300000 }, async (t) => {
  if (!outside) return t.skip('this machine has loopback addresses only');
  const coordinator = await world.coordinator({
    listen: `${outside}:0`, databases: outside, more: [...world.serve(world.good), '--token-file', world.tokenFile],
  });
  const { address } = coordinator;
  const request = ['MigrationService.GetMigration', message()];
  await t.test('who has both is heard', async () => {
    assert.equal((await call(address, { certificates: world.good, token }).call(...request)).code, code.ok);
  });
  for (const [title, options] of [
    ['a plain client', { token }],
    ['no certificate', { certificates: world.good, show: null, token }],
    ['a certificate of another authority', { certificates: world.mixed ??= mix(world.foreign, world.good), token }],
    ['an expired certificate', { certificates: world.expired, token }],
    ['a caller that does not believe this authority', { certificates: world.foreign, token }],
    ['a caller that wants another name', { certificates: world.good, servername: 'other.example', token }],
  ]) {
    await t.test(`${title} gets no answer`, async () => {
      const answer = await call(address, options).call(...request);
      assert.equal(answer.code, undefined, answer.message);
      assert.ok(answer.error);
      // It is there, and answers others.
      assert.equal((await call(address, { certificates: world.good, token }).call(...request)).code, code.ok);
    });
  }
  for (const [title, wrong] of [['no token', ''], ['a wrong token', `${token}x`], ['half a token', token.slice(0, -1)]]) {
    await t.test(`${title} is turned away`, async () => {
      const caller = call(address, { certificates: world.good, token: wrong });
      for (const method of ['MigrationService.Stop', 'MigrationService.Watch', 'WorkerService.Register', 'grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo', 'no.Such/Method']) {
        const answer = await caller.call(method);
        assert.equal(answer.code, code.unauthenticated, `${method}: ${answer.error ?? answer.message}`);
        assert.doesNotMatch(answer.message, secrets);
      }
      assert.equal((await caller.call('grpc.health.v1.Health/Check')).code, code.ok);
    });
  }
  await t.test('the programs say what is wrong', async () => {
    const env = { HYPERSHIFT_TOKEN: token };
    const status = (...more) => ['status', '--coordinator', address, ...more];
    await refuses('clone', status(...world.tls(world.good)), /HYPERSHIFT_TOKEN/);
    await refuses('clone', status(...world.tls(world.good)), /the token is not/, { HYPERSHIFT_TOKEN: `${token}-not` });
    await refuses('clone', status('--tls-ca', join(world.foreign, 'ca.pem')), /--tls-ca/, env);
    await refuses('clone', status(...world.tls(world.good), '--tls-server-name', 'other.example'), /--tls-server-name/, env);
    await refuses('clone', status(...world.tls(world.good, { show: false })), /no (secure connection|coordinator is ready)/, env);
    await refuses('clone', status('--insecure'), /no (secure connection|coordinator is ready)/, env);
    const worker = await world.worker(address, { more: world.tls(world.good), env: { HYPERSHIFT_TOKEN: `${token}-not` } }).done;
    assert.equal(worker.code, 1, worker.stderr);
    assert.match(worker.stderr, /refused this worker.*token/);
    const answered = await world.run('clone', status(...world.tls(world.good), '--json', '--tls-server-name', 'coordinator.example'), env).done;
    assert.equal(answered.code, 0, answered.stderr);
  });
  await t.test('too large a message is refused', async () => {
    const caller = call(address, { certificates: world.good, token });
    const large = message([1, 'x'.repeat(5 << 20)]);
    const answer = await caller.call('WorkerService.Fail', large);
    assert.equal(answer.code, code.resourceExhausted, `${answer.error ?? answer.message}`);
    assert.equal((await caller.call(...request)).code, code.ok);
  });
  const worker = world.worker(address, { more: world.tls(world.good), env: { HYPERSHIFT_TOKEN: token } });
  for (const running of [coordinator, worker]) {
    const { code: status, stderr } = await running.done;
    assert.equal(status, 0, stderr);
    assert.doesNotMatch(stderr, secrets);
  }
  assert.match(coordinator.said, /a call without the coordinator's token/);
  world.assertWhole(coordinator.to);
  return undefined;
});

// A folder whose client shows what `stranger` has, and believes in the authority of `own`.
function mix(stranger, own) {
  const folder = join(world.place.folder, 'mixed');
  makeCertificates(folder, 'x');
  copyFileSync(join(own, 'ca.pem'), join(folder, 'ca.pem'));
  for (const name of ['client.pem', 'client.key']) copyFileSync(join(stranger, name), join(folder, name));
  return folder;
}

// Promise: --insecure does what it says, and says what that exposes; passwords don't leave by it.
test('whoever insists is warned, and passwords stay', async (t) => {
  if (!outside) return t.skip('this machine has loopback addresses only');
  const coordinator = await world.coordinator({ listen: `${outside}:0`, databases: outside, more: ['--insecure', '--token-file', world.tokenFile] });
  assert.match(coordinator.said, /WARNING --insecure: at .* everybody on the way can read and change what is said, the token included/);
  assert.equal((await call(coordinator.address, { token }).call('MigrationService.GetMigration')).code, code.ok);
  assert.equal((await call(coordinator.address).call('MigrationService.GetMigration')).code, code.unauthenticated);
  const worker = await world.worker(coordinator.address, { more: ['--insecure'], env: { HYPERSHIFT_TOKEN: token } }).done;
  assert.equal(worker.code, 1, worker.stderr);
  assert.match(worker.stderr, /refused this worker.*not encrypted/);
  assert.doesNotMatch(worker.stderr + coordinator.said, secrets);
  return undefined;
});

// Promise: on loopback, which every user of the machine can reach, passwords are given to those who know the token only.
test('a coordinator that asks nobody gives no passwords', async () => {
  const coordinator = await world.coordinator();
  const worker = await world.worker(coordinator.address).done;
  assert.equal(worker.code, 1, worker.stderr);
  assert.match(worker.stderr, /refused this worker.*--token-file/);
  const answer = await call(coordinator.address).call('WorkerService.Register', message([1, 'thief'], [4, '0.7.0'], [10, true]));
  assert.equal(answer.code, code.failedPrecondition);
  assert.equal(answer.body.length, 0);
});

// Promise: a runaway caller is turned away, and whoever calls over another connection is not. Written as frames by hand: no client is
// fast enough.
test('a flood of calls keeps nobody else out', { timeout: 300000 }, async () => {
  const coordinator = await world.coordinator();
  const [host, port] = coordinator.address.split(':');
  const socket = connect(Number(port), host);
  let answers = '';
  socket.on('data', (chunk) => (answers += chunk.toString('latin1')));
  socket.on('error', () => {}); // It is closed in mid-flood.
  socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0)]));
  const headers = flood('/grpc.health.v1.Health/Check');
  const calls = (first) => Buffer.concat(Array.from({ length: 1000 }, (_, i) => frame(1, 5, first + 2 * i, headers)));
  const exhausted = () => answers.includes('too many calls');
  for (let sent = 0; sent < 200 && !exhausted(); ++sent) {
    if (!socket.write(calls(1 + 2000 * sent))) await once(socket, 'drain');
    await sleep(1);
  }
  await until('the flood to be turned away', exhausted, 20);
  assert.equal((await call(coordinator.address).call('MigrationService.GetMigration')).code, code.ok);
  socket.destroy();
  assert.equal((await call(coordinator.address).call('MigrationService.GetMigration')).code, code.ok);
});

// A frame of HTTP/2 (RFC 9113), and a request's headers as literals and entries of the static table (RFC 7541).
function frame(type, flags, stream, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
function flood(path) {
  const text = (value) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  return Buffer.concat([Buffer.from([0x83, 0x86, 0x01]), text('localhost'), Buffer.from([0x04]), text(path),
    Buffer.from([0x0f, 0x10]), text('application/grpc'), Buffer.from([0x00]), text('te'), text('trailers')]);
}

// Promise: those who watch can't take all of the coordinator's threads.
test('only so many watch at a time', async () => {
  const coordinator = await world.coordinator();
  const caller = call(coordinator.address);
  const watches = await Promise.all(Array.from({ length: 64 }, () => caller.call('MigrationService.Watch', message(), { many: true })));
  assert.ok(watches.every((watch) => watch.code === code.ok));
  assert.equal((await caller.call('MigrationService.Watch', message(), { many: true })).code, code.resourceExhausted);
  assert.equal((await caller.call('MigrationService.GetMigration')).code, code.ok);
  for (const watch of watches) watch.end();
  await until('room for another', async () => {
    const watch = await caller.call('MigrationService.Watch', message(), { many: true });
    watch.end();
    return watch.code === code.ok;
  }, 10);
});
