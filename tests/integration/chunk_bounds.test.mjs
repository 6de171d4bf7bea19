// Chunks are bounded as TimescaleDB itself bounds them: for every type that can be a hypertable's time, for intervals of
// hours to years, before the epoch and before Christ, and wherever the source's clock stands.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fingerprint } from './support/oracle.mjs';
import { emptyTarget, makeDatabase, query, run, startPair, temporaryFolder, value, writeConfig } from './support/servers.mjs';

const place = temporaryFolder();
let source;
let target;
let from;
let to;
let result;

// Rows every `step` from `start`; over a change of the clock where there is one. Distances are uneven, and some rows lie on the bounds.
const moments = (start, step, count) => `(SELECT '${start}'::timestamptz + i * interval '${step}' + (i % 7) * interval '13 s' FROM generate_series(0, ${count}) i
  UNION ALL SELECT date_trunc('day', '${start}'::timestamptz + i * interval '${step}', 'UTC') FROM generate_series(0, ${count}, 5) i)`;
const tables = {
  hours: { type: 'timestamptz', interval: '1h', values: moments('2024-03-31 00:00+00', '11 min', 60) },
  odd: { type: 'timestamptz', interval: '7h', values: moments('2024-10-26 12:00+00', '31 min', 120) },
  days: { type: 'timestamp', interval: '1d', values: moments('2024-11-01 00:00+00', '5 h', 60) },
  week: { type: 'timestamptz', interval: '7d', values: moments('1969-11-20 00:00+00', '17 h', 150) },
  months: { type: 'date', interval: '30d', values: moments('1999-12-01 00:00+00', '3 days', 150) },
  year: { type: 'timestamp', interval: '365d', values: moments('1950-01-01 00:00+00', '100 days', 300) },
  before_christ: { type: 'timestamptz', interval: '365d', values: moments('0044-03-15 12:00+00 BC', '40 days', 60) },
  ancient_days: { type: 'date', interval: '7d', values: moments('0002-12-01 00:00+00 BC', '2 days', 400) },
  small: { type: 'smallint', interval: '1000', values: '(SELECT (i * 97 % 65536 - 32768) FROM generate_series(0, 3000) i)' },
  wide: { type: 'int', interval: '1000000000', values: '(SELECT i * 4000037::bigint - 2147483648 FROM generate_series(0, 1073) i)' },
  whole: { type: 'int', interval: '777', values: '(SELECT i * 131 - 30000 FROM generate_series(0, 500) i)' },
  big: { type: 'bigint', interval: '1000000007', values: '(SELECT i * 400000003::bigint - 20000000000 FROM generate_series(0, 100) i)' },
};
const names = Object.keys(tables);
const schema = names.map((name) => `CREATE TABLE ${name} (t ${tables[name].type} NOT NULL, n int);
INSERT INTO ${name} SELECT v::${tables[name].type}, row_number() OVER () FROM ${tables[name].values} AS of (v); CREATE INDEX ON ${name} (t);`).join('\n');
const config = `parallel: 2
hypertable_configs:
${names.map((name, i) => `  - {schema: public, name: ${name}, time_column_name: t, chunk_time_interval: '${tables[name].interval}'${i % 2 ? '' : ', compress: {orderby: [t]}'}}`).join('\n')}
`;

before(async () => {
  ({ source, target } = await startPair(place.folder));
  from = makeDatabase(source.uri);
  // Half an hour of summer time, and a quarter past the hour.
  query(from, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET TimeZone = ''Australia/Lord_Howe''', current_database()); END $$`);
  query(from, schema);
  query(from, 'ANALYZE');
  to = emptyTarget(target);
  result = await run(['clone', '-s', from, '-t', to, '-c', writeConfig(place.folder, 'bounds.yml', config), '--hide-progress']);
});
after(async () => {
  await source?.stop();
  await target?.stop();
  place.remove();
});

// A line for each chunk: its bounds and its rows.
const chunks = (name) => query(to, `SELECT c.slices::text || ' ' || coalesce(held.rows, 0) FROM show_chunks('${name}') chunk
  CROSS JOIN LATERAL _timescaledb_functions.show_chunk(chunk) c
  LEFT JOIN (SELECT tableoid, count(*) AS rows FROM ${name} GROUP BY 1) held ON held.tableoid = chunk ORDER BY 1`);

test('every row arrives', () => {
  assert.equal(result.code, 0, result.stderr + result.stdout);
  assert.match(value(from, 'SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()'), /Lord_Howe/);
  for (const name of names) assert.equal(fingerprint(to, name), fingerprint(from, name), name);
});

test('every chunk is as the server itself would have bounded it, with the same rows', () => {
  for (const name of names) {
    const [interval] = query(to, `SELECT d.interval_length FROM _timescaledb_catalog.dimension d JOIN _timescaledb_catalog.hypertable h ON h.id = d.hypertable_id
      WHERE h.table_name = '${name}'`);
    query(to, `CREATE TABLE servers_own (LIKE ${name});
      SELECT create_hypertable('servers_own'::regclass, 't'::name, chunk_time_interval => ${interval}::bigint, create_default_indexes => false);
      INSERT INTO servers_own SELECT * FROM ${name}`);
    const own = chunks('servers_own');
    query(to, 'DROP TABLE servers_own');
    assert.ok(own.length >= 4, `${name}: ${own.length}`);
    assert.deepEqual(chunks(name), own, name);
  }
});

test('chunks are made ahead, one for each time that has rows, and none by a copy itself', () => {
  const made = Number(value(to, `SELECT sum(CASE WHEN k.description ~ ' and [0-9]+ more$' THEN substring(k.description from ' and ([0-9]+) more$')::int + 1 ELSE 1 END)
    FROM _hypershift.task k WHERE k.kind = 'prepare_chunk'`));
  assert.equal(made, names.reduce((sum, name) => sum + chunks(name).length, 0));
});
