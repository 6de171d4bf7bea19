// What real schemas hold beside plain tables of plain types: every kind of time column, values that compression may
// rewrite, odd names, and objects of every sort. One clone; each test looks at one promise.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { differences, fingerprint, tables } from './support/oracle.mjs';
import { emptyTarget, makeDatabase, query, run, startPair, temporaryFolder, value, writeConfig } from './support/servers.mjs';

const place = temporaryFolder();
let source;
let target;
let to;
let result;

const odd = `"we""ird; DROP TABLE plain; --"`;
const oddTable = `${odd}."Tä'ble {1}"`;

const timeSeries = `
CREATE TABLE by_timestamptz (at timestamptz NOT NULL, device int, v float8);
INSERT INTO by_timestamptz SELECT now() - i * interval '6 h', i % 3, i / 3.0 FROM generate_series(-20, 400) i;
CREATE INDEX ON by_timestamptz (at);
CREATE TABLE by_timestamp (at timestamp NOT NULL, device int, v float8);
INSERT INTO by_timestamp SELECT (now() - i * interval '6 h')::timestamp, i % 3, i / 3.0 FROM generate_series(0, 400) i;
INSERT INTO by_timestamp VALUES ('1969-12-31 23:59:59.999999', 1, 1), ('0044-03-15 BC', 1, 2), ('1970-01-01', 1, 3);
CREATE INDEX ON by_timestamp (at);
CREATE TABLE by_date (day date NOT NULL, device int, v float8);
INSERT INTO by_date SELECT current_date - i, i % 3, i / 3.0 FROM generate_series(0, 100) i;
CREATE INDEX ON by_date (day);
CREATE TABLE by_bigint (n bigint NOT NULL, device int, v float8);
INSERT INTO by_bigint SELECT i * 10, i % 3, i / 3.0 FROM generate_series(-100, 900) i;
CREATE INDEX ON by_bigint (n);
CREATE TABLE by_smallint (n smallint NOT NULL, v text);
INSERT INTO by_smallint SELECT i, 'v' || i FROM generate_series(-300, 300) i;
CREATE INDEX ON by_smallint (n);
CREATE TABLE empty_series (at timestamptz NOT NULL, v int);
CREATE INDEX ON empty_series (at);
CREATE TABLE keyed_series (at timestamptz, device text, v int, PRIMARY KEY (at, device), CHECK (v >= 0));
INSERT INTO keyed_series SELECT '2021-01-01'::timestamptz + i * interval '1 h', 'd' || i % 4, i FROM generate_series(0, 1999) i;
CREATE TABLE unindexed_series (at timestamptz NOT NULL, device int, v int);
INSERT INTO unindexed_series SELECT '2021-01-01'::timestamptz + (i * 7919 % 2000) * interval '1 h', i % 4, i FROM generate_series(0, 1999) i;
-- A column that is gone, one that is computed, an identity, and NULLs in what it is ordered by.
CREATE TABLE worn_series (gone int, at timestamptz NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, v int,
  twice int GENERATED ALWAYS AS (v * 2) STORED, also_gone text, note text);
INSERT INTO worn_series (at, v, note) SELECT '2021-01-01'::timestamptz + i * interval '1 h', nullif(i % 10, 3), nullif(i % 7, 2)::text
  FROM generate_series(1, 1000) i;
ALTER TABLE worn_series DROP COLUMN gone, DROP COLUMN also_gone;
CREATE INDEX ON worn_series (at);
-- Equal is not identical: what compression may give back in another form.
CREATE EXTENSION citext;
CREATE TABLE rewritten (at timestamptz NOT NULL, kind citext, doc jsonb, span interval, many numeric[]);
INSERT INTO rewritten SELECT '2021-01-01'::timestamptz + i * interval '1 min', (ARRAY['ABC', 'abc', 'Abc'])[1 + i % 3],
  (ARRAY['{"a": 1.0}', '{"a": 1.00}', '{"a": 1}'])[1 + i % 3]::jsonb, (ARRAY['24:00:00', '1 day'])[1 + i % 2]::interval,
  (ARRAY['{1.0}', '{1.00}'])[1 + i % 2]::numeric[] FROM generate_series(1, 3000) i;
CREATE INDEX ON rewritten (at);
CREATE SCHEMA ${odd};
CREATE TABLE ${oddTable} ("ti""me" timestamptz NOT NULL, "seg; ment" text, "or'der" int, "ORDER" int);
INSERT INTO ${oddTable} SELECT '2021-01-01'::timestamptz + i * interval '1 h', 'it''s "' || i % 3, i, -i FROM generate_series(1, 500) i;
CREATE INDEX "ind'ex" ON ${oddTable} ("ti""me");`;

