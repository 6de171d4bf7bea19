// Stopping the statement that runs: for a CancelRequest, for a client that has
// gone, and for statement_timeout. PostgreSQL looks at two flags in its own
// memory. No other thread can reach that memory and no signal arrives here, so
// the engine's thread sets the flags itself, whenever PostgreSQL calls out of
// WebAssembly for input, output or the time. A COPY or a sort on disk stops at
// once; a pure computation or pg_sleep() does not.

const WATCHED_CALLS = [
  'clock_time_get',
  'emscripten_date_now',
  'emscripten_get_now',
  'fd_pread',
  'fd_pwrite',
  'fd_read',
  'fd_write',
];

export class EngineInterrupt {
  #heap = null; // () => Int32Array
  #pending = 0; // address of InterruptPending
  #cancel = 0; // address of QueryCancelPending
  #wish; // Int32Array of one, shared with the main thread
  #deadline = Infinity; // of the statement that runs

  constructor(wish) {
    this.#wish = wish;
  }

  /** Puts a look at wish and deadline before the calls out of WebAssembly. */
  watch(imports) {
    const calls = imports.env;
    for (const name of WATCHED_CALLS) {
      const original = calls[name];
      const watched = (...args) => {
        this.poll();
        return original(...args);
      };
      calls[name] = Object.assign(watched, original);
    }
  }

  /** From now on statements are interrupted. */
  arm(module) {
    // PostgreSQL declares InterruptPending, QueryCancelPending and ProcDiePending
    // in a row; only the outer two are exported.
    if (module._ProcDiePending - module._InterruptPending !== 8) {
      throw new Error('the engine is not the build this server was made for');
    }
    this.#pending = module._InterruptPending >> 2;
    this.#cancel = this.#pending + 1;
    this.#heap = () => module.HEAP32;
  }

  /** A new round begins: a wish that came too late for the last is forgotten. */
  beginRound() {
    Atomics.store(this.#wish, 0, 0);
  }

  /** A message is about to be served, and may take so long; 0 for no limit. */
  begin(timeoutMs) {
    this.#deadline = timeoutMs > 0 ? performance.now() + timeoutMs : Infinity;
  }

  /** Called from within a statement. */
  poll() {
    if (this.#heap === null) return;
    const late = this.#deadline !== Infinity && performance.now() >= this.#deadline;
    if (late) this.#deadline = Infinity;
    if (late || Atomics.load(this.#wish, 0) !== 0) this.#store(1);
  }

  /** The message has been served. */
  end() {
    this.#deadline = Infinity;
    this.#store(0);
  }

  #store(value) {
    const heap = this.#heap();
    heap[this.#cancel] = value;
    heap[this.#pending] = value;
  }
}
