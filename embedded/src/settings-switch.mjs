// The settings of a client's session. The engine has one session for all
// clients: when another client gets it, the settings the last one made are read
// and kept, everything is reset, and the next one's are set.

import { mayChangeSettings, quoteLiteral } from './sql-text.mjs';

/** Settings that decide who one is; RESET ALL leaves them alone. */
const IDENTITY = ['session_authorization', 'role'];

const SAVE = `
  SELECT name, setting FROM pg_catalog.pg_settings
   WHERE source = 'session' AND context IN ('user', 'superuser')
  UNION ALL SELECT 'session_authorization', session_user WHERE session_user <> 'postgres'
  UNION ALL SELECT 'role', pg_catalog.current_setting('role')
             WHERE pg_catalog.current_setting('role') <> 'none'`;

const RESET = 'RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL';

/** One client's settings; owned by its session. */
export class SessionSettings {
  #initial;
  #prepared = false; // a prepared statement may change settings at any time

  /** @param {Map<string, string>} initial from the start-up packet */
  constructor(initial) {
    this.#initial = new Map(initial);
    this.values = new Map(initial);
    this.changed = false; // perhaps changed since they were last read
  }

  /** Notes what a statement sent by the client may do. */
  noteSql(sql, isNamedStatement) {
    if (this.changed && (this.#prepared || !isNamedStatement)) return;
    if (!mayChangeSettings(sql)) return;
    this.changed = true;
    this.#prepared ||= isNamedStatement;
  }

  /** The session is one of this role. */
  logInAs(role) {
    this.#initial.set('session_authorization', role);
    this.values.set('session_authorization', role);
  }

  /** Takes over what the engine says they are now. */
  replace(rows) {
    this.values = new Map(rows);
    this.changed = this.#prepared;
  }

  /** As they were at the start of the connection. */
  reset() {
    this.replace(this.#initial);
  }
}

export class SettingsSwitch {
  #engine;
  #current = ''; // what is set in the engine, as fingerprint() says; null if unknown

  constructor(engine) {
    this.#engine = engine;
  }

  /** After this, nothing is assumed about the engine's settings. */
  forget() {
    this.#current = null;
  }

  /** Reads back the settings of the session that used the engine until now. */
  async save(settings) {
    if (!settings.changed) return;
    const { rows, error } = await this.#engine.run(SAVE);
    if (error === null) settings.replace(rows);
    this.#current = error === null ? fingerprint(settings.values) : null;
  }

  /**
   * Sets the settings of the session that gets the engine. Resolves to the
   * fields of the first error (the rest is set nevertheless), or null.
   */
  async load(settings) {
    const wanted = fingerprint(settings.values);
    if (this.#current === wanted) return null;
    const assignments = inOrder(settings.values).map(assignment);
    const all = assignments.length > 0 ? `${RESET}; SELECT ${assignments.join(', ')}` : RESET;
    let { error } = await this.#engine.run(all);
    if (error !== null) error = await this.#loadOneByOne(assignments);
    this.#current = error === null ? wanted : null;
    return error;
  }

  async #loadOneByOne(assignments) {
    let first = null;
    await this.#engine.run(RESET);
    for (const one of assignments) {
      const { error } = await this.#engine.run(`SELECT ${one}`);
      first ??= error;
    }
    return first;
  }
}

function fingerprint(values) {
  return JSON.stringify(inOrder(values));
}

/** Identity last: before it, the engine's superuser may set anything. */
function inOrder(values) {
  const rank = ([name]) => IDENTITY.indexOf(name);
  return [...values].sort((a, b) => rank(a) - rank(b) || (a[0] < b[0] ? -1 : 1));
}

function assignment([name, value]) {
  return `pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(value)}, false)`;
}
