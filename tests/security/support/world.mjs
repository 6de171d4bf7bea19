// Two servers whose role `secretuser` needs a password, proxies by which they can be reached from off this machine, and
// certificates of a private authority.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { FaultProxy } from '../../fault/proxy.mjs';
import { makeDatabase, query, root, sleep, start, startServer, temporaryFolder, value, withUser, writeConfig } from '../../integration/support/servers.mjs';

const built = process.env.HYPERSHIFT_BUILD ?? join(root, 'build');
export const programs = {
  clone: join(built, 'hypershift'),
  coordinator: join(built, 'hypershift-coordinator'),
  worker: join(built, 'hypershift-worker'),
};
export const password = 'canary-8846-password';
export const token = 'canary-8846-join-token';

// An address of this machine that is not loopback; undefined if it has none.
export const outside = Object.values(networkInterfaces()).flat().find(({ internal, family }) => !internal && family === 'IPv4')?.address;

export function makeCertificates(folder, ...names) {
  const renew = names[0] === '--renew' ? [names.shift()] : [];
  const days = /^-?\d+$/.test(names[0]) ? names.shift() : '30';
  const { status, stderr } = spawnSync(join(root, 'scripts/make-certs'), [...renew, folder, ...names], { encoding: 'utf8', env: { ...process.env, DAYS: days } });
  assert.equal(status, 0, stderr);
  return folder;
}

export class World {
  static async start() {
    const world = new World();
    Object.assign(world, { running: [], proxies: [], place: temporaryFolder() });
    const { folder } = world.place;
    process.env.HYPERSHIFT_SECRET_PASSWORD = password;
    [world.source, world.target] = await Promise.all([startServer('source-server', join(folder, 's')), startServer('source-server', join(folder, 't'))]);
    world.from = makeDatabase(world.source.uri);
    query(world.from, `
      CREATE TABLE items (id int PRIMARY KEY, t text); INSERT INTO items SELECT i, md5(i::text) FROM generate_series(1, 5000) i;
      CREATE TABLE notes (id int PRIMARY KEY, t text); INSERT INTO notes SELECT i, md5(i::text) FROM generate_series(1, 500) i;
      CREATE TABLE signs (id int PRIMARY KEY, t text); INSERT INTO signs SELECT i, md5(i::text) FROM generate_series(1, 500) i; ANALYZE`);
    world.config = writeConfig(folder, 'security.yml', 'parallel: 2\n');
    world.good = makeCertificates(join(folder, 'good'), ...(outside ? [outside] : []), 'coordinator.example');
    // Signed by somebody else.
    world.foreign = makeCertificates(join(folder, 'foreign'), ...(outside ? [outside] : []));
    world.expired = join(folder, 'expired');
    cpSync(world.good, world.expired, { recursive: true });
    makeCertificates(world.expired, '--renew', '-1', ...(outside ? [outside] : ['x']));
    world.tokenFile = join(folder, 'token');
    writeFileSync(world.tokenFile, `${token}\n`, { mode: 0o600 });
    return world;
  }

  async stop() {
    this.endAll();
    await Promise.all(this.proxies.map((proxy) => proxy.stop()));
    await this.source?.stop();
    await this.target?.stop();
    this.place.remove();
  }

  endAll() {
    for (const { child } of this.running.splice(0)) child.kill('SIGKILL');
  }

  run(program, args, env = {}) {
    const running = start(args, env, { program: programs[program] });
    // What it has said so far.
    running.said = '';
    running.child.stderr.on('data', (chunk) => (running.said += chunk));
    running.child.stdout.on('data', (chunk) => (running.said += chunk));
    this.running.push(running);
    return running;
  }

  // Connection strings with the password, by loopback or by an address that others can reach.
  async uris(to, address = '127.0.0.1') {
    const all = [this.from, to].map((uri) => withUser(uri, `secretuser:${password}`));
    if (address === '127.0.0.1') return all;
    return Promise.all(all.map(async (uri) => {
      const proxy = await FaultProxy.start({ port: Number(new URL(uri).port) }, { address });
      this.proxies.push(proxy);
      return uri.replace(/127\.0\.0\.1:\d+/, `${address}:${proxy.port}`);
    }));
  }

  // Starts a coordinator for a new target; resolves when it listens.
  async coordinator({ listen = '127.0.0.1:0', more = [], env = {}, databases = '127.0.0.1', to = makeDatabase(this.target.uri) } = {}) {
    const [from, into] = await this.uris(to, databases);
    const running = this.run('coordinator', ['-c', this.config, '--listen', listen, '--verbose', '--lease-duration', '3s', '--leader-lease', '2s', ...more],
      { HYPERSHIFT_SOURCE_URI: from, HYPERSHIFT_TARGET_URI: into, ...env });
    let ended = false;
    running.done.then(() => (ended = true));
    for (;;) {
      const found = running.said.match(/coordinator listens address=(\S+)/);
      if (found) return Object.assign(running, { address: found[1], to });
      assert.ok(!ended, running.said);
      await sleep(20);
    }
  }

  worker(address, { name = 'w1', more = [], env = {} } = {}) {
    return this.run('worker', ['--coordinator', address, '--name', name, '--slots', '2', '--keeper-grace', '20s', '--verbose', ...more], env);
  }

  count(to, condition) {
    try {
      return Number(value(to, `SELECT count(*) FROM _hypershift.task WHERE ${condition}`));
    } catch {
      return 0; // There is no journal yet.
    }
  }

  assertWhole(to) {
    for (const table of ['items', 'notes', 'signs']) {
      const sql = `SELECT count(*) || md5(string_agg(t::text, ',' ORDER BY id)) FROM ${table} t`;
      assert.equal(value(to, sql), value(this.from, sql), table);
    }
  }

  tls(folder, { show = true } = {}) {
    return ['--tls-ca', join(folder, 'ca.pem'), ...(show ? ['--tls-cert', join(folder, 'client.pem'), '--tls-key', join(folder, 'client.key')] : [])];
  }

  serve(folder, { askCallers = true } = {}) {
    return ['--tls-cert', join(folder, 'server.pem'), '--tls-key', join(folder, 'server.key'), ...(askCallers ? ['--tls-ca', join(folder, 'ca.pem')] : [])];
  }
}
