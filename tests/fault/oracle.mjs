// What must be true after a migration, however it went. Rows are compared by tests/integration/support/oracle.mjs; here stand
// the rest of the schema, and the journal: each range that was planned is done, once, and together they are the table.
import { differences, fingerprints, tables } from '../integration/support/oracle.mjs';
import { query } from '../integration/support/servers.mjs';

// Everything that a migrated table has besides rows, one a line. NOT VALID is how foreign keys come by default.
const schemaSql = `
SELECT 'index ' || pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public'
UNION ALL
SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || replace(pg_get_constraintdef(c.oid), ' NOT VALID', '')
  FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname = 'public'
UNION ALL
SELECT 'column ' || a.attrelid::regclass || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) ||
       CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END || coalesce(' ' || pg_get_expr(d.adbin, d.adrelid), '')
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1`;

export function schemaDifferences(source, target) {
  const [wanted, found] = [query(source, schemaSql), query(target, schemaSql)];
  return [
    ...wanted.filter((line) => !found.includes(line)).map((line) => `lacks ${line}`),
    ...found.filter((line) => !wanted.includes(line)).map((line) => `has in excess ${line}`),
  ];
}

export function sequenceDifferences(source, target) {
  const names = query(source, `SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND n.nspname = 'public' ORDER BY 1`);
  return names.flatMap((name) => {
    const [wanted, found] = [source, target].map((uri) => query(uri, `SELECT last_value || ' ' || is_called FROM ${name}`)[0]);
    return wanted === found ? [] : [`sequence ${name} is at ${found} instead of ${wanted}`];
  });
}

// Ranges of blocks as the journal names them, in order: must go from 0 to the open end without a gap or an overlap.
function coverageProblem(keys) {
  const ranges = keys.map((key) => {
    const [begin, end] = [...key.matchAll(/'\((\d+),0\)'::tid/g)].map((match) => Number(match[1]));
    return { begin, end: end ?? Infinity };
  }).sort((a, b) => a.begin - b.begin);
  let at = 0;
  for (const { begin, end } of ranges) {
    if (begin !== at) return `blocks ${begin} follow after ${at}`;
    at = end;
  }
  return at === Infinity ? '' : `the last range ends at block ${at}`;
}

// Violations of: every task is done; no range of a table stands twice in the plan; ranges of blocks cover the table; a table's
// ranges have as many rows, all together, as it has. `expected`: fingerprints by table, "count sum".
export function journalProblems(target, expected) {
  const problems = [];
  for (const line of query(target, `SELECT kind || '|' || state || '|' || count(*) FROM _hypershift.task WHERE state <> 'done' GROUP BY kind, state`)) {
    const [kind, state, count] = line.split('|');
    problems.push(`journal: ${count} tasks of kind ${kind} are ${state}`);
  }
  const copies = query(target, `SELECT json_build_object('table', format('%I.%I', t.schema_name, t.table_name), 'key', k.range_key,
      'rows', k.rows, 'method', t.plan::json->>'method') FROM _hypershift.task k
    JOIN _hypershift.source_table t ON t.migration_id = k.migration_id AND t.id = k.table_id WHERE k.kind = 'copy'`).map((line) => JSON.parse(line));
  for (const [table, fingerprint] of Object.entries(expected)) {
    const own = copies.filter((copy) => copy.table === table);
    const wanted = Number(fingerprint.split(' ')[0]);
    const rows = own.reduce((sum, copy) => sum + Number(copy.rows), 0);
    if (own.length === 0) problems.push(`journal: no range of ${table} was planned`);
    if (new Set(own.map((copy) => copy.key)).size !== own.length) problems.push(`journal: a range of ${table} stands there twice`);
    if (rows !== wanted) problems.push(`journal: the ranges of ${table} have ${rows} rows, the table ${wanted}`);
    const blocks = own.length > 0 && own.every((copy) => copy.key.startsWith('ctid'));
    const gap = blocks ? coverageProblem(own.map((copy) => copy.key)) : '';
    if (gap) problems.push(`journal: ranges of ${table}: ${gap}`);
  }
  return problems;
}

// All of it. `source` must be as it was at the snapshot; `expected` are its fingerprints; rows, schema: what to compare.
export function findProblems(source, target, expected = fingerprints(source, tables(source)), { rows = true, schema = true } = {}) {
  const different = rows ? differences(source, target, Object.keys(expected), expected) : '';
  return [
    ...(different ? different.split('\n') : []),
    ...journalProblems(target, expected),
    ...(schema ? schemaDifferences(source, target) : []),
    ...sequenceDifferences(source, target),
  ];
}
