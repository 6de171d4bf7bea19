// A migration that goes on slowly by a limit of its own, and the command line that steers it.
import assert from 'node:assert/strict';
import { ask } from '../fault/cluster.mjs';
import { programs, Scene } from '../fault/support/scene.mjs';
import { start, until, writeConfig } from '../integration/support/servers.mjs';

// `count` tables of about 5 MB, each copied as one range.
export const tables = (count) => Array.from({ length: count }, (_, i) => `
CREATE TABLE t${i} (id int NOT NULL, payload text);
ALTER TABLE t${i} ALTER payload SET STORAGE EXTERNAL;
INSERT INTO t${i} SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 800) i;`).join('') + `
CREATE TABLE small (id int PRIMARY KEY, t text);
INSERT INTO small SELECT i, 'row ' || i FROM generate_series(1, 3000) i;`;

// Limits as hypershift.yml has them.
export async function startScene(limits) {
  const scene = await Scene.start();
  scene.config = writeConfig(scene.place.folder, 'steering.yml', `parallel_min_table_size: 1\nparallel: 3\n${limits}`);
  return scene;
}

// The command line against coordinator `a`.
export const command = (move, ...args) => start([...args, '--coordinator', move.address()], {}, { program: programs.clone }).done;

export async function succeeds(move, ...args) {
  const { code, stdout, stderr } = await command(move, ...args);
  assert.equal(code, 0, `${args.join(' ')}: ${code}\n${stdout}${stderr}`);
  return stdout;
}

// Refused with 2 and one line that matches.
export async function refuses(move, pattern, ...args) {
  const { code, stderr } = await command(move, ...args);
  assert.equal(code, 2, `${args.join(' ')}: ${code}\n${stderr}`);
  assert.match(stderr, pattern);
  assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
}

export const statusLine = async (move) => (await move.status())?.migration.statusLine ?? '';

// Two workers, and copies that run, with others done and others to come.
export async function begin(t, scene, count, { slots = [2, 1], more = [] } = {}) {
  const move = scene.move(tables(count));
  t.after(() => move.end());
  const leader = move.coordinator({ more });
  const workers = slots.map((n, i) => move.worker({ name: `w${i + 1}`, slots: n }));
  await until('a range', () => move.count("kind = 'copy' AND state = 'done'"), 60);
  await until('copies that run', async () => await move.count("kind = 'copy' AND state = 'leased'") > 1);
  return { move, leader, workers };
}

// Sessions of ours that read rows from the source just now.
export const readers = async (move) => Number((await ask(move.from, `SELECT count(*) FROM pg_stat_activity
  WHERE application_name LIKE 'hypershift%' AND state = 'active' AND query LIKE 'COPY%'
    AND datname = current_database()`))[0]);

export const sessions = async (uri) => Number((await ask(uri, `SELECT count(*) FROM pg_stat_activity
  WHERE application_name LIKE 'hypershift%' AND datname = current_database()`))[0]);

export const attempts = async (move, kind = '%') =>
  Number((await ask(move.to, `SELECT sum(attempt) FROM _hypershift.task WHERE kind LIKE '${kind}'`))[0]);

export const journal = async (move, columns) => (await ask(move.to, `SELECT ${columns} FROM _hypershift.migration`))[0];

