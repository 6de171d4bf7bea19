// One migration between real servers with everything that the page and the metrics show: a hypertable, a table whose copy fails,
// one that somebody holds, and one with a name that would be markup.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { emptyTarget, makeDatabase, psql, query, root, start, startPair, temporaryFolder, until, withUser, writeConfig } from '../../integration/support/servers.mjs';

const built = process.env.HYPERSHIFT_BUILD ?? join(root, 'build');
export const programs = { coordinator: join(built, 'hypershift-coordinator'), worker: join(built, 'hypershift-worker') };
export const canary = 'canary-8264-secret';
export const token = 'test-token-4096-8192-16384';
export const evilName = '<img src=x onerror=alert(1)>';

// Where screenshots are kept.
export function pictures() {
  const folder = join(built, 'screenshots');
  mkdirSync(folder, { recursive: true });
  return folder;
}

// Starts a program; `line` waits for a line of its log and gives the match.
function begin(program, args, environment) {
  const running = start(args, environment, { program });
  let log = '';
  running.child.stderr.on('data', (chunk) => (log += chunk));
  running.line = async (pattern) => {
    await until(`a line like ${pattern}`, () => pattern.test(log)).catch((error) => {
      throw new Error(`${error.message}: ${log}`);
    });
    return log.match(pattern);
  };
  return running;
}

export class Migration {
  static async start() {
    const migration = new Migration();
    migration.place = temporaryFolder();
    migration.running = [];
    const { folder } = migration.place;
    ({ source: migration.source, target: migration.target } = await startPair(folder, canary));
    migration.from = makeDatabase(migration.source.uri);
    migration.to = emptyTarget(migration.target);
    const rows = "md5(i::text) || md5((i + 1)::text)";
    query(migration.from, `
      CREATE TABLE metrics (at timestamptz NOT NULL, device int NOT NULL, value double precision, state text);
      INSERT INTO metrics SELECT '2024-01-01'::timestamptz + i * interval '30 s', i % 10, i % 100, 'state ' || i % 3 FROM generate_series(0, 59999) i;
      CREATE INDEX ON metrics (at);
      CREATE TABLE forbidden (id int PRIMARY KEY, t text); INSERT INTO forbidden SELECT i, ${rows} FROM generate_series(1, 2000) i;
      CREATE TABLE held (id int PRIMARY KEY, t text); INSERT INTO held SELECT i, ${rows} FROM generate_series(1, 5000) i;
      CREATE TABLE "${evilName}" (id int PRIMARY KEY, t text); INSERT INTO "${evilName}" SELECT i, ${rows} FROM generate_series(1, 1000) i;
      GRANT SELECT ON ALL TABLES IN SCHEMA public TO secretuser; ALTER ROLE secretuser NOSUPERUSER; ANALYZE`);
    migration.config = writeConfig(folder, 'web.yml', `
hypertable_configs:
  - {schema: public, name: metrics, time_column_name: at, chunk_time_interval: 1d, compress: {segmentby: [device], orderby: [at desc]}}
`);
    migration.tokenFile = join(folder, 'token');
    writeFileSync(migration.tokenFile, `${token}\n`, { mode: 0o600 });
    return migration;
  }

  connections() {
    return { HYPERSHIFT_SOURCE_URI: withUser(this.from, `secretuser:${canary}`), HYPERSHIFT_TARGET_URI: this.to };
  }

  // `url` is its page.
  async coordinator(more = []) {
    const running = begin(programs.coordinator, ['-c', this.config, '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0', '--retry-limit', '2', ...more], this.connections());
    this.running.push(running);
    [, this.address] = await running.line(/coordinator listens.*address="?([^"\s]+)/);
    [, running.url] = await running.line(/web page and metrics.*url="?([^"\s]+)/);
    return running;
  }

  // `url` is its metrics.
  async worker(more = []) {
    const running = begin(programs.worker, ['--coordinator', this.address, '--slots', '3', '--name', 'w1', '--zone', 'eu-west-1a', '--http', '127.0.0.1:0', ...more], this.connections());
    this.running.push(running);
    [, running.url] = await running.line(/metrics.*url="?([^"\s]+)/);
    return running;
  }

  // A session that holds a table of the source until it is told to end.
  async hold(table) {
    const child = spawn(psql, ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', this.from], { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => child.on('close', resolve));
    const ready = new Promise((resolve) => child.stdout.once('data', resolve));
    child.stdin.write(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE; SELECT 'held';\n`);
    await ready;
    return {
      end: async () => {
        child.stdin.end('ROLLBACK;\n');
        await ended;
      },
    };
  }

  async stop() {
    for (const { child } of this.running) child.kill('SIGKILL');
    await this.source?.stop();
    await this.target?.stop();
    this.place.remove();
  }
}

export async function get(url, options = {}) {
  const response = await fetch(url, options);
  return { status: response.status, headers: response.headers, text: await response.text() };
}

export function assertNoSecret(text) {
  for (const secret of [canary, token]) assert.ok(!text.includes(secret), 'a secret is shown');
}