const plain = `
CREATE TABLE plain (id serial PRIMARY KEY, v text); INSERT INTO plain (v) SELECT 'p' || i FROM generate_series(1, 100) i;
CREATE TYPE mood AS ENUM ('sad', 'o''k', 'Happy'); CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0);
CREATE TYPE pair AS (a int, b text, m mood); CREATE TYPE span AS RANGE (subtype = float8);
CREATE TABLE kinds (i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, n2 numeric(20, 5), b bool, c "char", ch char(5),
  v varchar(9), t text, bin bytea, d date, tm time, tz timetz, ts timestamp, tstz timestamptz, iv interval, u uuid, j json,
  jb jsonb, ip inet, cd cidr, mac macaddr, bits bit(3), vb varbit, pt point, bx box, pg polygon, tv tsvector, tq tsquery,
  r int4range, mr int8multirange, x xml, ai int[], at text[], ad date[], m mood, am mood[], e even, p pair, ap pair[], s span,
  o oid, rc regclass, ls pg_lsn, ct citext, cash money);
INSERT INTO kinds VALUES (-32768, 2147483647, -9223372036854775808, '1e-40', 'NaN', 'NaN', 123456789012345.12345, true, 'x', 'ab',
  'é', E'tab\\t nl\\n back\\\\ quote'' "', '\\x00ff5c', '4713-01-01 BC', '24:00', '23:59:59.999999+15:59', 'infinity', '-infinity',
  '1 mon -3 days 24:00:00.000001', '00000000-0000-0000-0000-000000000001', '{"a" :  1.00, "a": 2}', '{"b": [1.10, null]}', '::1/128',
  '10.0.0.0/8', '08:00:2b:01:02:03', B'101', B'1', '(1.5,-0)', '((0,0),(1,1))', '((0,0),(1,1),(2,0))', 'fat:1A cat', 'a & !b',
  '[1,5)', '{[1,3),[5,9)}', '<a>&amp;</a>', '[2:3]={1,NULL}', '{"a,b","c\\"d",NULL,""}', '{infinity,2020-01-01}', 'o''k', '{sad,NULL}',
  4, '(1,"a,b",Happy)', ARRAY['(1,x,sad)', NULL]::pair[], '[-0,1.5)', 4294967295, 'pg_class', '16/B374D848', 'MiXed', 12.34);
INSERT INTO kinds (f8, f4, n) VALUES ('-0', '-infinity', 'infinity'), (0.1::float8 + 0.2, 3.4e38, 1e-300), (5e-324, 0, -0.000);
INSERT INTO kinds DEFAULT VALUES;
CREATE TABLE infinite (at timestamptz); INSERT INTO infinite VALUES ('infinity'), ('-infinity'), (NULL), ('epoch');
CREATE TABLE nothing (a int, b text); CREATE TABLE columnless (); INSERT INTO columnless DEFAULT VALUES;
CREATE TABLE keyless (a int, b text); INSERT INTO keyless SELECT 1, 'same' FROM generate_series(1, 100);
CREATE TABLE wide (id int, big text); INSERT INTO wide SELECT i, repeat(md5(i::text), 40000) FROM generate_series(1, 8) i;
CREATE UNLOGGED TABLE unlogged (a int); INSERT INTO unlogged VALUES (1);
CREATE TABLE always (id int GENERATED ALWAYS AS IDENTITY (INCREMENT 5), other int GENERATED BY DEFAULT AS IDENTITY, v int);
INSERT INTO always (v) SELECT i FROM generate_series(1, 20) i;
CREATE TABLE parted (k int, at date, v text, PRIMARY KEY (k, at)) PARTITION BY LIST (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2) PARTITION BY RANGE (at);
CREATE TABLE parted_2_old PARTITION OF parted_2 FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE parted_2_new PARTITION OF parted_2 FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);
CREATE TABLE parted_rest PARTITION OF parted DEFAULT; CREATE INDEX ON parted (v);
INSERT INTO parted SELECT 1 + i % 4, '2019-12-01'::date + i, 'v' || i FROM generate_series(1, 400) i;
CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent); CREATE TABLE grandchild () INHERITS (child);
INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3); INSERT INTO grandchild VALUES (4, 5);
CREATE SEQUENCE untouched START 7 INCREMENT 3; CREATE SEQUENCE used; SELECT nextval('used') FROM generate_series(1, 41);
CREATE SEQUENCE downwards INCREMENT -2 MAXVALUE 100 START 100; SELECT nextval('downwards') FROM generate_series(1, 3);
CREATE TABLE booked (room int, during int4range, EXCLUDE USING gist (during WITH &&) WHERE (room = 1), code text);
INSERT INTO booked SELECT 1, int4range(i * 10, i * 10 + 5), 'c' || i FROM generate_series(1, 50) i;
ALTER TABLE booked ADD CONSTRAINT booked_code UNIQUE (code) DEFERRABLE INITIALLY DEFERRED;
CREATE UNIQUE INDEX booked_lower ON booked (lower(code)) INCLUDE (room) WHERE room IS NOT NULL;
CREATE STATISTICS booked_statistics ON room, code FROM booked;
CREATE TABLE guarded (a int); INSERT INTO guarded VALUES (1), (2); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY small ON guarded USING (a < 2);
CREATE TABLE ruled (a int); INSERT INTO ruled VALUES (1); CREATE RULE ruled_nothing AS ON DELETE TO ruled DO INSTEAD NOTHING;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''never''; END';
CREATE TABLE triggered (a int); INSERT INTO triggered VALUES (1), (2);
CREATE TRIGGER fires BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER sleeps BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION refuse(); ALTER TABLE triggered DISABLE TRIGGER sleeps;
CREATE VIEW looks AS SELECT v, count(*) FROM plain GROUP BY v; CREATE VIEW looks_twice AS SELECT * FROM looks;
CREATE MATERIALIZED VIEW first AS SELECT count(*) AS n FROM plain; CREATE MATERIALIZED VIEW second AS SELECT n + 1 AS n FROM first;
CREATE MATERIALIZED VIEW unpopulated AS SELECT 1 AS a WITH NO DATA; CREATE INDEX ON second (n);
COMMENT ON TABLE plain IS 'it''s plain'; CREATE COLLATION german FROM "C"; CREATE AGGREGATE product(int) (sfunc = int4mul, stype = int);
ALTER TABLE plain ALTER v SET DEFAULT 'p' || currval('used')::text;
ANALYZE;`;

