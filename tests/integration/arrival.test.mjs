// The main job on real servers: the demo database arrives whole, compressed and in order.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { fingerprint, tables } from './support/oracle.mjs';
import { loadDemo, query, root, run, startServer, temporaryFolder, value } from './support/servers.mjs';

const place = temporaryFolder();
let source;
let target;
let result;

before(async () => {
  source = await startServer('source-server', join(place.folder, 's'));
  target = await startServer('target-server', join(place.folder, 't'));
  loadDemo(source.uri, 200000);
  result = await run(['clone', '-s', source.uri, '-t', target.uri, '-c', join(root, 'demo/hypershift.yml'), '--hide-progress']);
});

after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

test('clone ends well', () => assert.equal(result.code, 0, result.stderr + result.stdout));

// Nothing lost, nothing doubled, nothing changed.
test('every table is equal by the independent oracle', () => {
  const names = tables(source.uri);
  assert.ok(names.length >= 6, names.join());
  for (const name of names) assert.equal(fingerprint(target.uri, name), fingerprint(source.uri, name), name);
});

test('every old chunk is fully compressed and ordered', () => {
  assert.equal(query(target.uri, `SELECT DISTINCT k.status FROM timescaledb_information.chunks c
    JOIN _timescaledb_catalog.chunk k ON k.table_name = c.chunk_name WHERE c.hypertable_name = 'flights'`).join(), '1');
});

test('the journal holds each range once, done', () => {
  const rows = query(target.uri, "SELECT state, count(*) - count(DISTINCT (table_id, range_key)) FROM _hypershift.task WHERE kind = 'copy' GROUP BY 1");
  assert.deepEqual(rows, ['done|0']);
  assert.equal(value(target.uri, 'SELECT phase FROM _hypershift.migration'), 'done');
});
