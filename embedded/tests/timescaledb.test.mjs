// What the project needs of TimescaleDB, and values that are large.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test, { after, before } from 'node:test';
import { psql, psqlScript, tryPsql } from './support/psql.mjs';
import { RawClient, bind, execute, parse, sync, summary } from './support/raw-client.mjs';
import { Server } from './support/server.mjs';

let server;
before(async () => {
  server = await Server.start();
  await psql(server, 'CREATE EXTENSION IF NOT EXISTS timescaledb');
});
after(() => server.stop());

const DAY = 86_400_000_000;
const START = Date.UTC(2024, 0, 1) * 1000;

test('direct compress into a chunk compressed while empty gives status 1', async () => {
  await psql(server, [
    'CREATE TABLE metrics (time timestamptz NOT NULL, device int NOT NULL, value float8)',
    "SELECT create_hypertable('metrics', 'time', chunk_time_interval => interval '1 day', create_default_indexes => false)",
    "ALTER TABLE metrics SET (timescaledb.compress, timescaledb.compress_segmentby = 'device', timescaledb.compress_orderby = 'time')",
    `SELECT _timescaledb_functions.create_chunk('metrics', '{"time": [${START}, ${START + DAY}]}')`,
    "SELECT compress_chunk(c) FROM show_chunks('metrics') c",
  ]);
  const rows = `SELECT timestamptz '2024-01-01 00:00Z' + i * interval '1 second', d, (i * d)::float8
                  FROM generate_series(1, 10) d, generate_series(0, 9999) i ORDER BY 2, 1`;
  const { stdout } = await tryPsql(server, `COPY (${rows}) TO STDOUT (FORMAT binary)`);
  await psql(
    server,
    [
      'SET timescaledb.enable_direct_compress_copy = on',
      'SET timescaledb.enable_direct_compress_copy_client_sorted = on',
      'COPY metrics FROM STDIN (FORMAT binary)',
    ],
    { input: stdout },
  );
  assert.equal(await psql(server, 'SELECT status FROM _timescaledb_catalog.chunk WHERE hypertable_id = 1'), '1');
  assert.equal(await psql(server, 'SELECT count(*), count(DISTINCT (time, device)) FROM metrics'), '100000|100000');
  await psql(server, 'ALTER TABLE metrics ADD PRIMARY KEY (time, device)');
  const duplicate = await tryPsql(server, "INSERT INTO metrics VALUES ('2024-01-01 00:00:05Z', 3, 0)");
  assert.match(duplicate.stderr, /duplicate key value/);
});

test('the columnstore by its newer name, policies and a continuous aggregate', async () => {
  await psql(server, [
    'CREATE TABLE weather (time timestamptz NOT NULL, city text, degrees float8)',
    "SELECT create_hypertable('weather', by_range('time', interval '7 days'))",
    "ALTER TABLE weather SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'city', timescaledb.orderby = 'time DESC')",
    "SELECT add_compression_policy('weather', compress_after => interval '30 days')",
    "SELECT add_retention_policy('weather', interval '10 years')",
    "INSERT INTO weather SELECT timestamptz '2024-01-01Z' + i * interval '1 hour', 'Oslo', i % 24 FROM generate_series(0, 999) i",
    `CREATE MATERIALIZED VIEW daily WITH (timescaledb.continuous) AS
       SELECT time_bucket('1 day', time) AS day, city, max(degrees) AS high FROM weather GROUP BY 1, 2 WITH NO DATA`,
    "CALL refresh_continuous_aggregate('daily', NULL, NULL)",
    "SELECT add_continuous_aggregate_policy('daily', '1 month', '1 hour', '1 hour')",
  ]);
  assert.equal(await psql(server, 'SELECT count(*), max(high) FROM daily'), '42|23');
  const jobs = "SELECT string_agg(proc_name, ' ' ORDER BY proc_name) FROM timescaledb_information.jobs WHERE job_id >= 1000";
  assert.equal(await psql(server, jobs), 'policy_compression policy_refresh_continuous_aggregate policy_retention');
  const job = await psql(server, "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression'");
  await psql(server, `CALL run_job(${job})`);
  assert.equal(await psql(server, "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'weather' AND NOT is_compressed"), '0');
});

test('the rest of a schema: types, functions, triggers, views, identity, extensions', async () => {
  await psqlScript(
    server,
    `CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION btree_gist;
     CREATE TYPE mood AS ENUM ('sad', 'ok');
     CREATE DOMAIN positive AS int CHECK (VALUE > 0);
     CREATE TABLE things (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, m mood, p positive, h hstore, c citext UNIQUE,
                          twice int GENERATED ALWAYS AS (p * 2) STORED, touched int DEFAULT 0);
     CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := 1; RETURN NEW; END $$;
     CREATE TRIGGER touch BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION touch();
     CREATE MATERIALIZED VIEW totals AS SELECT m, sum(p) AS total FROM things GROUP BY m;
     INSERT INTO things (m, p, h, c) VALUES ('ok', 4, 'a=>1', 'ABC');
     REFRESH MATERIALIZED VIEW totals;`,
  );
  assert.equal(await psql(server, "SELECT id, twice, touched, h -> 'a', c = 'abc', (SELECT total FROM totals) FROM things"), '1|8|1|1|t|4');
});

test('a 20 MB bytea goes in and out unchanged, by COPY and as a parameter', async () => {
  await psql(server, 'CREATE TABLE large (id int, b bytea)');
  const bytes = randomBytes(20 * 1024 * 1024);
  const hex = bytes.toString('hex');
  await psql(server, 'COPY large FROM STDIN', { input: `1\t\\\\x${hex}\n` });
  const client = await RawClient.connect(server);
  client.send(parse('', 'INSERT INTO large VALUES (2, $1::text::bytea)'), bind('', `\\x${hex}`), execute(), sync());
  assert.deepEqual(summary(await client.untilReady()).errors, []);
  const { rows } = await client.query('SELECT b FROM large ORDER BY id');
  assert.ok(rows.length === 2 && rows.every(([text]) => text === `\\x${hex}`));
  client.close();
});

test('a simple query of 5 MB with 50,000 statements', async () => {
  const client = await RawClient.connect(server);
  await client.query('CREATE TABLE script (n int, t text)');
  const sql = Array.from({ length: 50_000 }, (_, n) => `INSERT INTO script VALUES (${n}, '${'z'.repeat(80)}')`).join(';\n');
  assert.ok(sql.length > 5e6);
  assert.equal((await client.query(sql)).tags.length, 50_000);
  assert.deepEqual((await client.query('SELECT count(*), sum(n) FROM script')).rows, [['50000', '1249975000']]);
  client.close();
});

test('a function that calls itself 2,000 times', async () => {
  await psql(server, 'CREATE FUNCTION down(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN n = 0 THEN 0 ELSE down(n - 1) + 1 END; END $$');
  assert.equal(await psql(server, 'SELECT down(2000)'), '2000');
});
