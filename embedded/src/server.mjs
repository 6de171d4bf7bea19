// The server: listens, keeps the sessions, and shuts everything down in order.

import net from 'node:net';
import { Checkpoints } from './checkpoints.mjs';
import { acceptConnection } from './connection.mjs';
import { Engine } from './engine.mjs';
import { Scheduler } from './scheduler.mjs';
import { Session } from './session.mjs';

const SHUTDOWN_MS = 10_000; // for the transaction that is open

export class EmbeddedServer {
  #options;
  #log;
  #engine = new Engine();
  #checkpoints;
  #scheduler;
  #listener;
  #sessions = new Map(); // id → {session, secret}
  #nextId = 1;
  #down = false;
  parameters = new Map(); // for ParameterStatus

  constructor(options, log) {
    this.#options = options;
    this.#log = log;
  }

  /** Resolves to the address once clients can connect; rejects if that fails. */
  async start(onCrash) {
    const { host, port, dataDir } = this.#options;
    await this.#engine.start({ dataDir });
    this.#engine.on('crash', (error) => this.#onCrash(error, onCrash));
    this.#checkpoints = new Checkpoints(this.#engine, this.#log);
    this.#scheduler = new Scheduler(this.#engine, this.#checkpoints, this.#options);
    this.#engine.on('space', () => this.#scheduler.owner?.onSpace());
    await this.#readParameters();
    this.#listener = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => acceptConnection(socket, this));
    return new Promise((resolve, reject) => {
      this.#listener.once('error', reject);
      this.#listener.listen({ host, port }, () => resolve(this.#listener.address()));
    });
  }

  /** For acceptConnection(). */
  createSession(socket, startup, key) {
    const id = this.#nextId++;
    const session = new Session({
      id,
      socket,
      startup,
      engine: this.#engine,
      scheduler: this.#scheduler,
      log: this.#log,
    });
    this.#sessions.set(id, { session, key });
    session.onGone = () => this.#sessions.delete(id);
    const application = startup.settings.get('application_name') ?? '';
    this.#log(`client=${id} connected user=${startup.user} application=${application}`);
    return session;
  }

  /** For acceptConnection(). */
  cancel(processId, secret) {
    const found = this.#sessions.get(processId);
    if (found?.key.secret === secret) found.session.cancel();
  }

  /** Ends all sessions, and the engine in a state that starts fast. */
  async stop() {
    if (this.#down) return;
    this.#down = true;
    this.#listener?.close();
    const idle = this.#scheduler?.stop();
    for (const { session } of this.#sessions.values()) {
      session.terminate('57P01', 'terminating connection due to administrator command');
    }
    if (!idle) return;
    const stopped = idle.then(() => this.#checkpoints.run());
    await Promise.race([stopped, new Promise((resolve) => setTimeout(resolve, SHUTDOWN_MS))]);
  }

  #onCrash(error, onCrash) {
    if (this.#down) return;
    this.#down = true;
    for (const { session } of this.#sessions.values()) {
      session.terminate('57P02', 'the embedded engine has crashed');
    }
    onCrash(error);
  }

  async #readParameters() {
    const names = [
      'application_name',
      'client_encoding',
      'DateStyle',
      'default_transaction_read_only',
      'in_hot_standby',
      'integer_datetimes',
      'IntervalStyle',
      'is_superuser',
      'scram_iterations',
      'server_encoding',
      'server_version',
      'session_authorization',
      'standard_conforming_strings',
      'TimeZone',
    ];
    const columns = names.map((name) => `pg_catalog.current_setting('${name}')`);
    const { rows } = await this.#engine.run(`SELECT ${columns.join(', ')}`);
    names.forEach((name, i) => this.parameters.set(name, rows[0][i]));
  }
}