const config = `
hypertable_configs:
  - {schema: public, name: by_timestamptz, time_column_name: at, chunk_time_interval: 7d, compress: {after: 30d, segmentby: [device]}}
  - {schema: public, name: by_timestamp, time_column_name: at, chunk_time_interval: 7d, compress: {after: 30d, orderby: [at asc]}}
  - {schema: public, name: by_date, time_column_name: day, chunk_time_interval: 7d, compress: {after: 4w, segmentby: [device]}}
  - {schema: public, name: by_bigint, time_column_name: n, chunk_time_interval: 1000, compress: {after: 2500, segmentby: [device]}}
  - {schema: public, name: by_smallint, time_column_name: n, chunk_time_interval: 100, compress: {orderby: [n desc]}}
  - {schema: public, name: empty_series, time_column_name: at, compress: {after: 7d}}
  - {schema: public, name: keyed_series, time_column_name: at, compress: {segmentby: [device], orderby: [at]}}
  - {schema: public, name: unindexed_series, time_column_name: at, compress: {segmentby: [device], orderby: [at desc]}}
  - {schema: public, name: worn_series, time_column_name: at, compress: {orderby: [v nulls first, at, note desc]}}
  - {schema: public, name: rewritten, time_column_name: at, compress: {segmentby: [kind]}}
  - schema: '${odd.replaceAll("'", "''")}'
    name: '${oddTable.slice(odd.length + 1).replaceAll("'", "''")}'
    time_column_name: '"ti""me"'
    compress:
      segmentby: ['"seg; ment"']
      orderby: ['"ti""me" desc', '"or''der"', '"ORDER" desc']
ignore_missing_time_index: true
verify: true
`;

before(async () => {
  ({ source, target } = await startPair(place.folder));
  query(source.uri, timeSeries);
  query(source.uri, plain);
  to = emptyTarget(target);
  result = await run(['clone', '-s', source.uri, '-t', to, '-c', writeConfig(place.folder, 'shapes.yml', config), '--hide-progress']);
});

after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

// The same answer on both sides, and not an empty one.
function same(sql, inOrder = false) {
  const [wanted, found] = [source.uri, to].map((uri) => (inOrder ? query(uri, sql) : query(uri, sql).sort()));
  assert.notDeepEqual(wanted, []);
  assert.deepEqual(found, wanted, sql);
}

