// bench/skew.mjs [ROWS]: how evenly four slots are busy with a skewed table, 90 % of whose rows lie in one day. A real clone
// between two servers; what each slot did and when stands in the journal. Prints one line of JSON for each target shape:
// as an ordinary table, and as a hypertable where a TimescaleDB is at hand that is good for measuring.
import { startPair, temporaryFolder, makeDatabase, query, run, value, writeConfig } from '../tests/integration/support/servers.mjs';

const rows = Number(process.argv[2] ?? 6_000_000);
const slots = 4;

const tableSql = `
CREATE TABLE measurements (time timestamptz NOT NULL, device_id int NOT NULL, a float8, b float8, c float8, note text);
INSERT INTO measurements
SELECT timestamptz '2024-01-01' + CASE WHEN i % 10 = 0 THEN random() * interval '30 days' ELSE interval '20 days' + random() * interval '1 day' END,
       i % 50, random(), random(), random(), repeat('x', 16)
  FROM generate_series(1, ${rows}) i;
CREATE INDEX ON measurements (time);
-- Something beside it, as there always is.
CREATE TABLE devices AS SELECT i AS id, repeat('d', 100) AS name FROM generate_series(1, 50000) i;
CREATE TABLE events AS SELECT i AS id, repeat('e', 200) AS what FROM generate_series(1, ${Math.round(rows / 20)}) i`;

const hypertable = `hypertable_configs:
  - schema: public
    name: measurements
    time_column_name: time
    chunk_time_interval: 1d
    compress:
      segmentby: [device_id]
      orderby: [time desc]
`;

const copies = `SELECT worker, extract(epoch FROM started_at)::float8, extract(epoch FROM finished_at)::float8, bytes
                  FROM _hypershift.task WHERE kind = 'copy' AND state = 'done' ORDER BY started_at`;

// The journal names workers and not their slots; each copy was on the slot that was free the longest.
function busyTimes(list) {
  const free = Array(slots).fill(-Infinity);
  const busy = Array(slots).fill(0);
  for (const { began, ended } of list) {
    const slot = free.indexOf(Math.min(...free));
    busy[slot] += ended - began;
    free[slot] = ended;
  }
  return { busy, ends: free };
}

function figures(uri) {
  const list = query(uri, copies).map((line) => {
    const [worker, began, ended, bytes] = line.split('|');
    return { worker, began: Number(began), ended: Number(ended), bytes: Number(bytes) };
  });
  const { busy, ends } = busyTimes(list);
  const began = Math.min(...list.map((copy) => copy.began));
  const ended = Math.max(...list.map((copy) => copy.ended));
  const longest = Math.max(...list.map((copy) => copy.bytes));
  return {
    copies: list.length,
    seconds: Number((ended - began).toFixed(2)),
    busy_seconds: busy.map((seconds) => Number(seconds.toFixed(2))),
    // Of a slot from the first copy's start to its own end, so that waiting in between shows.
    longest_by_mean: Number((Math.max(...busy) / (busy.reduce((a, b) => a + b) / slots)).toFixed(2)),
    idle_at_the_end: Number((1 - ends.reduce((sum, end) => sum + (end - began), 0) / slots / (ended - began)).toFixed(3)),
    last_by_largest: Number((list.at(-1).bytes / longest).toFixed(2)),
  };
}

async function measure(shape, source, target, folder, config) {
  const to = makeDatabase(target);
  const path = writeConfig(folder, `${shape}.yml`, config);
  const result = await run(['clone', '-s', source, '-t', to, '-c', path, '--parallel', String(slots), '--hide-progress']);
  if (result.code !== 0) throw new Error(`clone ended with ${result.code}: ${result.stderr}${result.stdout}`);
  const size = value(source, "SELECT pg_size_pretty(pg_database_size(current_database()))");
  console.log(JSON.stringify({ what: 'skew', shape, rows, size, ...figures(to) }));
}

const { folder, remove } = temporaryFolder();
const { source, target } = await startPair(folder);
try {
  const skewed = makeDatabase(source.uri);
  query(skewed, tableSql);
  query(skewed, 'VACUUM ANALYZE');
  await measure('table', skewed, source.uri, folder, '');
  if (target.kind === 'embedded') {
    console.error('skew: no hypertable: the embedded TimescaleDB has one session for all, and is not for measuring');
  } else {
    await measure('hypertable', skewed, target.uri, folder, hypertable);
  }
} finally {
  await Promise.all([source.stop(), target.stop()]);
  remove();
}
