// A hypertable with a hash dimension: its chunks are those that TimescaleDB itself would have made, each fully compressed and in
// order, whatever the rows are segmented by and however the copies are cut.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fingerprint } from './support/oracle.mjs';
import { emptyTarget, query, run, startPair, temporaryFolder, value, writeConfig } from './support/servers.mjs';

const place = temporaryFolder();
let source;
let target;
let to;
let shown;
let result;

// Ranges are to have 1 MiB, chunks have some 8 MB.
const rows = 40_000;
const cut = (name, devices = 211) => `CREATE TABLE ${name} (at timestamptz NOT NULL, device int, kind int NOT NULL, v int, filler text);
INSERT INTO ${name} SELECT '2021-01-07 00:00+00'::timestamptz + i * interval '5 s', nullif((i::bigint * 7919 % ${devices})::int, 0), i % 2, i, repeat(md5(i::text), 4)
  FROM generate_series(1, ${rows}) i;
CREATE INDEX ON ${name} (at);`;
const schema = `
-- Of several intervals, with keys of all kinds.
CREATE TABLE keyed (id bigint NOT NULL, at timestamptz NOT NULL, device int NOT NULL, v text, PRIMARY KEY (at, device, id),
  CONSTRAINT keyed_no_device UNIQUE (id, at), CONSTRAINT keyed_neither UNIQUE (id));
INSERT INTO keyed SELECT i, '2020-12-20 00:00+00'::timestamptz + i * interval '13 min', (i::bigint * 7919 % 101)::int, md5(i::text) FROM generate_series(1, 12000) i;
CREATE UNIQUE INDEX keyed_index_no_device ON keyed (at, id); CREATE UNIQUE INDEX keyed_index ON keyed (id, device, at);
-- One large chunk each, cut into copies; a value in some is NULL.
${cut('by_device')} ${cut('few', 3)} ${cut('by_kind')} ${cut('many')}
-- Not to be sorted by the source: each of an interval's chunks is compressed once more.
CREATE TABLE by_collation (at timestamptz NOT NULL, name text COLLATE ucs_basic NOT NULL, device int); CREATE INDEX ON by_collation (at);
INSERT INTO by_collation SELECT '2021-01-07 00:00+00'::timestamptz + i / 700 * interval '1 h', 'name ' || (i::bigint * 7919 % 40009), i % 31 FROM generate_series(1, ${rows}) i;
-- One partition; integers for time; some chunks are too young.
CREATE TABLE one (n bigint NOT NULL, name text); CREATE INDEX ON one (n);
INSERT INTO one SELECT i, 'name ' || i % 50 FROM generate_series(-500, 4499) i;
CREATE TABLE "Plain ""Table""" (day date NOT NULL, "De'vice" uuid NOT NULL); CREATE INDEX ON "Plain ""Table""" (day);
INSERT INTO "Plain ""Table""" SELECT '2021-01-01'::date + i % 40, md5((i % 90)::text)::uuid FROM generate_series(1, 3000) i;
CREATE TABLE unindexed (at timestamp NOT NULL, device text, v int);
INSERT INTO unindexed SELECT '2021-01-01'::timestamp + i * interval '7 min', 'd' || (i::bigint * 7919 % 83), i FROM generate_series(1, 6000) i;
ANALYZE`;

const tables = {
  keyed: { time: 'at', column: 'device', partitions: 3, interval: '7d', order: 'at DESC, id', compress: 'compress: {segmentby: [device], orderby: [at desc, id]}' },
  by_device: { time: 'at', column: 'device', partitions: 3, interval: '7d', order: 'at DESC, v', compress: 'compress: {segmentby: [device, kind], orderby: [at desc]}' },
  few: { time: 'at', column: 'device', partitions: 2, interval: '7d', order: 'at DESC, v', compress: 'compress: {segmentby: [device], orderby: [at desc]}' },
  by_kind: { time: 'at', column: 'device', partitions: 7, interval: '7d', order: 'at, v', compress: 'compress: {segmentby: [kind], orderby: [at]}' },
  many: { time: 'at', column: 'device', partitions: 40, interval: '7d', order: 'at DESC, v', compress: 'compress: {orderby: [at desc]}' },
  by_collation: { time: 'at', column: 'device', partitions: 3, interval: '7d', order: 'at, name', compress: 'compress: {orderby: [at, name]}' },
  one: { time: 'n', column: 'name', partitions: 1, interval: '1000', order: 'n', compress: 'compress: {after: 2000, segmentby: [name]}' },
  '"Plain ""Table"""': { time: 'day', column: '"De\'vice"', partitions: 4, interval: '7d', order: 'day' },
  unindexed: { time: 'at', column: 'device', partitions: 3, interval: '7d', order: 'at DESC, v', compress: 'compress: {segmentby: [device], orderby: [at desc, v]}' },
};
const names = Object.keys(tables);
const inYaml = (name) => `'${name.replaceAll("'", "''")}'`;
const entry = (name, { time, column, partitions, interval, compress }) => `  - schema: public
    name: ${inYaml(name)}
    time_column_name: ${time}
    chunk_time_interval: ${interval}
    partitioning_column: ${inYaml(column)}
    number_partitions: ${partitions}
${compress ? `    ${compress}\n` : ''}`;
const config = `target_task_size: 1
parallel: 4
verify: true
ignore_missing_time_index: true
drop_incompatible_hypertable_constraints: true
hypertable_configs:
${Object.entries(tables).map(([name, table]) => entry(name, table)).join('')}`;

