-- The demo database before its rows: everything that rows need to exist.
-- What is cheaper to make afterwards (keys, indexes, views) is in keys.sql.

-- Flights of U.S. airlines in the first half of 2001, and the airports they use.

CREATE TABLE airports (
    iata      text PRIMARY KEY CHECK (iata ~ '^[A-Z0-9]{3,4}$'),
    name      text NOT NULL,
    city      text,
    state     text,
    country   text NOT NULL,
    latitude  double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180)
);

CREATE TABLE flights (
    date        timestamp NOT NULL,
    delay       bigint NOT NULL,
    distance    bigint NOT NULL,
    origin      text NOT NULL,
    destination text NOT NULL
);
COMMENT ON TABLE flights IS 'One row per scheduled flight; becomes a hypertable on the target';
COMMENT ON COLUMN flights.delay IS 'Minutes late; negative when early';
COMMENT ON COLUMN flights.distance IS 'Miles';

-- Bird strikes reported to the Federal Aviation Administration.

CREATE TYPE flight_phase AS ENUM (
    'Parked', 'Taxi', 'Take-off run', 'Climb', 'Descent', 'Approach', 'Landing Roll'
);
CREATE TYPE wildlife_size AS ENUM ('Small', 'Medium', 'Large');
CREATE DOMAIN dollars AS bigint CHECK (VALUE >= 0);

CREATE TABLE strike_sites (
    id      integer GENERATED ALWAYS AS IDENTITY,
    name    text NOT NULL,
    state   text NOT NULL,
    iata    text,
    strikes integer NOT NULL DEFAULT 0
);
COMMENT ON COLUMN strike_sites.strikes IS 'Kept by the trigger on birdstrikes';

CREATE TABLE birdstrikes (
    id           bigint GENERATED ALWAYS AS IDENTITY,
    site_id      integer NOT NULL,
    struck_on    date NOT NULL,
    time_of_day  text NOT NULL,
    operator     text NOT NULL,
    aircraft     text NOT NULL,
    phase        flight_phase NOT NULL,
    species      text NOT NULL,
    size         wildlife_size NOT NULL,
    damage       text NOT NULL,
    cost_repair  dollars NOT NULL,
    cost_other   dollars NOT NULL,
    cost_total   bigint GENERATED ALWAYS AS (cost_repair + cost_other) STORED,
    speed_knots  integer
);

CREATE FUNCTION count_strikes() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE strike_sites
       SET strikes = strike_sites.strikes + added.strikes
      FROM (SELECT site_id, count(*) AS strikes FROM new_rows GROUP BY site_id) AS added
     WHERE strike_sites.id = added.site_id;
    RETURN NULL;
END
$$;

-- Were this trigger to fire again while rows are copied, every count would double.
CREATE TRIGGER count_strikes
    AFTER INSERT ON birdstrikes
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_strikes();

-- A normal year of Seattle's weather, hour by hour.

CREATE SCHEMA weather;

CREATE TABLE weather.seattle_normals (
    hour        timestamp PRIMARY KEY,
    pressure    numeric(6, 1) NOT NULL,
    temperature numeric(4, 1) NOT NULL,
    wind        real NOT NULL
);

-- Daily prices of the S&P 500 index.

CREATE SCHEMA "Market";

CREATE TABLE "Market"."SP500" (
    date      date PRIMARY KEY,
    open      numeric NOT NULL,
    high      numeric NOT NULL,
    low       numeric NOT NULL,
    close     numeric NOT NULL,
    adj_close numeric NOT NULL,
    volume    bigint NOT NULL
);
