// Cancelling the statement that runs. PostgreSQL looks at two flags in its own
// memory; no other thread can reach that memory, so the engine's thread sets
// them itself whenever it comes by here with the main thread's wish. It comes by
// in its I/O callbacks: a COPY stops at once, a pure computation does not.

export class EngineInterrupt {
  #module;
  #wish; // Int32Array of one, shared with the main thread
  #pending = 0; // address of InterruptPending
  #cancel = 0; // address of QueryCancelPending

  constructor(module, wish) {
    this.#module = module;
    this.#wish = wish;
    // PostgreSQL declares InterruptPending, QueryCancelPending and ProcDiePending
    // in a row; only the outer two are exported.
    if (module._ProcDiePending - module._InterruptPending === 8) {
      this.#pending = module._InterruptPending;
      this.#cancel = this.#pending + 4;
    }
  }

  /** Called from within a statement. */
  poll() {
    if (Atomics.load(this.#wish, 0) !== 0) this.#store(1);
  }

  /** Called between statements: a wish that came too late is forgotten. */
  clear() {
    if (Atomics.exchange(this.#wish, 0, 0) !== 0) this.#store(0);
  }

  #store(value) {
    if (this.#pending === 0) return;
    this.#module.HEAP32[this.#cancel >> 2] = value;
    this.#module.HEAP32[this.#pending >> 2] = value;
  }
}
