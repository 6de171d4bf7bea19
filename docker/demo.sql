-- The compose file's demo: 1,000 devices and 30 days of their measurements, 4,320,000 rows.
\set ON_ERROR_STOP on

SET client_min_messages = warning;
BEGIN;
DROP TABLE IF EXISTS conditions, devices;

CREATE TABLE devices (
    id    integer PRIMARY KEY,
    name  text NOT NULL,
    place point NOT NULL
);
INSERT INTO devices
SELECT id, 'device ' || id, point(id % 40, id / 40)
  FROM generate_series(1, 1000) AS id;

CREATE TABLE conditions (
    time        timestamptz NOT NULL,
    device_id   integer NOT NULL,
    temperature real NOT NULL,
    humidity    real
);
INSERT INTO conditions
SELECT time, id, 15 + 10 * sin(extract(epoch FROM time) / 13751 + id), 50 + id % 30
  FROM generate_series(timestamptz '2024-01-01 00:00+00', '2024-01-30 23:50+00', '10 minutes') AS time,
       generate_series(1, 1000) AS id;
CREATE UNIQUE INDEX ON conditions (time, device_id);
CREATE INDEX ON conditions (device_id, time);
ALTER TABLE conditions ADD FOREIGN KEY (device_id) REFERENCES devices;
COMMIT;

ANALYZE devices, conditions;
