// The oracle sees what a storm could do: each test damages a perfect copy in one way, on a real server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { differences, fingerprints } from '../integration/support/oracle.mjs';
import { makeDatabase, query, startServer, temporaryFolder } from '../integration/support/servers.mjs';
import { makeStormDatabase } from './database.mjs';
import { findProblems, journalProblems, schemaDifferences, sequenceDifferences } from './oracle.mjs';

const place = temporaryFolder();
let server;
let source;
let copy;
let expected;

// As much of a journal as the oracle reads: every table in one range, and events in two.
const journalSql = `
CREATE SCHEMA _hypershift;
CREATE TABLE _hypershift.source_table (migration_id text, id int, schema_name text, table_name text, plan text);
CREATE TABLE _hypershift.task (migration_id text, table_id int, kind text, state text, range_key text, rows bigint);
INSERT INTO _hypershift.source_table SELECT 'm', row_number() OVER (), 'public', relname, '{"method": "?"}'
  FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace;
INSERT INTO _hypershift.task SELECT 'm', id, 'copy', 'done', '', (xpath('/row/n/text()',
  query_to_xml('SELECT count(*) AS n FROM ' || quote_ident(table_name), false, true, '')))[1]::text::bigint
  FROM _hypershift.source_table WHERE table_name <> 'events';
INSERT INTO _hypershift.task SELECT 'm', id, 'copy', 'done', key, rows FROM _hypershift.source_table,
  (VALUES ('ctid >= ''(0,0)''::tid AND ctid < ''(7,0)''::tid', 200), ('ctid >= ''(7,0)''::tid', 300)) v(key, rows)
  WHERE table_name = 'events';
INSERT INTO _hypershift.task SELECT 'm', id, 'index', 'done', '', 0 FROM _hypershift.source_table`;

before(async () => {
  server = await startServer('source-server', join(place.folder, 's'));
  source = makeDatabase(server.uri);
  makeStormDatabase(source, { megabytes: 2.5 });
  copy = makeDatabase(server.uri, new URL(source).pathname.slice(1));
  query(copy, journalSql);
  expected = fingerprints(source);
});

after(async () => {
  await server?.stop();
  place.remove();
});

// Promise: nothing is reported that is not so.
test('a perfect copy has no problems', () => assert.deepEqual(findProblems(source, copy, expected), []));

// Promise: one lost, doubled or altered row is found and shown, in tables with and without a key.
const damages = {
  'one row lost': ["DELETE FROM events WHERE n = 77", /^public\.events: only on the source 1 rows.*\(77,.*only on the target 0 rows/],
  'one row doubled': ["INSERT INTO events SELECT * FROM events WHERE n = 78", /^public\.events: only on the source 0 rows.*target 1 rows.*\(78,/],
  'one row altered': ["UPDATE documents SET title = 'Title 4' WHERE title = 'title 4'", /^public\.documents: only on the source 1 rows.*target 1 rows/],
  'one NULL made an empty text': ['UPDATE items SET "what\'s ""it""" = \'\' WHERE "order" = 1000 AND line = 0', /^public\.items: only on the source 1 rows/],
  'two values exchanged': ["UPDATE metrics SET value = CASE device WHEN 1 THEN 2 ELSE 1 END WHERE at < '2024-01-01 00:01:00'", /^public\.metrics:/],
  'one of many equal rows lost': ["DELETE FROM repeated WHERE ctid = (SELECT min(ctid) FROM repeated)", /^public\.repeated: only on the source 1 rows/],
  'a row lost and another doubled': [
    'DELETE FROM repeated WHERE ctid = (SELECT min(ctid) FROM repeated WHERE n = 0); INSERT INTO repeated VALUES (\'the same\', 2)',
    /^public\.repeated: only on the source 1 rows.*target 1 rows/],
  'a row in another partition': [
    "WITH gone AS (DELETE FROM parts_0 WHERE at = '2024-01-01' RETURNING *) INSERT INTO parts SELECT '2024-01-02 00:00:01', sensor, value FROM gone",
    /^public\.parts_0: only on the source 1 rows.*target 0 rows/],
};
for (const [what, [sql, found]] of Object.entries(damages)) {
  test(what, () => {
    const table = found.source.match(/public\\\.(\w+)/)[1];
    query(copy, `CREATE TABLE saved AS TABLE ${table}; ${sql}`);
    assert.match(differences(source, copy, [`public.${table}`]), found);
    query(copy, `TRUNCATE ${table}; INSERT INTO ${table} TABLE saved; DROP TABLE saved`);
    assert.equal(differences(source, copy, [`public.${table}`]), '');
  });
}

// Promise: so is everything else that a migration has to bring, and a journal that does not fit.
const other = {
  'an index': ['DROP INDEX metrics_at_idx', /lacks index .*metrics_at_idx/],
  'a key': ['ALTER TABLE documents DROP CONSTRAINT documents_pkey', /lacks constraint documents documents_pkey/],
  'a foreign key': ['ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey', /lacks constraint orders/],
  'a default': ['ALTER TABLE orders ALTER id DROP DEFAULT', /lacks column orders id/],
  'a sequence\'s value': ["SELECT setval('order_numbers', 1000)", /^sequence order_numbers is at 1000/],
  'an unfinished task': ["UPDATE _hypershift.task SET state = 'leased' WHERE kind = 'index' AND table_id = 1", /1 tasks of kind index are leased/],
  'a range twice': ["INSERT INTO _hypershift.task SELECT * FROM _hypershift.task WHERE range_key LIKE '%(7,0)%' AND rows = 300", /a range of public.events stands there twice/],
  'a range missing': ["DELETE FROM _hypershift.task WHERE rows = 200", /blocks 7 follow after 0/],
  'an overlap': ["UPDATE _hypershift.task SET range_key = replace(range_key, '(7,0)', '(6,0)') WHERE rows = 300", /blocks 6 follow after 7/],
  'no open end': ["UPDATE _hypershift.task SET range_key = range_key || ' AND ctid < ''(99,0)''::tid' WHERE rows = 300", /ends at block 99/],
  'too few rows copied': ["UPDATE _hypershift.task SET rows = 299 WHERE rows = 300", /the ranges of public.events have 499 rows, the table 500/],
};
for (const [what, [sql, found]] of Object.entries(other)) {
  test(`missed: ${what}`, () => {
    query(copy, `CREATE TABLE saved AS TABLE _hypershift.task; ${sql}`);
    const problems = [...journalProblems(copy, expected), ...schemaDifferences(source, copy), ...sequenceDifferences(source, copy)];
    assert.match(problems.join('\n'), new RegExp(found.source, 'm'));
    query(copy, 'TRUNCATE _hypershift.task; INSERT INTO _hypershift.task TABLE saved; DROP TABLE saved');
    assert.deepEqual(journalProblems(copy, expected), []);
  });
}
