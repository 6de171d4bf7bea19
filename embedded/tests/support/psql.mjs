// psql and its kin as processes.

import { spawn } from 'node:child_process';

/**
 * Runs a program with bytes on its standard input. Resolves to
 * `{code, signal, stdout, stderr}`; stdout is a Buffer.
 */
export function run(program, args, { input, env = {} } = {}) {
  const child = spawn(program, args, { env: { ...process.env, ...env } });
  const stdout = [];
  let stderr = '';
  child.stdout.on('data', (chunk) => stdout.push(chunk));
  child.stderr.on('data', (text) => (stderr += text));
  child.stdin.on('error', () => {}); // it may end before it has read everything
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout: Buffer.concat(stdout), stderr }));
  });
}

const PSQL = ['--no-psqlrc', '--quiet', '--no-align', '--tuples-only', '--set=ON_ERROR_STOP=1'];

/** Runs commands in one psql; does not throw when they fail. */
export function tryPsql(server, commands, { input, parameters } = {}) {
  const list = [commands].flat().map((command) => `--command=${command}`);
  return run('psql', [...PSQL, server.uri(parameters), ...list], { input });
}

/** As tryPsql(); resolves to the trimmed output and throws on failure. */
export async function psql(server, commands, options) {
  const { code, stdout, stderr } = await tryPsql(server, commands, options);
  if (code !== 0) throw new Error(`psql: ${stderr.trim()}`);
  return stdout.toString().trim();
}

/** A script on psql's standard input, sent in one piece or statement by statement. */
export async function psqlScript(server, script) {
  const { code, stdout, stderr } = await run('psql', [...PSQL, server.uri()], { input: script });
  if (code !== 0) throw new Error(`psql: ${stderr.trim()}`);
  return stdout.toString().trim();
}
