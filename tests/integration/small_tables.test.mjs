// Small tables travel together: in a few transactions for many of them, and yet each for itself when one of them fails.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fingerprint } from './support/oracle.mjs';
import { emptyTarget, makeDatabase, query, run, startPair, temporaryFolder, value, writeConfig } from './support/servers.mjs';

const place = temporaryFolder();
let source;
let home;
let target;
let to;
let result;

const count = 150;
const good = Array.from({ length: count }, (_, i) => `small_${i}`);
// What is checked and indexed by these works in the source's database alone.
const schema = `
CREATE FUNCTION only_home(text, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
  IF current_database() <> $1 THEN RAISE EXCEPTION 'this is not home: %', current_database(); END IF; RETURN true; END $$;
DO $do$ BEGIN
  FOR i IN 0..${count - 1} LOOP
    EXECUTE format('CREATE TABLE small_%s (id int PRIMARY KEY, v %s, at timestamptz DEFAULT now())', i,
      (ARRAY['text', 'numeric', 'regclass', 'jsonb', 'int[]'])[i % 5 + 1]);
    EXECUTE format('INSERT INTO small_%s SELECT n, %s FROM generate_series(1, %s) n', i,
      (ARRAY['md5(n::text)', 'n / 7.0', $q$'pg_class'$q$, $q$jsonb_build_object('n', n)$q$, 'ARRAY[n, NULL, -n]'])[i % 5 + 1], i % 40);
    EXECUTE format('CREATE INDEX ON small_%s (at)', i);
  END LOOP;
  EXECUTE format('CREATE TABLE bad_copy (id int CHECK (only_home(%L, id)))', current_database());
  INSERT INTO bad_copy VALUES (1), (2);
  CREATE TABLE bad_index (id int);
  INSERT INTO bad_index VALUES (1);
  EXECUTE format('CREATE INDEX one_that_fails ON bad_index (only_home(%L, id))', current_database());
END $do$;
CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE large (id int PRIMARY KEY, v text); INSERT INTO large SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 5000) i;
ANALYZE`;

before(async () => {
  ({ source, target } = await startPair(place.folder));
  home = makeDatabase(source.uri);
  query(home, schema);
  to = emptyTarget(target);
  result = await run(['clone', '-s', home, '-t', to, '-c', writeConfig(place.folder, 'small.yml', 'parallel: 2\nverify: true\n'), '--hide-progress']);
});
after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

const transactions = (kind) => Number(value(to, `SELECT count(DISTINCT xmin::text) FROM _hypershift.task WHERE kind = '${kind}' AND state = 'done'`));
const failed = () => query(to, `SELECT t.table_name, k.kind FROM _hypershift.task k JOIN _hypershift.source_table t
  ON (t.migration_id, t.id) = (k.migration_id, k.table_id) WHERE k.state = 'failed' ORDER BY 1`);

test('every table arrives as it was, but for the one whose rows the target refuses', () => {
  for (const name of [...good, 'bad_index', 'large']) assert.equal(fingerprint(to, name), fingerprint(home, name), name);
  assert.equal(value(to, 'SELECT count(*) FROM no_columns'), '1');
  assert.equal(value(to, 'SELECT count(*) FROM bad_copy'), '0');
});

test('what fails fails alone, and says why', () => {
  assert.equal(result.code, 4, result.stderr + result.stdout);
  assert.deepEqual(failed(), ['bad_copy|copy', 'bad_index|index']);
  assert.match(result.stdout + result.stderr, /this is not home/);
});

test('every table has its keys and indexes', () => {
  const sql = "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'bad%' ORDER BY 1, 2";
  assert.deepEqual(query(to, sql), query(home, sql));
});

test('tables share transactions, for each step', () => {
  for (const kind of ['copy', 'index', 'constraint', 'analyze']) {
    const shared = transactions(kind);
    assert.ok(shared >= count / 32 && shared <= count / 2, `${shared} transactions of ${kind}`);
  }
});

test('rows of each are counted and verified for themselves', () => {
  assert.deepEqual(query(to, `SELECT t.table_name, k.rows FROM _hypershift.task k JOIN _hypershift.source_table t
    ON (t.migration_id, t.id) = (k.migration_id, k.table_id) WHERE k.kind = 'copy' AND t.table_name LIKE 'small%' AND k.rows <>
    (regexp_replace(t.table_name, 'small_', '')::int % 40)`), []);
  assert.equal(Number(value(to, "SELECT count(*) FROM _hypershift.task WHERE kind = 'verify' AND state = 'done'")) >= count, true);
});