before(async () => {
  ({ source, target } = await startPair(place.folder));
  query(source.uri, schema);
  to = emptyTarget(target);
  const file = writeConfig(place.folder, 'hash.yml', config);
  const plan = await run(['plan', '-s', source.uri, '-t', to, '-c', file, '--json']);
  assert.equal(plan.code, 0, plan.stderr);
  shown = JSON.parse(plan.stdout);
  shown.text = (await run(['plan', '-s', source.uri, '-t', to, '-c', file])).stdout;
  result = await run(['clone', '-s', source.uri, '-t', to, '-c', file, '--hide-progress']);
});
after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

const text = (name) => `'${name.replaceAll("'", "''")}'`;
// A line for each chunk: the bounds of all its dimensions, its status, its rows.
const chunks = (name) => query(to, `SELECT c.slices::text || ' ' || coalesce(held.rows, 0) FROM show_chunks(${text(name)}) chunk
  CROSS JOIN LATERAL _timescaledb_functions.show_chunk(chunk) c
  LEFT JOIN (SELECT tableoid, count(*) AS rows FROM ${name} GROUP BY 1) held ON held.tableoid = chunk ORDER BY 1`);
const statuses = (name) => query(to, `SELECT k.status, count(*) FROM show_chunks(${text(name)}) chunk
  JOIN _timescaledb_catalog.chunk k ON format('%I.%I', k.schema_name, k.table_name)::regclass = chunk GROUP BY 1 ORDER BY 1`);
const copies = (name) => query(to, `SELECT k.rows FROM _hypershift.task k JOIN _hypershift.source_table t
  ON (t.migration_id, t.id) = (k.migration_id, k.table_id) WHERE k.kind = 'copy' AND t.table_name = '${name}' ORDER BY k.id`).map(Number);
// Rows in each compressed batch, chunk by chunk.
function batches(name) {
  const parts = query(to, `SELECT format('%I.%I', c.schema_name, c.table_name) FROM _timescaledb_catalog.chunk k
    JOIN _timescaledb_catalog.chunk c ON c.id = k.compressed_chunk_id JOIN _timescaledb_catalog.hypertable h ON h.id = k.hypertable_id
    WHERE h.table_name = '${name}'`);
  return parts.map((part) => query(to, `SELECT _ts_meta_count FROM ${part}`).map(Number));
}

test('clone ends well, and every row arrives', () => {
  assert.equal(result.code, 0, result.stderr + result.stdout);
  for (const name of names) assert.equal(fingerprint(to, name), fingerprint(source.uri, name), name);
  assert.match(result.stdout, /equal/);
});

test('every chunk is as the server itself would have bounded it, with the same rows', () => {
  for (const [name, { time, column, partitions }] of Object.entries(tables)) {
    const [interval] = query(to, `SELECT d.interval_length FROM _timescaledb_catalog.dimension d JOIN _timescaledb_catalog.hypertable h ON h.id = d.hypertable_id
      WHERE format('%I', h.table_name) = ${text(name)} AND d.interval_length IS NOT NULL`);
    query(to, `CREATE TABLE servers_own (LIKE ${name});
      SELECT create_hypertable('servers_own'::regclass, '${time}'::name, partitioning_column => ${text(column.replaceAll('"', ''))}::name, number_partitions => ${partitions},
        chunk_time_interval => ${interval}::bigint, create_default_indexes => false);
      INSERT INTO servers_own SELECT * FROM ${name}`);
    const own = chunks('servers_own');
    query(to, 'DROP TABLE servers_own');
    assert.ok(own.length >= partitions, `${name}: ${own.length}`);
    assert.deepEqual(chunks(name), own, name);
  }
});

