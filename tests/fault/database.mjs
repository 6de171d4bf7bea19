// What the storms migrate: small, yet of many ranges, so that something is always half done. Every kind of table that splits
// differently is there; a table without a key takes a doubled range without an error, so that only the oracle sees it.
import { spawnSync } from 'node:child_process';
import { psql } from '../integration/support/servers.mjs';

const smallTables = `
CREATE TYPE mood AS ENUM ('calm', 'windy', 'stormy');
CREATE DOMAIN percentage AS numeric(5, 2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE TABLE customers (
  id int PRIMARY KEY, name text NOT NULL, mood mood, tags text[], share percentage, born date, data jsonb, UNIQUE (name));
INSERT INTO customers
SELECT i, 'customer ' || i, (enum_range(NULL::mood))[1 + i % 3], CASE WHEN i % 7 > 0 THEN ARRAY['a' || i % 5, NULL, 'ß"\\'] END,
       i % 101, CASE WHEN i % 11 > 0 THEN '1950-01-01'::date + i % 20000 END, jsonb_build_object('i', i, 'n', NULL)
  FROM generate_series(1, 8000) i;
CREATE SEQUENCE order_numbers START 1000 INCREMENT 7;
CREATE TABLE orders (
  id bigint PRIMARY KEY DEFAULT nextval('order_numbers'), customer int NOT NULL REFERENCES customers, amount numeric,
  at timestamptz NOT NULL, lasts interval, ip inet, doubled numeric GENERATED ALWAYS AS (amount * 2) STORED);
ALTER SEQUENCE order_numbers OWNED BY orders.id;
INSERT INTO orders (customer, amount, at, lasts, ip)
SELECT 1 + i % 8000, CASE WHEN i % 13 > 0 THEN i / 7.0 END, '2024-01-01'::timestamptz + i * interval '1 minute',
       i * interval '1 second', ('10.0.' || i % 256 || '.1')::inet
  FROM generate_series(1, 20000) i;
CREATE INDEX ON orders (customer);
CREATE TABLE items (
  "order" bigint REFERENCES orders ON DELETE CASCADE, line smallint, "what's ""it""" text, weight real, PRIMARY KEY ("order", line));
INSERT INTO items SELECT 1000 + 7 * (i / 2), i % 2, CASE WHEN i % 17 > 0 THEN md5(i::text) END, CASE WHEN i % 19 = 0 THEN 'NaN'::real ELSE i END
  FROM generate_series(0, 30000) i;
CREATE TABLE parts (at timestamptz NOT NULL, sensor int NOT NULL, value double precision, PRIMARY KEY (at, sensor))
  PARTITION BY RANGE (at);
SELECT format('CREATE TABLE parts_%s PARTITION OF parts FOR VALUES FROM (%L) TO (%L)', i, '2024-01-01'::date + i, '2024-01-02'::date + i)
  FROM generate_series(0, 11) i \\gexec
INSERT INTO parts SELECT '2024-01-01'::timestamptz + i * interval '24 seconds', i % 3, sin(i) FROM generate_series(0, 43199) i;
CREATE TABLE metrics (at timestamptz NOT NULL, device int NOT NULL, value double precision);
INSERT INTO metrics SELECT '2024-01-01'::timestamptz + i * interval '30 seconds', i % 5, cos(i) FROM generate_series(0, 40000) i;
CREATE INDEX ON metrics (at);
CREATE TABLE nothing (id int PRIMARY KEY);
CREATE TABLE repeated (t text, n int);
INSERT INTO repeated SELECT 'the same', CASE WHEN i % 2 = 0 THEN i % 3 END FROM generate_series(1, 5000) i;
CREATE TABLE written (n int PRIMARY KEY);
CREATE VIEW stormy AS SELECT name FROM customers WHERE mood = 'stormy';
CREATE MATERIALIZED VIEW sums AS SELECT customer, sum(amount) AS amount FROM orders GROUP BY customer;
`;

// Tables are cut into ranges of 16 MiB and more, so these can be large. Most of it stands outside the rows, and is cheap to read.
const largeTables = (events, documents) => `
CREATE TABLE events (n int, at timestamptz, payload text);
ALTER TABLE events ALTER payload SET STORAGE EXTERNAL;
INSERT INTO events SELECT i, '2024-01-01'::timestamptz + i * interval '1 second', repeat(md5(i::text), 64)
  FROM generate_series(1, ${events}) i;
CREATE TABLE documents (id uuid PRIMARY KEY, body bytea, title text);
ALTER TABLE documents ALTER body SET STORAGE EXTERNAL;
INSERT INTO documents SELECT md5(i::text)::uuid, decode(repeat(md5(i::text), 400), 'hex'), CASE WHEN i % 3 > 0 THEN 'title ' || i END
  FROM generate_series(1, ${documents}) i;
CREATE INDEX ON documents (title);
`;

// Fills a database. From standard input, since \\gexec is psql's.
// `megabytes`: about.
export function makeStormDatabase(uri, { megabytes }) {
  const sql = `${smallTables}${largeTables(200 * megabytes, 50 * megabytes)}ANALYZE;`;
  const result = spawnSync(psql, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', uri], { input: sql, encoding: 'utf8' });
  if (result.status !== 0) throw new Error(result.stderr);
}

// Change number n: inserts, changes and deletes in tables of every kind, by nothing but n. So a copy of the database that has
// gone through the same changes holds the same rows. No row that a foreign key refers to goes away.
const changeSql = `
    INSERT INTO written VALUES (n);
    r := abs(hashint4(n)::bigint) % 100000;
    INSERT INTO events SELECT -n, '2030-01-01'::timestamptz + n * interval '1 second', 'change ' || n FROM generate_series(1, 20);
    DELETE FROM events WHERE events.n BETWEEN r % 22000 AND r % 22000 + 30;
    UPDATE documents SET title = 'changed by ' || n WHERE id = md5((1 + r % 5500)::text)::uuid;
    UPDATE customers SET mood = 'calm', share = n % 101, data = NULL WHERE id BETWEEN r % 8000 AND r % 8000 + 20;
    DELETE FROM items WHERE "order" = 1000 + 7 * (r % 15000);
    UPDATE metrics SET value = n WHERE device = n % 5 AND at < '2024-01-02';
    UPDATE parts SET value = value + 1 WHERE at BETWEEN '2024-01-03' AND '2024-01-03 02:00';
    INSERT INTO repeated VALUES ('later', r);`;

export const nextChangeSql = `
DO $$
DECLARE
  n int := (SELECT coalesce(max(w.n), 0) + 1 FROM written w);
  r int;
BEGIN
${changeSql}
END
$$`;

// The first `count` changes again, on a copy of the database as it was before any.
export const changesSql = (count) => `
DO $$
DECLARE
  r int;
BEGIN
  FOR n IN 1..${count} LOOP
${changeSql}
  END LOOP;
END
$$`;

// Removes what no snapshot sees any more: rows that a lost snapshot would have needed are really gone.
export const vacuumSql = 'VACUUM events, items, customers';

export const hypertableConfig = `
hypertable_configs:
  - {schema: public, name: metrics, time_column_name: at, chunk_time_interval: 1d,
     compress: {segmentby: [device], orderby: [at desc]}}
`;
