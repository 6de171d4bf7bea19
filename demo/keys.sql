-- The demo database after its rows: keys, indexes, views and what they compute.

CREATE INDEX flights_date_idx ON flights (date);

ALTER TABLE flights
    ADD CONSTRAINT flights_origin_fkey FOREIGN KEY (origin) REFERENCES airports (iata),
    ADD CONSTRAINT flights_destination_fkey FOREIGN KEY (destination) REFERENCES airports (iata);

ALTER TABLE strike_sites
    ADD PRIMARY KEY (id),
    ADD UNIQUE (name),
    ADD FOREIGN KEY (iata) REFERENCES airports (iata);

ALTER TABLE birdstrikes
    ADD PRIMARY KEY (id),
    ADD FOREIGN KEY (site_id) REFERENCES strike_sites (id) ON DELETE CASCADE;

CREATE INDEX birdstrikes_site_id_struck_on_idx ON birdstrikes (site_id, struck_on);
CREATE INDEX birdstrikes_costly_idx ON birdstrikes (cost_total DESC) WHERE cost_total > 0;

CREATE FUNCTION miles_between(a airports, b airports) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    earth_radius CONSTANT double precision := 3958.8;
BEGIN
    RETURN 2 * earth_radius * asin(sqrt(
        sind((b.latitude - a.latitude) / 2) ^ 2
        + cosd(a.latitude) * cosd(b.latitude) * sind((b.longitude - a.longitude) / 2) ^ 2));
END
$$;

CREATE VIEW flights_by_day AS
SELECT date::date AS day,
       count(*) AS flights,
       round(avg(delay), 1) AS mean_delay,
       count(*) FILTER (WHERE delay > 15) AS late
  FROM flights
 GROUP BY 1;

CREATE MATERIALIZED VIEW airport_traffic AS
SELECT airports.iata, airports.name, airports.state,
       count(*) AS departures,
       round(avg(flights.delay), 1) AS mean_delay,
       max(flights.distance) AS longest_flight
  FROM flights
  JOIN airports ON airports.iata = flights.origin
 GROUP BY airports.iata;

CREATE UNIQUE INDEX airport_traffic_iata_idx ON airport_traffic (iata);
