// Real servers for one test file, started as children and gone with it, and the program under test.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
export const program = process.env.HYPERSHIFT_PROGRAM ?? join(root, 'build/hypershift');

// Debian's psql is a Perl script that looks for this one. Tests ask so often that it shows.
export const psql = findPsql();

function findPsql() {
  const place = '/usr/lib/postgresql';
  const versions = existsSync(place) ? readdirSync(place).sort((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => join(place, version, 'bin/psql')).find(existsSync) ?? 'psql';
}

// A server wrapper of scripts/lib; resolves when it is ready. Ends with this process, whatever happens to it.
export const startServer = (wrapper, folder, ...args) => launchServer([], wrapper, folder, ...args);

// The same behind a prefix, such as what runs a command on another host.
export function launchServer(prefix, wrapper, folder, ...args) {
  return new Promise((resolve, reject) => {
    const [command, ...rest] = [...prefix, join(root, 'scripts/lib', wrapper), folder, ...args];
    const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stderr.on('data', (chunk) => (err += chunk));
    child.on('exit', (code) => reject(new Error(`${wrapper} ended with ${code}: ${err}`)));
    child.stdout.on('data', (chunk) => {
      out += chunk;
      const uri = out.match(/^uri=(.*)$/m);
      if (!uri || !out.endsWith('\n')) return;
      resolve({ uri: uri[1], kind: out.match(/^kind=(.*)$/m)[1], stop: () => stopServer(child) });
    });
  });
}

function stopServer(child) {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.stdin.end();
  });
}

// A source and a target, started at the same time. `canary` is the password of the source's superuser `secretuser`.
export async function startPair(folder, canary = 'canary-7391-secret') {
  // Not as an argument: it must be in no process list.
  process.env.HYPERSHIFT_SECRET_PASSWORD = canary;
  const [source, target] = await Promise.all([
    startServer('source-server', join(folder, 's')),
    startServer('target-server', join(folder, 't')),
  ]);
  const { stop } = target;
  target.stop = () => {
    if (target.kind === 'given') dropDatabases(target.uri);
    return stop();
  };
  return { source, target };
}

export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'hypershift-test-'));
  // The servers may run as another user.
  spawnSync('chmod', ['755', folder]);
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

// The same server, another database.
export function withDatabase(uri, name) {
  const other = new URL(uri);
  other.pathname = `/${name}`;
  return other.href;
}

export const withUser = (uri, userAndPassword) => uri.replace(/\/\/[^@]*@/, `//${userAndPassword}@`);

let databases = 0;
const made = [];

// A new database, empty or a copy of another one; its URI.
export function makeDatabase(uri, like = '') {
  const name = `it_${process.pid}_${++databases}`;
  query(uri, `CREATE DATABASE ${name} ${like && `TEMPLATE ${like}`}`);
  made.push({ uri, name });
  return withDatabase(uri, name);
}

// A server that was given keeps nothing of the tests.
function dropDatabases(server) {
  for (const { uri, name } of made.filter((database) => database.uri === server)) query(uri, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
}

// Everything that is not the system's or an extension's; TimescaleDB itself can't be created again in the embedded server.
const emptySql = `
SET client_min_messages = error;
DO $$
DECLARE
  command text;
BEGIN
  FOR command IN
    SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace
     WHERE nspname !~ '^(pg_|information_schema$|_?timescaledb_|public$)'
  LOOP
    EXECUTE command;
  END LOOP;
  LOOP
    SELECT format('DROP %s %s CASCADE',
                  CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                                 WHEN 'c' THEN 'TYPE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, c.oid::regclass)
      INTO command
      FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'c', 'f')
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('e', 'i'))
     LIMIT 1;
    EXIT WHEN command IS NULL;
    EXECUTE command;
  END LOOP;
  FOR command IN
    SELECT format('DROP EXTENSION %I CASCADE', extname) FROM pg_extension WHERE extname NOT IN ('plpgsql', 'timescaledb')
    UNION ALL
    SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::regprocedure) FROM pg_proc p
     WHERE p.pronamespace = 'public'::regnamespace
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    UNION ALL
    SELECT format('DROP TYPE IF EXISTS %s CASCADE', t.oid::regtype) FROM pg_type t
     WHERE t.typnamespace = 'public'::regnamespace AND t.typtype IN ('e', 'd', 'r')
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
  LOOP
    EXECUTE command;
  END LOOP;
END
$$`;

// An empty database on the target server; its URI. The embedded one has a single database, which is emptied.
export function emptyTarget(target) {
  if (target.kind !== 'embedded') return makeDatabase(target.uri);
  query(target.uri, emptySql);
  return target.uri;
}

// Rows of one query as text, settings pinned so that both sides print values alike.
export function query(uri, sql) {
  const env = { ...process.env, PGTZ: 'UTC', PGDATESTYLE: 'ISO, YMD' };
  const result = spawnSync(psql, ['-X', '-q', '-A', '-t', '-P', 'null=∅', '-v', 'ON_ERROR_STOP=1', '-d', uri, '-c', sql],
    { encoding: 'utf8', env, maxBuffer: 1 << 28 });
  if (result.status !== 0) throw new Error(`${sql}: ${result.stderr}`);
  return result.stdout.split('\n').filter((line) => line !== '');
}

// A session that asks for a number again and again; `stop` resolves with all of them.
export function sample(uri, sql, seconds) {
  // A line at a time, whatever psql thinks of pipes.
  const child = spawn('stdbuf', ['-oL', psql, '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', uri], { stdio: ['pipe', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  const ended = new Promise((resolve) => child.on('close', resolve));
  child.stdin.end(`${sql} \\watch ${seconds}\n`);
  return {
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
      return out.split('\n').filter((line) => /^\d+$/.test(line)).map(Number);
    },
  };
}

export const value = (uri, sql) => query(uri, sql)[0] ?? '';

export function loadDemo(uri, rows) {
  const result = spawnSync('node', [join(root, 'demo/load.mjs'), '--uri', uri, '--rows', String(rows)], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(result.stderr);
}

export function writeConfig(folder, name, text) {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

// Only what a test sets, and nothing that the caller's shell happens to have.
function cleanEnvironment(env) {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(HYPERSHIFT_|PG)/.test(name));
  return { ...Object.fromEntries(inherited), ...env };
}

// Pids of every hypershift that was started here.
export const started = [];

// Arguments of setpriv for a process that is killed when whoever starts it is, so that a killed test leaves nothing behind.
export const withParent = (command, args) => ['--pdeathsig', 'KILL', '--', command, ...args];

// Starts hypershift, or `options.program`; `done` resolves with its exit status and what it printed.
export function start(args, env = {}, options = {}) {
  const child = spawn('setpriv', withParent(options.program ?? program, args), { stdio: ['ignore', 'pipe', 'pipe'], env: cleanEnvironment(env), ...options });
  started.push(child.pid);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const done = new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, done, pid: child.pid };
}

export const run = (args, env) => start(args, env).done;

// Pids of the processes whose command line satisfies `condition`.
export function processes(condition) {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).filter((pid) => {
    try {
      return condition(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
    } catch {
      return false; // It has ended meanwhile.
    }
  }).map(Number);
}

// The keeper process that a `hypershift clone` of this pid has started.
export const keepersOf = (pid) => processes((command) => new RegExp(`worker --keeper .*--name keeper-${pid} `).test(command));

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export async function until(what, condition, seconds = 60) {
  const deadline = Date.now() + seconds * 1000;
  while (Date.now() < deadline) {
    if (await condition()) return;
    await sleep(50);
  }
  throw new Error(`waited ${seconds} s for ${what}`);
}
