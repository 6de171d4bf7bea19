// Fills an empty PostgreSQL database with the demo data, in one transaction.
//
//   node demo/load.mjs --uri postgres://… [--rows N]
//
// Everything goes through one psql: its standard input is the two SQL files
// with the rows in between as COPY data. Rows are decoded one row group of the
// Parquet file at a time, and never faster than psql takes them.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { asyncBufferFromFile, parquetMetadataAsync, parquetRead } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

const here = path.dirname(fileURLToPath(import.meta.url));
const datasets = path.join(here, 'node_modules', 'vega-datasets', 'data');

const LINES_PER_WRITE = 4096;
const FLIGHT_COLUMNS = ['date', 'delay', 'distance', 'origin', 'destination'];

// The CSV files that already have the shape of their table, column by column.
const CSV_TABLES = [
  ['airports', 'airports.csv', "NULL 'NA'"],
  ['weather.seattle_normals', 'seattle-weather-hourly-normals.csv'],
  ['"Market"."SP500"', 'sp500-2000.csv'],
];

const RAW_STRIKES = `
CREATE TEMPORARY TABLE raw_sites (name text, iata text) ON COMMIT DROP;
CREATE TEMPORARY TABLE raw_strikes (
    airport text, aircraft text, damage text, struck_on date, operator text, state text,
    phase text, size text, species text, time_of_day text, cost_other bigint,
    cost_repair bigint, cost_total bigint, speed_knots integer
) ON COMMIT DROP;
`;

const PLACE_STRIKES = `
INSERT INTO strike_sites (name, state, iata)
SELECT DISTINCT airport, raw_strikes.state, raw_sites.iata
  FROM raw_strikes LEFT JOIN raw_sites ON raw_sites.name = airport
 ORDER BY airport;
INSERT INTO birdstrikes (site_id, struck_on, time_of_day, operator, aircraft, phase, species,
                         size, damage, cost_repair, cost_other, speed_knots)
SELECT strike_sites.id, struck_on, time_of_day, operator, aircraft, phase::flight_phase, species,
       size::wildlife_size, damage, cost_repair, cost_other, speed_knots
  FROM raw_strikes JOIN strike_sites ON strike_sites.name = airport
 ORDER BY struck_on;
`;

function usage(message) {
  process.stderr.write(`${message}\nusage: node demo/load.mjs --uri URI [--rows N]\n`);
  process.exit(2);
}

function parseCommandLine() {
  let values;
  try {
    ({ values } = parseArgs({ options: { uri: { type: 'string' }, rows: { type: 'string' } } }));
  } catch (error) {
    usage(error.message);
  }
  if (!values.uri) usage('--uri is missing: where shall the demo data go?');
  if (values.rows !== undefined && !/^[0-9]+$/.test(values.rows)) {
    usage(`--rows ${values.rows}: not a whole number`);
  }
  return { uri: values.uri, rows: values.rows === undefined ? Infinity : Number(values.rows) };
}

// A psql that reads SQL from its standard input; write() waits while it is busy.
class Psql {
  constructor(uri) {
    const args = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', uri, '-f', '-'];
    this.child = spawn('psql', args, {
      stdio: ['pipe', 'ignore', 'inherit'],
      env: { ...process.env, PGOPTIONS: `${process.env.PGOPTIONS ?? ''} -c client_min_messages=warning` },
    });
    this.ended = new Promise((resolve) => {
      this.child.once('error', (error) => resolve(`cannot run psql: ${error.message}`));
      this.child.once('close', (code, signal) => {
        resolve(code === 0 ? null : `psql ended with ${signal ?? `exit code ${code}`}`);
      });
    });
    // A psql that stops early says why on stderr and by its exit code; the broken pipe adds nothing.
    this.child.stdin.on('error', () => {});
  }

  async write(text) {
    if (this.child.stdin.write(text)) return;
    const drained = once(this.child.stdin, 'drain').then(() => 'drained', () => this.ended);
    const outcome = await Promise.race([drained, this.ended]);
    if (outcome !== 'drained') throw new Error(outcome ?? 'psql ended before the data did');
  }

