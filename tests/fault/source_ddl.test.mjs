// Statements on the source that rewrite a table after it was planned: under the snapshot the rest of its rows would be read
// without an error, and too few of them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Scene, smallTable } from './support/scene.mjs';
import { query, until, value } from '../integration/support/servers.mjs';

let scene;
before(async () => {
  scene = await Scene.start();
});
after(() => scene?.stop());

// Promise: TRUNCATE, ALTER TYPE, VACUUM FULL and CLUSTER each stop their own table with an error that names the cause; the
// other tables arrive whole, and the exit status says that not all did.
test('a rewritten source table stops alone', async (t) => {
  const rewrites = {
    truncated: 'TRUNCATE truncated',
    altered: 'ALTER TABLE altered ALTER id TYPE bigint',
    vacuumed: 'VACUUM FULL vacuumed',
    clustered: 'CLUSTER clustered USING clustered_t',
  };
  const move = scene.move(Object.keys(rewrites).map(smallTable).join('') + smallTable('untouched'));
  t.after(() => move.end());
  const coordinator = move.coordinator();
  await until('a plan', async () => await move.count("kind = 'copy'") === 5);
  for (const statement of Object.values(rewrites)) query(move.from, statement);
  const worker = move.worker();
  const { code, stderr } = await coordinator.done;
  assert.equal(code, 4, stderr);
  assert.equal((await worker.done).code, 0);
  for (const name of Object.keys(rewrites)) {
    const error = value(move.to, `SELECT max(k.error) FROM _hypershift.task k JOIN _hypershift.source_table s
      ON s.migration_id = k.migration_id AND s.id = k.table_id WHERE s.table_name = '${name}' AND k.state = 'failed'`);
    assert.match(error, /rewritten|TRUNCATE|VACUUM FULL/, `${name}: ${error}`);
    assert.equal(value(move.to, `SELECT count(*) FROM ${name}`), '0');
  }
  assert.equal(value(move.to, 'SELECT count(*) FROM untouched'), '3000');
  assert.equal(value(move.to, "SELECT count(*) FROM pg_indexes WHERE tablename = 'untouched'"), '2');
});
