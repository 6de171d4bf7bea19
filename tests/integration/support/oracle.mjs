// Whether two tables hold the same rows: count and a 64-bit sum of row hashes, computed by the servers themselves. Nothing
// of the product is used here.
import { query } from './servers.mjs';

const pinned = "SET extra_float_digits = 3; SET timezone = 'UTC'; SET bytea_output = 'hex'; SET intervalstyle = 'postgres';";

// "count sum" of a table's own rows, or of those that a condition picks.
export function fingerprint(uri, table, where = 'true') {
  const sql = `${pinned} SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM ${table} t WHERE ${where}`;
  return query(uri, sql).at(-1);
}

// Ordinary tables and hypertables of the demo and of the tests' own schemas.
export function tables(uri) {
  return query(uri, `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema|_timescaledb|timescaledb_|_hypershift|toolkit)'
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY 1`);
}

export function fingerprints(uri, names = tables(uri)) {
  const lines = query(uri, pinned + names.map((name) =>
    `SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM ${name} t`).join(' UNION ALL '));
  return Object.fromEntries(names.map((name, i) => [name, lines[i]]));
}

const rows = (uri, table) => query(uri, `${pinned} SELECT t::text FROM ${table} t`);

// "" when both sides have the same rows, else which rows of which tables are on one side alone: for a person to read.
export function differences(source, target, names = tables(source)) {
  const [wanted, found] = [fingerprints(source, names), fingerprints(target, names)];
  return names.filter((name) => wanted[name] !== found[name]).map((name) => {
    const [here, there] = [rows(source, name), rows(target, name)];
    const without = (some, others) => {
      const left = new Map();
      for (const row of others) left.set(row, (left.get(row) ?? 0) + 1);
      return some.filter((row) => !left.get(row) || !left.set(row, left.get(row) - 1));
    };
    const show = (list) => `${list.length} rows such as ${JSON.stringify(list.slice(0, 3))}`;
    return `${name}: only on the source ${show(without(here, there))}; only on the target ${show(without(there, here))}`;
  }).join('\n');
}
