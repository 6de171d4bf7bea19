// Somebody who writes to the source all the time, and what the source held at any moment: changes are numbered, and a snapshot
// tells which of them it sees.
import { spawn } from 'node:child_process';
import { psql, withDatabase } from '../integration/support/servers.mjs';
import { ask } from './cluster.mjs';
import { changesSql, nextChangeSql, vacuumSql } from './database.mjs';

// What a writer is told when its server restarts.
const restarted = /terminating connection|server closed|shutting down|starting up|recovery mode|not yet accepting|Connection re(fused|set)|connection to server|connection not open/;

export class Writer {
  constructor(uri, { onError }) {
    Object.assign(this, { uri, onError, children: new Set(), over: false });
    this.repeat(nextChangeSql, 0.15);
    this.repeat(vacuumSql, 0.7);
  }

  // A session at a time: changes come one after the other.
  repeat(sql, seconds) {
    const child = spawn(psql, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', this.uri], { stdio: ['pipe', 'ignore', 'pipe'], cwd: '/' });
    this.children.add(child);
    let said = '';
    child.stderr.on('data', (text) => (said += text));
    child.stdin.on('error', () => {});
    child.stdin.end(`${sql} \\watch ${seconds}\n`);
    child.on('close', () => {
      this.children.delete(child);
      if (this.over) return;
      if (said !== '' && !restarted.test(said)) this.onError(said.trim());
      setTimeout(() => this.over || this.repeat(sql, seconds), 200);
    });
  }

  async stop() {
    this.over = true;
    const gone = [...this.children].map((child) => new Promise((resolve) => child.on('close', resolve)));
    for (const child of this.children) child.kill('SIGKILL');
    await Promise.all(gone);
  }
}

// How many changes a snapshot sees. One writer makes them in order, so they are the first ones.
export async function changesSeen(uri, snapshot) {
  const [line] = await ask(uri, `SELECT count(*) || ' ' || coalesce(max(n), 0) FROM written
    WHERE pg_visible_in_snapshot(xmin::text::xid8, '${snapshot}')`);
  const [count, last] = line.split(' ').map(Number);
  if (count !== last) throw new Error(`the snapshot ${snapshot} sees ${count} changes, the last one is ${last}`);
  return count;
}

// A database `name` of the template's server that holds what the template held after so many changes; its URI.
export async function makeStateAfter(cluster, template, changes, name) {
  await cluster.makeDatabase(name, new URL(template).pathname.slice(1));
  const uri = withDatabase(cluster.uri, name);
  await ask(uri, changesSql(changes));
  return uri;
}
