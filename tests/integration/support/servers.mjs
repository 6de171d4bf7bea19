// Real servers for one test file, started as children and gone with it, and the program under test.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const program = process.env.HYPERSHIFT_PROGRAM ?? join(root, 'build/hypershift');

// A server wrapper of scripts/lib; resolves when it is ready. Ends with this process, whatever happens to it.
export function startServer(wrapper, folder, ...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(join(root, 'scripts/lib', wrapper), [folder, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
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

export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'hypershift-test-'));
  // The servers may run as another user.
  spawnSync('chmod', ['755', folder]);
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

// Rows of one query as text, settings pinned so that both sides print values alike.
export function query(uri, sql) {
  const env = { ...process.env, PGTZ: 'UTC', PGDATESTYLE: 'ISO, MDY' };
  const result = spawnSync('psql', ['-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-d', uri, '-c', sql],
    { encoding: 'utf8', env, maxBuffer: 1 << 28 });
  if (result.status !== 0) throw new Error(`${sql}: ${result.stderr}`);
  return result.stdout.split('\n').filter((line) => line !== '');
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

// Starts hypershift; `done` resolves with its exit status and what it printed.
export function start(args, env = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
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

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export async function until(what, condition, seconds = 60) {
  const deadline = Date.now() + seconds * 1000;
  while (Date.now() < deadline) {
    if (await condition()) return;
    await sleep(50);
  }
  throw new Error(`waited ${seconds} s for ${what}`);
}
