// The server-wide settings, put under the engine's own odd boot values (an
// empty search_path, no sequential scans, debug messages, writable catalogs).
// They are set as values of the database, so that RESET returns to them.
// Runs in the engine's thread.

// Values of PostgreSQL's GucContext and GucSource enumerations (guc.h).
const CONTEXT_SIGHUP = 2;
const CONTEXT_BACKEND = 4;
const CONTEXT_SUSET = 5;
const CONTEXT_USERSET = 6;
const SOURCE_DATABASE = 6;
const SOURCE_OVERRIDE = 10;
const SOURCE_SESSION = 13;

const SETTINGS = {
  allow_system_table_mods: 'off',
  client_encoding: 'UTF8',
  client_min_messages: 'notice',
  DateStyle: 'ISO, MDY',
  enable_seqscan: 'on',
  exit_on_error: 'off',
  IntervalStyle: 'postgres',
  log_min_messages: 'warning',
  // There are no processes to launch as parallel workers.
  max_parallel_maintenance_workers: '0',
  max_parallel_workers_per_gather: '0',
  search_path: '"$user", public',
  TimeZone: 'UTC',
};

/** Without a data folder there is nothing to flush to. */
const MEMORY_SETTINGS = { fsync: 'off' };

/** Encodings that need no conversion, which the engine cannot do. */
const USABLE_ENCODINGS = ['UTF8', 'SQL_ASCII'];

/** What PostgreSQL 17 reports to a client whenever it changes. */
const REPORTED = [
  'application_name',
  'client_encoding',
  'DateStyle',
  'default_transaction_read_only',
  'IntervalStyle',
  'is_superuser',
  'session_authorization',
  'standard_conforming_strings',
  'TimeZone',
];

export class EngineSettings {
  #module;
  #names; // pointers to the names in REPORTED
  #last = [];
  #statementTimeout;

  constructor(module) {
    this.#module = module;
    this.#names = REPORTED.map((name) => this.#cstring(name));
    this.#statementTimeout = this.#cstring('statement_timeout');
  }

  applyServerWide(inMemory) {
    for (const [name, value] of Object.entries(SETTINGS)) this.#set(name, value, CONTEXT_SUSET);
    if (!inMemory) return;
    for (const [name, value] of Object.entries(MEMORY_SETTINGS)) this.#set(name, value, CONTEXT_SIGHUP);
  }

  /**
   * What RESET SESSION AUTHORIZATION returns to; the engine leaves it unset.
   * Looks the role up, so it must be called inside a transaction block.
   */
  applyLoginRole(role) {
    this.#set('session_authorization', role, CONTEXT_BACKEND, SOURCE_OVERRIDE);
  }

  /** Takes back a client_encoding in which no further text could be read. */
  keepEncodingUsable() {
    const encoding = this.#read(this.#names[REPORTED.indexOf('client_encoding')]);
    if (USABLE_ENCODINGS.includes(encoding)) return;
    this.#set('client_encoding', 'UTF8', CONTEXT_USERSET, SOURCE_SESSION);
  }

  /** `[name, value]` of the reported settings that changed since the last call. */
  takeChanges() {
    const changes = [];
    for (let i = 0; i < REPORTED.length; i++) {
      const value = this.#read(this.#names[i]);
      if (value === this.#last[i]) continue;
      this.#last[i] = value;
      changes.push([REPORTED[i], value]);
    }
    return changes;
  }

  /** The engine has no timers, so others must watch the time. */
  statementTimeoutMs() {
    return Number(this.#read(this.#statementTimeout));
  }

  #set(name, value, context, source = SOURCE_DATABASE) {
    const pointers = [this.#cstring(name), this.#cstring(value)];
    this.#module._SetConfigOption(...pointers, context, source);
    for (const pointer of pointers) this.#module._free(pointer);
  }

  #read(namePointer) {
    const missingOk = 1;
    const restrictPrivileged = 0;
    const pointer = this.#module._GetConfigOption(namePointer, missingOk, restrictPrivileged);
    if (pointer === 0) return '';
    const heap = this.#module.HEAPU8;
    return Buffer.from(heap.buffer, pointer, heap.indexOf(0, pointer) - pointer).toString('utf8');
  }

  #cstring(text) {
    const bytes = Buffer.from(`${text}\0`, 'utf8');
    const pointer = this.#module._malloc(bytes.length);
    this.#module.HEAPU8.set(bytes, pointer);
    return pointer;
  }
}
