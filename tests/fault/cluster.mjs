// Throw-away PostgreSQL servers that a storm may restart under its processes.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { launchServer, psql, withDatabase } from '../integration/support/servers.mjs';

// Runs a program without blocking: the proxies must go on meanwhile. Resolves with what it printed, or rejects. `leaves` whom
// it starts: a server that pg_ctl started keeps the pipes open.
export function execute(command, args, { input = '', env = process.env, leaves = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env, cwd: '/' });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => (out += chunk));
    child.stderr.on('data', (chunk) => (err += chunk));
    child.on('error', reject);
    child.on(leaves ? 'exit' : 'close', (code) => {
      if (code === 0) resolve(out);
      else reject(new Error(`${command} ended with ${code}: ${err || out}`));
    });
    child.stdin.on('error', () => {}); // It may not want to read.
    child.stdin.end(input);
  });
}

// Rows of a query as lines, without blocking.
export async function ask(uri, sql) {
  const out = await execute(psql, ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', uri, '-c', sql],
    { env: { ...process.env, PGCONNECT_TIMEOUT: '5' } });
  return out.split('\n').filter((line) => line !== '');
}

export class Cluster {
  // settings: NAME=VALUE of the server's. prefix: of the command that starts it, for one on another host.
  static async start(folder, { settings = [], prefix = [] } = {}) {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const cluster = new Cluster();
    const set = ['full_page_writes=off', 'max_connections=200', ...settings].flatMap((setting) => ['--set', setting]);
    cluster.server = await launchServer(prefix, 'source-server', folder, ...set);
    cluster.uri = cluster.server.uri;
    cluster.port = Number(new URL(cluster.uri).port);
    cluster.folder = join(folder, 'source');
    return cluster;
  }

  async control(...args) {
    const bindir = readFileSync(join(this.folder, 'bindir'), 'utf8');
    const command = [join(bindir, 'pg_ctl'), ...args, '-D', join(this.folder, 'cluster/data'), '-w', '-t', '60', '-s'];
    if (process.getuid() === 0) await execute('runuser', ['-u', 'postgres', '--', ...command], { leaves: true });
    else await execute(command[0], command.slice(1), { leaves: true });
  }

  // immediate: as after a crash. fast: sessions are told.
  restart(mode) {
    return this.control('restart', '-m', mode, '-l', join(this.folder, 'cluster/log'));
  }

  // Ends it as a crash does; it does not come back.
  kill() {
    return this.control('stop', '-m', 'immediate');
  }

  // A setting that takes effect without a restart.
  async set(name, value) {
    await ask(this.uri, `ALTER SYSTEM SET ${name} = '${value}'`);
    await ask(this.uri, 'SELECT pg_reload_conf()');
  }

  async makeDatabase(name, template = 'template0') {
    await ask(this.uri, `CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY file_copy`);
    return withDatabase(this.uri, name);
  }

  async dropDatabase(name) {
    await ask(this.uri, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  }

  stop() {
    return this.server.stop();
  }
}
