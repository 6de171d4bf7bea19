// When to issue a CHECKPOINT. There is no checkpointer process, and the WAL
// grows by some 85 MB per million rows until somebody issues one.

const WAL_BYTES_PER_CHECKPOINT = 64 * 1024 * 1024;
const LOOK_EVERY_INPUT_BYTES = 8 * 1024 * 1024;
const LOOK_EVERY_MS = 5000;

export class Checkpoints {
  #engine;
  #log;
  #bytesSentAtLook = 0;
  #lookedAt = 0;
  #walAtCheckpoint = null;

  constructor(engine, log) {
    this.#engine = engine;
    this.#log = log;
  }

  /**
   * Is one due? Looks only now and then, and resolves to null when it did not
   * look; otherwise it has run a statement.
   */
  async isDue() {
    const inputBytes = this.#engine.bytesSent - this.#bytesSentAtLook;
    if (inputBytes === 0) return null;
    if (inputBytes < LOOK_EVERY_INPUT_BYTES && Date.now() - this.#lookedAt < LOOK_EVERY_MS) return null;
    const wal = await this.#walPosition();
    this.#walAtCheckpoint ??= wal;
    this.#bytesSentAtLook = this.#engine.bytesSent;
    this.#lookedAt = Date.now();
    return wal - this.#walAtCheckpoint >= WAL_BYTES_PER_CHECKPOINT;
  }

  /** Issues one, as the superuser whoever the session is now. */
  async run() {
    const begin = Date.now();
    await this.#engine.run('RESET SESSION AUTHORIZATION; RESET ROLE');
    const { error } = await this.#engine.run('CHECKPOINT');
    this.#walAtCheckpoint = await this.#walPosition();
    this.#log(error === null ? `checkpoint duration_ms=${Date.now() - begin}` : `checkpoint failed: ${error.M}`);
  }

  async #walPosition() {
    const { rows, error } = await this.#engine.run(
      "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')",
    );
    if (error !== null) throw new Error(`cannot read the WAL position: ${error.M}`);
    return Number(rows[0][0]);
  }
}
