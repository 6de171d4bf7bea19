// A source host, a target host, a coordinator host, and as many hosts with workers as a test wants; all speak TLS to the
// coordinator, know its token, and get their connection strings from it.
import assert from 'node:assert/strict';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, Cluster } from '../../fault/cluster.mjs';
import { findProblems } from '../../fault/oracle.mjs';
import { makeDatabase, query, root, start, temporaryFolder, until, writeConfig } from '../../integration/support/servers.mjs';
import { makeCertificates } from '../../security/support/world.mjs';
import { Host, startRouter } from './network.mjs';

const built = process.env.HYPERSHIFT_BUILD ?? join(root, 'build');
const token = 'token-of-several-hosts';
const port = 9300;

// A server on a host of its own, which everybody may use.
async function startOn(host, folder) {
  const cluster = await Cluster.start(folder, { prefix: host.prefix, settings: ['listen_addresses=*'] });
  appendFileSync(join(cluster.folder, 'cluster/data/pg_hba.conf'), 'host all all 10.77.0.0/16 trust\n');
  process.kill(Number(readFileSync(join(cluster.folder, 'cluster/data/postmaster.pid'), 'utf8').split('\n')[0]), 'SIGHUP');
  cluster.uri = cluster.uri.replace('127.0.0.1', host.address);
  await until('a server that lets hosts in', () => ask(cluster.uri, 'SELECT 1').then(() => true, () => false), 20);
  return cluster;
}

export class World {
  // config: lines of hypershift.yml.
  static async start({ config = '' } = {}) {
    const world = new World();
    startRouter();
    world.place = temporaryFolder();
    const { folder } = world.place;
    world.hosts = Object.fromEntries(['source', 'target', 'coordinator'].map((name) => [name, new Host(name)]));
    [world.source, world.target] = await Promise.all([startOn(world.hosts.source, join(folder, 's')), startOn(world.hosts.target, join(folder, 't'))]);
    world.config = writeConfig(folder, 'hosts.yml', `parallel_min_table_size: 1\n${config}`);
    world.certificates = makeCertificates(join(folder, 'certificates'), world.hosts.coordinator.address);
    return world;
  }

  async stop() {
    await this.source?.stop();
    await this.target?.stop();
    this.place.remove();
  }

  // Adds hosts for workers; rate in bytes per second.
  addHosts(names, how) {
    for (const name of names) this.hosts[name] = new Host(name, how);
  }

  // schema: SQL that makes the source.
  move(schema, times) {
    return new Move(this, schema, times);
  }
}

let moves = 0;

// One migration between two new databases.
class Move {
  constructor(world, schema, times = ['--lease-duration', '4s', '--leader-lease', '4s']) {
    Object.assign(this, { world, times, running: [], port: port + moves++ });
    this.from = makeDatabase(world.source.uri);
    query(this.from, `${schema}; ANALYZE`);
    this.to = makeDatabase(world.target.uri);
    this.address = `${world.hosts.coordinator.address}:${this.port}`;
  }

  run(host, program, args) {
    const [command, ...first] = host === null ? [] : this.world.hosts[host].prefix;
    const path = join(built, program);
    const running = start(host === null ? args : [...first, path, ...args], { HYPERSHIFT_TOKEN: token }, { program: command ?? path });
    running.host = host;
    this.running.push(running);
    return running;
  }

  secured(name, authority = true) {
    const { certificates } = this.world;
    return ['--tls-cert', join(certificates, `${name}.pem`), '--tls-key', join(certificates, `${name}.key`),
      ...(authority ? ['--tls-ca', join(certificates, 'ca.pem')] : [])];
  }

  coordinator(...more) {
    return this.run('coordinator', 'hypershift-coordinator', ['-s', this.from, '-t', this.to, '-c', this.world.config,
      '--listen', this.address, ...this.secured('server'), ...this.times, ...more]);
  }

  // On the host of that name, which is its zone as well. Named differently, there may be several.
  worker(host, { name = host, slots = 2, more = [] } = {}) {
    return this.run(host, 'hypershift-worker', ['--coordinator', this.address, ...this.secured('client'), '--name', name,
      '--zone', host, '--slots', String(slots), ...more]);
  }

  async status(...args) {
    const { code, stdout, stderr } = await this.run(null, 'hypershift', [...args.length > 0 ? args : ['status', '--json'],
      '--coordinator', this.address, ...this.secured('client')]).done;
    this.running.pop();
    this.problem = stderr;
    return code === 0 ? (args.length > 0 ? stdout : JSON.parse(stdout)) : null;
  }

  async untilStatus(what, condition, seconds = 60) {
    let last = null;
    await until(what, async () => {
      last = await this.status();
      return last !== null && condition(last);
    }, seconds).catch((error) => {
      error.message += `\n${JSON.stringify(last)}${this.problem}`;
      throw error;
    });
    return last;
  }

  // Without blocking, and 0 as long as there is no journal.
  async journal(what, condition = "kind = 'copy'") {
    try {
      return Number((await ask(this.to, `SELECT ${what} FROM _hypershift.task WHERE ${condition}`))[0]);
    } catch {
      return 0;
    }
  }

  // Seconds from the first lease of a range to the last commit.
  copySeconds() {
    return this.journal('extract(epoch FROM max(finished_at) - min(started_at))');
  }

  // Those have ended with 0.
  async endsWell(...which) {
    for (const running of which) {
      const { code, signal, stdout, stderr } = await running.done;
      assert.equal(code, 0, `${running.child.spawnargs.join(' ')}: ${signal ?? code}\n${stdout.slice(-6000)}${stderr.slice(-6000)}`);
    }
  }

  assertWhole() {
    assert.deepEqual(findProblems(this.from, this.to), []);
  }

  end() {
    for (const { child } of this.running) child.kill('SIGKILL');
  }
}

// `megabytes` of rows that don't compress, in ranges of the size that the configuration asks for.
export const table = (name, megabytes) => `
CREATE TABLE ${name} (id int NOT NULL, payload text);
ALTER TABLE ${name} ALTER payload SET STORAGE EXTERNAL;
INSERT INTO ${name} SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, ${Math.round(megabytes * 160)}) i`;