test('clone ends well', () => assert.equal(result.code, 0, result.stderr + result.stdout));

// "rewritten" holds values that compression may replace by equal ones; what the others hold arrives as it was.
test('every table arrives as it was', () => {
  const names = tables(source.uri).filter((name) => name !== 'public.rewritten');
  assert.ok(names.length > 25, names.join());
  assert.equal(differences(source.uri, to, names), '');
});

test('what compression rewrites is called so, with the columns, and is no difference', () => {
  assert.match(result.stdout, /rewritten[^\n]*equal\*/);
  const [, columns] = result.stdout.match(/public\.rewritten: ([^\n]*)/g).at(-1).split(': ');
  for (const column of ['kind', 'doc', 'many']) assert.ok(columns.includes(column), result.stdout);
  // Equal by the types' own equality, row for row.
  same('SELECT count(*), sum(extract(epoch FROM at)) FROM rewritten');
  const equal = `SELECT count(*) FROM rewritten WHERE kind = 'abc' AND doc = '{"a": 1}' AND span = '1 day' AND many = '{1}'`;
  assert.equal(value(to, equal), '3000');
});

test('chunks younger than compress.after stay uncompressed, older ones are compressed in order', () => {
  const cut = {
    by_timestamptz: "range_end <= now() - interval '30 days'", by_timestamp: "range_end <= now() - interval '30 days'",
    by_date: "range_end <= now() - interval '28 days'", by_bigint: 'range_end_integer <= 9000 - 2500',
  };
  const rows = query(to, `SELECT c.hypertable_name, CASE c.hypertable_name ${Object.entries(cut)
    .map(([name, old]) => `WHEN '${name}' THEN ${old}`).join(' ')} ELSE true END, k.status, count(*)
    FROM timescaledb_information.chunks c JOIN _timescaledb_catalog.chunk k
      ON k.schema_name = c.chunk_schema AND k.table_name = c.chunk_name GROUP BY 1, 2, 3 `)
    .map((row) => row.split('|'));
  for (const row of rows) assert.equal(row[2], row[1] === 't' ? '1' : '0', row.join());
  for (const name of Object.keys(cut)) assert.equal(rows.filter((row) => row[0] === name).length, 2, name);
  assert.equal(rows.length, 2 * 4 + 6, rows.join(' '));
});

test('ORDER BY over compressed chunks is right, NULLs too', () => {
  for (const [table, order] of [['by_timestamptz', 'at DESC, v'], ['by_timestamp', 'at'], ['by_date', 'day DESC'],
    ['by_bigint', 'n DESC, v'], ['worn_series', 'v NULLS FIRST, at, note DESC'], ['unindexed_series', 'at DESC, v'],
    [oddTable, '"ti""me" DESC, "or\'der"']]) same(`SELECT t::text FROM ${table} t ORDER BY ${order}`, true);
});

test('an empty table becomes a hypertable all the same', () => {
  assert.equal(value(to, "SELECT num_chunks FROM timescaledb_information.hypertables WHERE hypertable_name = 'empty_series'"), '0');
});

test('a table without a time index ends compressed, and with one', () => {
  same('SELECT count(*), sum(v) FROM unindexed_series');
  assert.equal(value(to, "SELECT count(*) FROM pg_indexes WHERE tablename = 'unindexed_series' AND schemaname = 'public'"), '1');
  assert.match(result.stdout + result.stderr, /unindexed_series: no index is led by its time column/);
});

test('keys of hypertables hold', () => {
  const attempt = "DO $$ BEGIN INSERT INTO keyed_series SELECT * FROM keyed_series LIMIT 1; EXCEPTION WHEN unique_violation THEN RETURN; END $$";
  query(to, attempt);
  assert.equal(fingerprint(to, 'keyed_series'), fingerprint(source.uri, 'keyed_series'));
  same("SELECT conname, contype FROM pg_constraint WHERE conrelid = 'keyed_series'::regclass AND contype IN ('p', 'c')");
});

test('composites travel as text, everything else in binary', () => {
  const formats = result.stdout.split('\n').map((line) => line.match(/^(\S.*?) .* (text|binary) /)).filter((match) => match);
  assert.deepEqual(formats.filter(([, , format]) => format === 'text').map(([, name]) => name), ['public.kinds']);
  assert.ok(formats.length > 25, result.stdout);
});

