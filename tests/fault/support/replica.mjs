// A streaming stand-by of a throw-away PostgreSQL server.
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster, execute } from '../cluster.mjs';
import { startServer, until, value } from '../../integration/support/servers.mjs';

const asPostgres = (command, args) => (process.getuid() === 0
  ? execute('runuser', ['-u', 'postgres', '--', command, ...args], { leaves: true })
  : execute(command, args, { leaves: true }));

// Copies `primary` into `folder` and starts it as its stand-by, with these settings ("name=value").
export async function startReplica(primary, folder, settings = []) {
  const place = join(folder, 'source/cluster');
  mkdirSync(place, { recursive: true, mode: 0o755 });
  if (process.getuid() === 0) await execute('chown', ['postgres:', place]);
  const bindir = readFileSync(join(primary.folder, 'bindir'), 'utf8');
  await asPostgres(join(bindir, 'pg_basebackup'), ['-d', primary.uri, '-D', join(place, 'data'), '-R', '-c', 'fast', '--no-sync']);
  const replica = new Cluster();
  replica.server = await startServer('source-server', folder, ...['max_connections=200', ...settings].flatMap((setting) => ['--set', setting]));
  replica.uri = replica.server.uri;
  replica.port = Number(new URL(replica.uri).port);
  replica.folder = join(folder, 'source');
  return replica;
}

// Waits until the stand-by has replayed what the primary has written so far.
export async function untilReplayed(primary, replica) {
  const lsn = value(primary.uri, 'SELECT pg_current_wal_flush_lsn()');
  await until('the stand-by', () => value(replica.uri, `SELECT pg_last_wal_replay_lsn() >= '${lsn}'`) === 't');
}
