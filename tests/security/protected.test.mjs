// What passes over a protected connection, what a worker may say over it, and what never shows anywhere.
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { after, before, test as nodeTest } from 'node:test';
import { join } from 'node:path';
import { Caller, code, fieldsOf, message } from './support/grpc.mjs';
import { makeCertificates, outside, password, programs, token, World } from './support/world.mjs';
import { makeDatabase, processes, query, sleep, start, until, value, withUser } from '../integration/support/servers.mjs';

let world;
let version;
const callers = [];
before(async () => {
  world = await World.start();
  version = (await start(['--version'], {}, { program: programs.clone }).done).stdout.trim().split(' ')[1];
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

// Asserts that neither secret is in what was found, as text or as the journal's hexadecimal.
function assertNothingIn(what, text) {
  for (const secret of [password, token]) {
    for (const form of [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64')]) {
      assert.ok(!text.includes(form), `${secret} is in ${what}`);
    }
  }
}

// What is served at a URL, believing nobody but the authority of the certificates.
const fetchPage = (url, certificates) => new Promise((resolve, reject) => {
  get(url, { ca: readFileSync(join(certificates, 'ca.pem')) }, (response) => {
    let text = '';
    response.on('data', (chunk) => (text += chunk));
    response.on('end', () => resolve({ status: response.statusCode, text }));
  }).on('error', reject);
});

// Promise: a password or a token is in no log, no answer, no page, no metric, no row of the journal and no process list, though both
// went over the wire: the coordinator knows passwords and token from its environment and a file, the worker gets the passwords from
// it. Off loopback page and metrics are served by HTTPS, and by nothing else.
test('passwords and token show up nowhere', { timeout: 300000 }, async () => {
  const address = outside ?? '127.0.0.1';
  const seen = new Set();
  let looks = 0;
  const looking = setInterval(() => {
    for (const pid of processes((command) => command.includes(password) || command.includes(token))) seen.add(pid);
    ++looks;
  }, 50).unref(); // The proxies of this process must go on meanwhile.
  const coordinator = await world.coordinator({ listen: `${address}:0`, databases: address,
    more: [...world.serve(world.good), '--token-file', world.tokenFile, '--http', `${address}:0`] });
  const caller = call(coordinator.address, { certificates: world.good, token });
  const answers = async () => {
    for (const method of ['GetMigration', 'ListTables', 'ListTasks', 'ListWorkers']) {
      const answer = await caller.call(`MigrationService.${method}`);
      assert.equal(answer.code, code.ok, `${method}: ${answer.message}`);
      assertNothingIn(method, answer.body.toString('latin1'));
    }
    for (const form of [['--json'], []]) {
      const status = await world.run('clone', ['status', '--coordinator', coordinator.address, ...world.tls(world.good), ...form], { HYPERSHIFT_TOKEN: token }).done;
      assert.equal(status.code, 0, status.stderr);
      assertNothingIn('status', status.stdout + status.stderr);
    }
  };
  const urlOf = (running) => running.said.match(/"?url"?[=:]"?(https:[^\s"]+)/)?.[1];
  const page = urlOf(coordinator);
  assert.ok(page, coordinator.said);
  const pages = async (urls) => {
    for (const url of urls) {
      const { status, text } = await fetchPage(url, world.good);
      assert.equal(status, 200, url);
      assertNothingIn(url, text);
    }
  };
  await until('a plan', async () => fieldsOf((await caller.call('MigrationService.ListTasks')).body, 1).length > 0, 90);
  await answers();
  await pages(['', 'app.js', 'metrics', 'api/v1/state', 'api/v1/history'].map((path) => page + path));
  await assert.rejects(fetchPage(page, world.foreign), /certificate|signature|issuer/);
  await assert.rejects(fetch(page.replace('https:', 'http:')));
  const worker = world.worker(coordinator.address, { more: [...world.tls(world.good), '--log-format', 'json', '--http', '127.0.0.1:0'], env: { HYPERSHIFT_TOKEN: token } });
  await until('a worker', async () => fieldsOf((await caller.call('MigrationService.ListWorkers')).body, 1).length > 0, 60);
  await until('the worker\'s metrics', () => urlOf(worker));
  await pages([urlOf(worker)]).catch((error) => assert.match(`${error}`, /ECONN|socket hang up/)); // It may have ended meanwhile.
  await answers().catch((error) => assert.match(`${error}`, /UNAVAILABLE|no coordinator|undefined/)); // It may have ended meanwhile.
  for (const running of [coordinator, worker]) {
    const result = await running.done;
    assert.equal(result.code, 0, result.stderr);
    assertNothingIn('a log', result.stdout + result.stderr);
  }
  clearInterval(looking);
  assert.ok(looks > 20, `${looks}`);
  assert.deepEqual([...seen], []);
  assert.match(coordinator.said, /the worker was given the coordinator's connection strings worker=w1/);
  for (const table of query(coordinator.to, "SELECT c.oid::regclass FROM pg_class c WHERE relnamespace = '_hypershift'::regnamespace AND relkind = 'r'")) {
    assertNothingIn(table, query(coordinator.to, `SELECT t::text FROM ${table} t`).join('\n'));
  }
  world.assertWhole(coordinator.to);
  // It was worth looking for: without the password there is no way in.
  assert.throws(() => value(withUser(world.from, 'secretuser:wrong'), 'SELECT 1'), /password authentication failed/);
});

// Promise: a worker speaks for itself alone. A completion that is said again, or by another worker, or of an attempt that was
// never leased, changes nothing; and a migration goes on to its end whatever was tried.
test('a replayed completion changes nothing', { timeout: 300000 }, async () => {
  const coordinator = await world.coordinator({ more: ['--token-file', world.tokenFile] });
  const { to } = coordinator;
  const caller = call(coordinator.address, { token });
  const ask = async (method, ...fields) => (await caller.call(`WorkerService.${method}`, message(...fields)));
  const register = async (name, slots) => {
    const answer = await ask('Register', [1, name], [3, slots], [4, version]);
    assert.equal(answer.code, code.ok, answer.message);
    assert.deepEqual(fieldsOf(answer.body, 5), [], 'connection strings that nobody asked for');
  };
  let held = null;
  const running = () => (held === null ? [] : [[2, message([1, held.id], [2, held.attempt])]]);
  const synchronize = (name) => ask('Synchronize', [1, name], ...running());
  await register('false', 1);
  await until('a lease', async () => {
    const [lease] = fieldsOf((await synchronize('false')).body, 1);
    if (lease) held = { id: fieldsOf(lease, 1)[0], attempt: fieldsOf(lease, 2)[0] };
    return held !== null;
  }, 60);
  const beating = setInterval(() => synchronize('false'), 200);
  try {
    const worker = world.worker(coordinator.address, { env: { HYPERSHIFT_TOKEN: token } });
    await until('the others to be done', () => world.count(to, "state = 'done' AND worker = 'w1'") > 1 &&
      world.count(to, "state = 'leased'") === 1 && world.count(to, "state = 'pending' AND kind = 'copy'") === 0, 60);
    await sleep(1000);
    const journal = () => query(to, 'SELECT id, state, attempt, worker, failures, error, rows, digest, finished_at FROM _hypershift.task ORDER BY id').join('\n');
    const before = journal();
    const [doneId, doneAttempt] = value(to, "SELECT id, attempt FROM _hypershift.task WHERE state = 'done' AND worker = 'w1' LIMIT 1").split('|').map(Number);
    await register('other', 0);
    for (const method of ['Complete', 'Fail']) {
      for (const [who, name, id, attempt] of [
        ['who has done it, again', 'w1', doneId, doneAttempt], ['another of what is done', 'other', doneId, doneAttempt],
        ['another of what runs', 'other', held.id, held.attempt], ['the holder of another attempt', 'false', held.id, held.attempt + 1],
        ['the holder of another task', 'false', doneId, doneAttempt], ['anybody of no task', 'other', 999999, 1],
      ]) {
        for (let i = 0; i < 2; ++i) {
          const answer = await ask(method, [1, name], [2, id], [3, attempt], ...(method === 'Fail' ? [[4, 'forged']] : []));
          assert.equal(answer.code, code.aborted, `${method} by ${who}: ${answer.message}`);
        }
      }
      assert.equal((await ask(method, [1, 'stranger'], [2, held.id], [3, held.attempt])).code, code.notFound);
    }
    assert.equal(fieldsOf((await synchronize('other')).body, 2).length, 1, "another one's task is not revoked");
    // A holder that says it has committed, and has not, is not believed either.
    for (let i = 0; i < 2; ++i) assert.equal((await ask('Complete', [1, 'false'], [2, held.id], [3, held.attempt])).code, code.ok);
    await sleep(1000);
    assert.equal(journal(), before);
    assert.equal((await ask('Fail', [1, 'false'], [2, held.id], [3, held.attempt], [4, 'given back'], [6, true])).code, code.ok);
    held = null;
    clearInterval(beating);
    for (const program of [coordinator, worker]) {
      const { code: status, stderr } = await program.done;
      assert.equal(status, 0, stderr);
    }
    world.assertWhole(to);
  } finally {
    clearInterval(beating);
  }
});

// Promise: a certificate that was renewed is taken up while the coordinator runs, with a new connection; connections that
// exist stay. A file that is no certificate lets nobody new in, and is forgotten as soon as it is replaced.
test('a renewed certificate is taken up without a restart', { timeout: 300000 }, async () => {
  const folder = join(world.place.folder, 'renewed');
  cpSync(world.good, folder, { recursive: true });
  const coordinator = await world.coordinator({ more: world.serve(folder) });
  const request = ['MigrationService.GetMigration', message()];
  const first = call(coordinator.address, { certificates: folder });
  assert.equal((await first.call(...request)).code, code.ok);
  const old = first.serial;
  assert.ok(old);
  // What a new connection shows, and whether it is answered.
  const shown = async () => {
    const caller = call(coordinator.address, { certificates: folder });
    const answer = await caller.call(...request);
    return answer.code === code.ok ? caller.serial : '';
  };
  makeCertificates(folder, '--renew', 'coordinator.example');
  await until('the new certificate', async () => ![old, ''].includes(await shown()), 15);
  assert.equal((await first.call(...request)).code, code.ok);
  assert.equal(first.serial, old);
  const renewed = await shown();
  writeFileSync(join(folder, 'server.pem'), 'no certificate');
  await until('the broken file to be noticed', async () => await shown() === '', 15);
  assert.equal((await first.call(...request)).code, code.ok);
  makeCertificates(folder, '--renew', 'coordinator.example');
  await until('the newest certificate', async () => ![old, renewed, ''].includes(await shown()), 15);
  const worker = world.worker(coordinator.address, { more: world.tls(folder) });
  for (const running of [coordinator, worker]) {
    const { code: status, stderr } = await running.done;
    assert.equal(status, 0, stderr);
  }
});

// Promise: who keeps passwords in libpq's password file keeps them on each machine: the coordinator's addresses go to the worker
// without, and the worker's own file has them.
test('a worker finds the passwords in a file of its own', { timeout: 300000 }, async () => {
  const [mine, theirs] = ['coordinator', 'worker'].map((name) => join(world.place.folder, `pgpass-${name}`));
  for (const file of [mine, theirs]) writeFileSync(file, `127.0.0.1:*:*:secretuser:${password}\n`, { mode: 0o600 });
  const to = makeDatabase(world.target.uri);
  const [from, into] = [world.from, to].map((uri) => withUser(uri, 'secretuser'));
  const coordinator = await world.coordinator({ to, more: ['--token-file', world.tokenFile], env: { HYPERSHIFT_SOURCE_URI: from, HYPERSHIFT_TARGET_URI: into, PGPASSFILE: mine } });
  const worker = world.worker(coordinator.address, { env: { HYPERSHIFT_TOKEN: token, PGPASSFILE: theirs } });
  for (const running of [coordinator, worker]) assert.equal((await running.done).code, 0, running.said);
  world.assertWhole(to);
});

// Promise: a migration in one process can have a token too, against others on its machine; its worker and keeper know it.
test('clone asks for its token', { timeout: 300000 }, async () => {
  const to = makeDatabase(world.target.uri);
  const [from, into] = await world.uris(to);
  const address = `unix:${join(world.place.folder, 'clone.sock')}`;
  const seen = new Set();
  const clone = world.run('clone', ['clone', '-c', world.config, '--listen', address, '--token-file', world.tokenFile, '--verbose'],
    { HYPERSHIFT_SOURCE_URI: from, HYPERSHIFT_TARGET_URI: into });
  let ended = false;
  clone.done.then(() => (ended = true));
  let refused = '';
  let answered = false;
  let keepers = 0;
  while (!ended) {
    for (const pid of processes((command) => command.includes(token) || command.includes(password))) seen.add(pid);
    keepers = Math.max(keepers, processes((command) => command.includes('worker --keeper') && command.includes(address)).length);
    const status = (env) => world.run('clone', ['status', '--coordinator', address], env).done;
    if (!refused.includes('TOKEN')) refused = (await status({})).stderr;
    else if (!answered) answered = (await status({ HYPERSHIFT_TOKEN: token })).code === 0;
    else await sleep(5);
  }
  const result = await clone.done;
  assert.equal(result.code, 0, result.stderr);
  assert.match(refused, /HYPERSHIFT_TOKEN/);
  assert.ok(answered, 'status was never answered');
  assert.equal(keepers, 1, 'no keeper was seen');
  assert.deepEqual([...seen], []);
  assertNothingIn('the log', result.stdout + result.stderr);
  world.assertWhole(to);
  await until('the keeper to end', () => processes((command) => command.includes('worker --keeper') && command.includes(address)).length === 0, 20);
});