test('identity columns, sequences and defaults go on', () => {
  same("SELECT schemaname, sequencename, start_value, increment_by, max_value, last_value FROM pg_sequences WHERE schemaname = 'public'");
  same("SELECT attrelid::regclass, attname, attidentity, attgenerated FROM pg_attribute WHERE (attidentity <> '' OR attgenerated <> '') AND attrelid::regclass::text !~ '_hyper_'");
  for (const sequence of ['untouched', 'used', 'downwards', 'plain_id_seq', 'always_id_seq', 'worn_series_id_seq']) same(`SELECT nextval('${sequence}')`);
});

test('indexes, constraints and statistics are the same', () => {
  const mine = "NOT IN ('pg_catalog', 'information_schema', '_hypershift') AND nspname !~ 'timescaledb|pg_toast'";
  same(`SELECT i.indrelid::regclass, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname ${mine} AND c.relname <> 'unindexed_series'`);
  same(`SELECT conrelid::regclass, conname, replace(pg_get_constraintdef(c.oid), ' NOT VALID', '') FROM pg_constraint c
    JOIN pg_namespace n ON n.oid = connamespace WHERE contype IN ('p', 'u', 'c', 'f', 'x') AND nspname ${mine}
      AND conparentid = 0`);
  same('SELECT stxname FROM pg_statistic_ext');
});

test('partitions and children hang where they hung', () => {
  same(`SELECT inhrelid::regclass, inhparent::regclass FROM pg_inherits i JOIN pg_class c ON c.oid = inhrelid
    WHERE c.relnamespace = 'public'::regnamespace`);
  same("SELECT c.oid::regclass, pg_get_expr(relpartbound, c.oid) FROM pg_class c WHERE relispartition AND relkind IN ('r', 'p')");
  same('SELECT tableoid::regclass, count(*) FROM parted GROUP BY 1');
  same('SELECT tableoid::regclass, count(*) FROM parent GROUP BY 1');
});

test('views, policies, rules, triggers, functions, types, comments and collations are there', () => {
  same("SELECT viewname FROM pg_views WHERE schemaname = 'public' AND viewname LIKE 'looks%'");
  same('SELECT v, count FROM looks_twice');
  same("SELECT matviewname, ispopulated FROM pg_matviews WHERE schemaname = 'public'");
  same('SELECT (SELECT n FROM first), n FROM second');
  same('SELECT policyname, qual FROM pg_policies');
  same("SELECT relname, relrowsecurity, relpersistence FROM pg_class WHERE relname IN ('guarded', 'unlogged', 'plain')");
  same("SELECT tablename, rulename FROM pg_rules WHERE schemaname = 'public'");
  same("SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'triggered'::regclass");
  same("SELECT enumlabel FROM pg_enum WHERE enumtypid = 'mood'::regtype ORDER BY enumsortorder");
  same("SELECT obj_description('plain'::regclass), product(v) FROM (VALUES (2), (3)) x (v)");
  same("SELECT collname FROM pg_collation WHERE collname = 'german'");
  same("SELECT extname FROM pg_extension WHERE extname = 'citext'");
});

test('every object of the source that has not arrived is named', () => {
  const objects = `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^(pg_|information_schema|_?timescaledb|_hypershift)' AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'i', 'I', 'c')`;
  const arrived = new Set(query(to, objects));
  for (const name of query(source.uri, objects)) assert.ok(arrived.has(name) || result.stdout.includes(name), name);
});

// The partitioned table's key is whole only when each partition's index has been attached.
test('a foreign key to a partitioned table', async () => {
  const from = makeDatabase(source.uri);
  query(from, `CREATE TABLE parted (k int, at date, PRIMARY KEY (k, at)) PARTITION BY LIST (k);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1); CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
    INSERT INTO parted SELECT i % 3, '2020-01-01'::date + i FROM generate_series(1, 30) i;
    CREATE TABLE refers (k int, at date, FOREIGN KEY (k, at) REFERENCES parted); INSERT INTO refers SELECT * FROM parted`);
  const plainTarget = makeDatabase(source.uri);
  const moved = await run(['clone', '-s', from, '-t', plainTarget, '--hide-progress', '--retry-limit', '1', '--keeper-grace', '10s']);
  assert.equal(moved.code, 0, moved.stderr + moved.stdout);
  assert.throws(() => query(plainTarget, "INSERT INTO refers VALUES (7, '1999-01-01')"), /refers_k_at_fkey/);
});