test('every chunk that is to be is fully compressed and in order', () => {
  for (const name of ['keyed', 'by_device', 'few', 'by_kind', 'many', 'by_collation', 'unindexed']) assert.deepEqual(statuses(name).map((line) => line.split('|')[0]), ['1'], name);
  assert.deepEqual(statuses('one'), ['0|3', '1|3']);
  assert.deepEqual(statuses('"Plain ""Table"""').map((line) => line.split('|')[0]), ['0']);
  const inOrder = (name, order, where = 'true') => {
    const sql = `SELECT ${order.replaceAll(' DESC', '')} FROM ${name} WHERE ${where} ORDER BY ${order}`;
    assert.deepEqual(query(to, sql), query(source.uri, sql), `${name} where ${where}`);
  };
  for (const [name, { order }] of Object.entries(tables)) inOrder(name, order);
  // Of one chunk, and of one segment, the server takes the batches one after the other.
  inOrder('by_device', 'at DESC', 'device = 7');
  inOrder('few', 'at DESC', 'device IS NULL');
  inOrder('by_kind', 'at', 'device = 7');
  inOrder('by_kind', 'at', 'kind = 1 AND device = 7');
  inOrder('by_kind', 'at', 'device IS NULL');
  inOrder('many', 'at DESC', 'device = 7');
  inOrder('by_collation', 'at, name', 'device = 7');
});

test('a chunk is cut while a thousand rows stay for each segment of each hash partition', () => {
  // 3 segments, each in one partition; 2 in 7 partitions each; none in 40; and 211 devices of 2 kinds.
  assert.ok(copies('few').length >= 5, copies('few').join());
  const pieces = copies('by_kind');
  assert.ok(pieces.length === 2, pieces.join());
  assert.equal(copies('many').length, 1);
  assert.equal(copies('by_device').length, 1);
  for (const chunk of batches('by_kind')) assert.ok(chunk.length <= 2 * 2 * Math.ceil(rows / 7 / 2 / 2 / 1000) + 2, `${chunk}`);
  for (const chunk of batches('many')) assert.ok(chunk.length <= 2, `${chunk}`);
});