  async finish() {
    this.child.stdin.end();
    const failure = await this.ended;
    if (failure) throw new Error(failure);
  }
}

// The files end their lines in different ways, and some not the last one at all.
async function copyCsv(psql, table, file, options = '') {
  await psql.write(`COPY ${table} FROM STDIN (FORMAT csv, HEADER${options && `, ${options}`});\n`);
  let last = '\n';
  for await (const text of createReadStream(file, { encoding: 'utf8' })) {
    const lines = text.replaceAll('\r', '');
    await psql.write(lines);
    last = lines.at(-1) ?? last;
  }
  await psql.write(last === '\n' ? '\\.\n' : '\n\\.\n');
}

// COPY's text form of 'YYYY-MM-DDTHH:MM:SS'; neighbours in the file share their minute.
function timestampFormatter() {
  let lastMicros = null;
  let lastText = '';
  return (micros) => {
    if (micros !== lastMicros) {
      lastMicros = micros;
      const fraction = micros % 1000000n;
      lastText = new Date(Number(micros / 1000n)).toISOString().slice(0, 19)
        + (fraction === 0n ? '' : `.${String(fraction).padStart(6, '0')}`);
    }
    return lastText;
  };
}

// COPY's text form of one value. The text columns hold nothing but airport codes,
// but a file with anything else must fail in the database, not here in silence.
function escapeText(value) {
  if (value === null || value === undefined) return '\\N';
  if (typeof value !== 'string') return String(value);
  return value.replace(/[\\\t\n\r]/g, (character) =>
    ({ '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' })[character]);
}

async function copyFlights(psql, limit) {
  const file = await asyncBufferFromFile(path.join(datasets, 'flights-3m.parquet'));
  const metadata = await parquetMetadataAsync(file);
  const total = Math.min(limit, Number(metadata.num_rows));
  const parsers = { timestampFromMicroseconds: timestampFormatter() };
  // Made in this transaction and still empty, so the rows can be written frozen.
  await psql.write(`COPY flights (${FLIGHT_COLUMNS.join(', ')}) FROM STDIN (FREEZE);\n`);
  let groupStart = 0;
  for (const group of metadata.row_groups) {
    const groupEnd = Math.min(groupStart + Number(group.num_rows), total);
    if (groupStart >= groupEnd) break;
    let rows;
    await parquetRead({
      file, metadata, compressors, parsers, columns: FLIGHT_COLUMNS,
      rowStart: groupStart, rowEnd: groupEnd, onComplete: (read) => { rows = read; },
    });
    for (let start = 0; start < rows.length; start += LINES_PER_WRITE) {
      let lines = '';
      for (const row of rows.slice(start, start + LINES_PER_WRITE)) {
        lines += `${row.map(escapeText).join('\t')}\n`;
      }
      await psql.write(lines);
    }
    groupStart += Number(group.num_rows);
  }
  await psql.write('\\.\n');
  return total;
}

async function main() {
  const { uri, rows } = parseCommandLine();
  const started = performance.now();
  const psql = new Psql(uri);
  await psql.write('BEGIN;\n');
  await psql.write(readFileSync(path.join(here, 'schema.sql'), 'utf8'));
  for (const [table, name, options] of CSV_TABLES) {
    await copyCsv(psql, table, path.join(datasets, name), options);
  }
  await psql.write(RAW_STRIKES);
  await copyCsv(psql, 'raw_sites', path.join(here, 'strike-sites.csv'));
  await copyCsv(psql, 'raw_strikes', path.join(datasets, 'birdstrikes.csv'));
  await psql.write(PLACE_STRIKES);
  const flights = await copyFlights(psql, rows);
  await psql.write(readFileSync(path.join(here, 'keys.sql'), 'utf8'));
  await psql.write('COMMIT;\nANALYZE;\n');
  await psql.finish();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`loaded ${flights.toLocaleString('en-US')} flights and the smaller tables in ${seconds} s\n`);
}

main().catch((error) => {
  process.stderr.write(`demo data not loaded: ${error.message}\n`);
  process.exit(1);
});
