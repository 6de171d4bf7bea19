-- The database that shop.dump was taken from:
--   createdb shop && psql -f shop.sql shop && pg_dump -Fc -f shop.dump shop
CREATE SCHEMA shop;
CREATE TYPE shop.state AS ENUM ('open', 'paid');
CREATE TABLE shop.customers (id int PRIMARY KEY, name text NOT NULL UNIQUE, notes jsonb);
CREATE TABLE shop.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer int NOT NULL REFERENCES shop.customers,
    amount numeric(10, 2) CHECK (amount > 0),
    state shop.state DEFAULT 'open',
    at timestamptz DEFAULT now()
);
CREATE INDEX ON shop.orders (customer, at);
CREATE FUNCTION shop.total(c int) RETURNS numeric LANGUAGE sql STABLE
    AS 'SELECT sum(amount) FROM shop.orders WHERE customer = c';
CREATE VIEW shop.totals AS SELECT name, shop.total(id) FROM shop.customers;
INSERT INTO shop.customers SELECT i, 'customer ' || i, jsonb_build_object('n', i) FROM generate_series(1, 50) i;
INSERT INTO shop.orders (customer, amount, at)
    SELECT 1 + i % 50, i, timestamptz '2024-01-01Z' + i * interval '1 hour' FROM generate_series(1, 500) i;