test('keys with all dimensions arrive; others are left out, with what they lack', () => {
  const keys = "SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'keyed'::regclass AND contype IN ('p', 'u') ORDER BY 1";
  assert.deepEqual(query(to, keys), ['keyed_pkey PRIMARY KEY (at, device, id)']);
  assert.deepEqual(query(to, "SELECT indexname FROM pg_indexes WHERE tablename = 'keyed' AND indexdef LIKE 'CREATE UNIQUE%' ORDER BY 1"), ['keyed_index', 'keyed_pkey']);
  const said = result.stdout.replaceAll(/\s+/g, ' ');
  assert.match(said, /constraint keyed_no_device of public\.keyed: a hypertable's keys must contain its partitioning column 'device'/);
  assert.match(said, /constraint keyed_neither of public\.keyed: a hypertable's keys must contain its time column 'at' and its partitioning column 'device'/);
  assert.match(said, /unique index keyed_index_no_device of public\.keyed: a hypertable's unique indexes must contain its partitioning column 'device'/);
  assert.throws(() => query(to, 'INSERT INTO keyed SELECT * FROM keyed LIMIT 1'), /duplicate key/);
});

test('plan has shown the dimension and counted its chunks', () => {
  for (const { name, hypertable } of shown.tables) {
    const key = name in tables ? name : '"Plain ""Table"""';
    assert.equal(hypertable.numberPartitions, tables[key].partitions, name);
    assert.equal(hypertable.partitioningColumn, tables[key].column.replaceAll('"', ''), name);
    assert.equal(hypertable.sorted, !['Plain "Table"', 'by_collation', 'unindexed'].includes(name), name);
    if (hypertable.chunks === null) continue;
    assert.equal(hypertable.chunks, chunks(key).length, name);
    const compressed = value(to, `SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = ${text(name)} AND is_compressed`);
    assert.equal(hypertable.chunksCompressedDirectly + hypertable.chunksCompressedAfterwards, Number(compressed), name);
  }
  assert.match(shown.text, /by_device +at +7d +3 by device/);
});

test('locks are counted for all partitions', async () => {
  const yaml = `include_tables: [public.many]\nparallel: 3\nhypertable_configs:\n${entry('many', { ...tables.many, partitions: 32767 })}`;
  const { stdout, stderr } = await run(['plan', '-s', source.uri, '-t', emptyTarget(target), '-c', writeConfig(place.folder, 'locks.yml', yaml), '--json']);
  const warnings = JSON.parse(stdout).warnings.join('\n');
  assert.match(warnings, /many will have up to 32767 chunks; [^\n]* need 229369 locks, [^\n]*or lower number_partitions/, stderr);
  assert.match(warnings, /many: making the 32767 chunks of an interval takes some 524272 locks, in up to 3 slots at once/);
  assert.ok(shown.warnings.every((warning) => !/ chunks of an interval/.test(warning)), shown.warnings.join());
});

// The server would say so when the schema is there already.
test('a bad dimension is refused by name, before anything is written', async () => {
  query(source.uri, `CREATE TABLE odd (at timestamptz NOT NULL, device int, twice int GENERATED ALWAYS AS (device * 2) STORED, place point, doc json,
    CONSTRAINT odd_key UNIQUE (at)); CREATE INDEX ON odd (at)`);
  const empty = emptyTarget(target);
  const refused = async (lines, pattern) => {
    const yaml = `include_tables: [public.odd]\nhypertable_configs:\n  - schema: public\n    name: odd\n    time_column_name: at\n${lines.map((line) => `    ${line}\n`).join('')}`;
    const { code, stderr } = await run(['clone', '-s', source.uri, '-t', empty, '-c', writeConfig(place.folder, 'bad.yml', yaml), '--hide-progress']);
    assert.equal(code, 2, stderr);
    assert.match(stderr, pattern);
    assert.equal(value(empty, "SELECT count(*) FROM pg_namespace WHERE nspname = '_hypershift'"), '0');
  };
  const four = 'number_partitions: 4';
  await refused(['partitioning_column: device'], /bad\.yml:3: hypertable public\.odd: 'partitioning_column' needs 'number_partitions'/);
  await refused([four], /bad\.yml:3: hypertable public\.odd: 'number_partitions' needs 'partitioning_column'/);
  await refused(['partitioning_column: device', 'number_partitions: 40000'], /bad\.yml:7: 'number_partitions' must be an integer from 1 to 32767/);
  await refused(['partitioning_column: at', four], /the time column 'at' can't be the 'partitioning_column'/);
  await refused(['partitioning_column: devise', four], /\(line 3\): public\.odd: partitioning_column: there is no column 'devise' \(did you mean 'device'\?\)/);
  await refused(['partitioning_column: twice', four], /partitioning_column: 'twice' is a generated column/);
  for (const column of ['place', 'doc']) {
    await refused([`partitioning_column: ${column}`, four], new RegExp(`partitioning_column: '${column}' has type (point|json), which has no hash function`));
  }
  await refused(['partitioning_column: device', four], /constraint odd_key: a hypertable's keys must contain its partitioning column 'device': change it, or leave it out/);
});

// What the catalog says of types is what the server means.
test('whatever has a hash on the target may be the column', async () => {
  const types = ['bool', '"char"', 'name', 'varchar(9)', 'numeric', 'float8', 'uuid', 'jsonb', 'inet', 'cidr', 'interval', 'timetz', 'bytea', 'int[]', 'text[]', 'int4range', 'bpchar',
    'mood', 'positive', 'money', 'bit(3)', 'point', 'tsvector', 'point[]', 'positive[]', 'macaddr8', 'xid', 'pg_lsn', 'int2vector', 'regclass', 'json[]'];
  const empty = emptyTarget(target);
  const made = "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);";
  query(source.uri, `${made} ${types.map((type, i) => `CREATE TABLE typed_${i} (at timestamptz NOT NULL, k ${type}); CREATE INDEX ON typed_${i} (at);`).join(' ')}`);
  query(empty, made);
  const accepted = types.filter((type) => {
    try {
      query(empty, `DROP TABLE IF EXISTS tried; CREATE TABLE tried (at timestamptz NOT NULL, k ${type}); SELECT create_hypertable('tried'::regclass, 'at'::name, partitioning_column => 'k'::name, number_partitions => 2, create_default_indexes => false)`);
      return true;
    } catch {
      return false;
    }
  });
  const yaml = `hypertable_configs:\n${types.map((_, i) => `  - {schema: public, name: typed_${i}, time_column_name: at, partitioning_column: k, number_partitions: 2}\n`).join('')}`;
  const { stderr } = await run(['plan', '-s', source.uri, '-t', emptyTarget(target), '-c', writeConfig(place.folder, 'types.yml', yaml)]);
  const refused = [...stderr.matchAll(/typed_(\d+): partitioning_column: 'k' has type/g)].map((match) => types[match[1]]);
  assert.deepEqual(types.filter((type) => !refused.includes(type)), accepted);
  assert.ok(accepted.length > 20 && refused.length > 5);
});
