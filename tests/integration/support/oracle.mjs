// Whether two tables hold the same rows: count and a 64-bit sum of row hashes, computed by the servers themselves; where they
// differ, which rows. Nothing of the product is used here. tests/fault/oracle.test.mjs shows that it misses nothing.
import { query } from './servers.mjs';

// A row is written (t.*): t alone would mean a column of that name, where there is one.
const pinned = "SET extra_float_digits = 3; SET timezone = 'UTC'; SET bytea_output = 'hex'; SET intervalstyle = 'postgres';";

// "count sum" of a table's own rows, or of those that a condition picks.
export function fingerprint(uri, table, where = 'true') {
  const sql = `${pinned} SELECT count(*) || ' ' || coalesce(sum(hashtextextended((t.*)::text, 0)), 0) FROM ${table} t WHERE ${where}`;
  return query(uri, sql).at(-1);
}

// Ordinary tables and hypertables of the demo and of the tests' own schemas.
export function tables(uri) {
  return query(uri, `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema|_timescaledb|timescaledb_|_hypershift|toolkit)'
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY 1`);
}

// One line for each table. Numbered: the parts of a UNION ALL may run in parallel and come in any order.
export const fingerprintsSql = (names) => pinned + names.map((name, i) =>
  `SELECT ${i} AS i, count(*) || ' ' || coalesce(sum(hashtextextended((t.*)::text, 0)), 0) FROM ${name} t`).join(' UNION ALL ') + ' ORDER BY i';

export const fingerprintsOf = (names, lines) =>
  Object.fromEntries(names.map((name, i) => [name, lines[i].slice(lines[i].indexOf('|') + 1)]));

export function fingerprints(uri, names = tables(uri)) {
  return fingerprintsOf(names, query(uri, fingerprintsSql(names)));
}

// A table's rows in an order that both servers agree on: a hash, and the beginning of the row for a person to read.
const orderedRows = (uri, table) => query(uri, `${pinned}
  SELECT md5((t.*)::text) || ' ' || left(translate((t.*)::text, E'\n\r', '  '), 150) FROM ${table} t ORDER BY 1`);

// Walks two ordered lists: what stands in one alone, as often as it stands there more often than in the other.
function mergeDifference(here, there) {
  const missing = [];
  const extra = [];
  let i = 0;
  let j = 0;
  const less = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0;
  while (i < here.length || j < there.length) {
    if (i < here.length && here[i] === there[j]) {
      ++i;
      ++j;
    } else if (j >= there.length || (i < here.length && less(here[i], there[j]))) {
      missing.push(here[i++]);
    } else {
      extra.push(there[j++]);
    }
  }
  return { missing, extra };
}

// "" when both sides have the same rows, else which rows of which tables are on one side alone: for a person to read.
export function differences(source, target, names = tables(source), wanted = fingerprints(source, names)) {
  const found = fingerprints(target, names);
  return names.filter((name) => wanted[name] !== found[name]).map((name) => {
    const { missing, extra } = mergeDifference(orderedRows(source, name), orderedRows(target, name));
    const show = (list) => `${list.length} rows such as ${JSON.stringify(list.slice(0, 3))}`;
    return `${name}: only on the source ${show(missing)}; only on the target ${show(extra)}`;
  }).join('\n');
}
