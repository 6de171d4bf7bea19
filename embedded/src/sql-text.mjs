// The few things the server must recognise in a client's SQL. Deliberately
// shallow: where it guesses, it guesses to the safe side.

/** Commands that change settings of the session, at the start of a statement. */
const CHANGES_SETTINGS = /(?:^|;)(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)*(?:set|reset|discard|do|call|load|execute|create\s+extension)\b|\bset_config\b/i;

const SCANNED_CHARACTERS = 64 * 1024;

/**
 * Could this change a setting beyond its transaction? A function that does so
 * inside is not noticed. Of very long texts only the beginning and the end are
 * looked at.
 */
export function mayChangeSettings(sql) {
  if (sql.length <= SCANNED_CHARACTERS) return CHANGES_SETTINGS.test(sql);
  return true;
}

const DEALLOCATE = /^\s*deallocate\s+(?:prepare\s+)?(all|"(?:[^"]|"")+"|[a-z_\u0080-\uffff][\w$\u0080-\uffff]*)\s*;?\s*$/i;

/** `{all: true}`, `{name}` or null when it is no lone DEALLOCATE. */
export function parseDeallocate(sql) {
  const match = sql.length < 1000 ? DEALLOCATE.exec(sql) : null;
  if (match === null) return null;
  const [, target] = match;
  if (target.toLowerCase() === 'all') return { all: true };
  if (target.startsWith('"')) return { name: target.slice(1, -1).replaceAll('""', '"') };
  return { name: target.toLowerCase() };
}

export function isDiscardAll(sql) {
  return sql.length < 100 && /^\s*discard\s+all\s*;?\s*$/i.test(sql);
}

const CONCURRENTLY =
  /^\s*(?:create\s+(?:unique\s+)?index|drop\s+index|reindex\s+(?:\([^)]*\)\s*)?\w+)\s+concurrently\b/i;

/** Index commands that wait for other sessions; here they leave invalid indexes. */
export function isConcurrentIndexCommand(sql) {
  return CONCURRENTLY.test(sql);
}

export function quoteLiteral(text) {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

export function quoteIdentifier(name) {
  return `"${name.replaceAll('"', '""')}"`;
}
