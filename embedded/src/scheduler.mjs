// Who may use the engine. PostgreSQL runs here as one session, so one client at
// a time owns it: from its first message until ReadyForQuery says that no
// transaction is open. The others wait in a queue, first come first served, and
// none longer than the queue timeout.
//
// Between two owners the server does its own work: it swaps settings, closes
// the statements of clients that have gone and issues checkpoints.

import { SettingsSwitch } from './settings-switch.mjs';
import { syncMessage } from './wire.mjs';

export class Scheduler {
  #engine;
  #checkpoints;
  #queueTimeoutMs;
  #settings;
  #owner = null;
  #lastOwner = null; // whose settings the engine has
  #unnamedOwner = null; // whose unnamed statement the engine has
  #queue = []; // {session, timer}
  #garbage = []; // messages that close statements nobody needs any more
  #betweenOwners = false;
  #stopping = null;

  constructor(engine, checkpoints, { queueTimeoutSeconds }) {
    this.#engine = engine;
    this.#checkpoints = checkpoints;
    this.#queueTimeoutMs = queueTimeoutSeconds * 1000;
    this.#settings = new SettingsSwitch(engine);
  }

  /** The session that may use the engine now, or null. */
  get owner() {
    return this.#owner;
  }

  owns(session) {
    return this.#owner === session;
  }

  /** The session has something to send; its own() is called when it may. */
  request(session) {
    if (this.#owner === session || this.#queue.some((entry) => entry.session === session)) return;
    const timer = setTimeout(() => this.#expire(session), this.#queueTimeoutMs);
    this.#queue.push({ session, timer });
    this.#advance();
  }

  /** The session no longer wants the engine it waits for. */
  withdraw(session) {
    const at = this.#queue.findIndex((entry) => entry.session === session);
    if (at < 0) return false;
    clearTimeout(this.#queue[at].timer);
    this.#queue.splice(at, 1);
    return true;
  }

  /** The owner has come to the end of a transaction. */
  release(session) {
    if (this.#owner !== session) return;
    this.#owner = null;
    this.#engine.attach(null);
    this.#advance();
  }

  /** The session has ended and does not own the engine (any more). */
  forget(session, closeMessages) {
    this.withdraw(session);
    if (this.#lastOwner === session) {
      this.#lastOwner = null;
      this.#settings.forget();
    }
    if (this.#unnamedOwner === session) this.#unnamedOwner = null;
    this.#garbage.push(...closeMessages);
    this.#advance();
  }

  /** Which session's unnamed statement the engine holds; null for none. */
  get unnamedOwner() {
    return this.#unnamedOwner;
  }

  set unnamedOwner(session) {
    this.#unnamedOwner = session;
  }

  /** Grants nothing from now on; resolves when nobody owns the engine. */
  stop() {
    for (const { timer } of this.#queue) clearTimeout(timer);
    this.#queue = [];
    return new Promise((resolve) => {
      this.#stopping = resolve;
      this.#advance();
    });
  }

  /** Lets the next session have the engine, if it is free. */
  async #advance() {
    if (this.#owner !== null || this.#betweenOwners) return;
    this.#betweenOwners = true;
    try {
      await this.#collectGarbage();
      await this.#checkpointIfDue();
      // Another session may have come first, or the first may have gone.
      if (this.#stopping === null && this.#queue.length > 0) await this.#prepareNext();
    } finally {
      this.#betweenOwners = false;
    }
    if (this.#stopping !== null) this.#stopping();
    else this.#grant();
  }

  async #collectGarbage() {
    if (this.#garbage.length === 0) return;
    const messages = this.#garbage;
    this.#garbage = [];
    await this.#engine.exchange([...messages, syncMessage()]);
  }

  async #checkpointIfDue() {
    const due = await this.#checkpoints.isDue();
    if (due !== null) this.#unnamedOwner = null;
    if (!due) return;
    await this.#saveLastOwner();
    await this.#checkpoints.run();
    this.#settings.forget();
  }

  async #saveLastOwner() {
    if (this.#lastOwner !== null) await this.#settings.save(this.#lastOwner.settings);
    this.#lastOwner = null;
  }

  /** Makes the engine the next session's: its settings, its statement. */
  async #prepareNext() {
    const { session } = this.#queue[0];
    if (session !== this.#lastOwner) await this.#swapSettings(session);
    const parse = this.#unnamedOwner === session ? null : session.unnamedStatementNeeded();
    if (parse !== null) {
      await this.#engine.exchange([parse, syncMessage()]);
      this.#unnamedOwner = session;
    }
  }

  async #swapSettings(session) {
    this.#unnamedOwner = null; // the statements below drop it
    await this.#saveLastOwner();
    await this.#applyLoginRole(session);
    const error = await this.#settings.load(session.settings);
    this.#lastOwner = session;
    if (error !== null && session.isNew) session.refuse(error);
    session.isNew = false;
  }

  /** A client that logs in as an existing role gets that role's rights. */
  async #applyLoginRole(session) {
    if (!session.isNew || session.user === 'postgres') return;
    const { rows } = await this.#engine.run('SELECT rolname FROM pg_catalog.pg_roles');
    if (rows.some(([name]) => name === session.user)) {
      session.settings.logInAs(session.user);
    }
  }

  #grant() {
    if (this.#queue.length === 0) return;
    const { session, timer } = this.#queue[0];
    if (session !== this.#lastOwner) {
      this.#advance(); // the one that was prepared for has gone
      return;
    }
    clearTimeout(timer);
    this.#queue.shift();
    this.#owner = session;
    this.#engine.attach(session);
    session.own();
  }

  #expire(session) {
    if (!this.withdraw(session)) return;
    session.timedOutInQueue(this.#queueTimeoutMs / 1000);
  }
}
