// The main thread's side of the engine: starts its thread, feeds its input,
// hands its output to whoever uses it now, and runs statements of the server's
// own between clients.

import { EventEmitter } from 'node:events';
import { Worker } from 'node:worker_threads';
import { BackendScanner } from './backend-scanner.mjs';
import { Ring } from './ring.mjs';
import { BACKEND, dataRowValues, eachMessage, errorFields, queryMessage } from './wire.mjs';

const RING_BYTES = 1024 * 1024;
const OUTPUT_CHUNK_BYTES = 128 * 1024;
const JS_STACK_MB = 64;

/**
 * Events: `space` (everything given to send() has been passed on) and
 * `crash` (the engine is gone; nothing works any more).
 *
 * A *sink* receives the output: `receive(chunk, events)` with a buffer of its
 * own and a list of `[type, status]`, and a property `paused`, which stops the
 * engine's output until drain() is called.
 */
export class Engine extends EventEmitter {
  #worker;
  #input;
  #output;
  #cancelWish = new Int32Array(new SharedArrayBuffer(4));
  #backlog = [];
  #scanner = new BackendScanner();
  #scratch = Buffer.allocUnsafe(OUTPUT_CHUNK_BYTES);
  #sink = null;
  bytesSent = 0;

  /** Resolves when the engine can take messages. */
  start({ dataDir }) {
    const input = Ring.allocate(RING_BYTES);
    const output = Ring.allocate(RING_BYTES);
    this.#input = new Ring(input);
    this.#output = new Ring(output);
    this.#worker = new Worker(new URL('./engine-worker.mjs', import.meta.url), {
      workerData: { dataDir, input, output, cancelWish: this.#cancelWish },
      resourceLimits: { stackSizeMb: JS_STACK_MB, maxOldGenerationSizeMb: 1024 },
      stdout: true, // the standard output is for the ready line alone
    });
    this.#worker.stdout.pipe(process.stderr);
    return new Promise((resolve, reject) => {
      this.#worker.on('error', (error) => {
        reject(error);
        this.emit('crash', error);
      });
      this.#worker.on('exit', (code) => this.emit('crash', new Error(`engine thread ended (${code})`)));
      this.#worker.on('message', (what) => (what === 'ready' ? resolve() : this.#onRings()));
    });
  }

  /** True while some of what was given to send() waits for space. */
  get congested() {
    return this.#backlog.length > 0;
  }

  /** Gives the engine a message or a piece of one. */
  send(bytes) {
    this.bytesSent += bytes.length;
    if (this.congested) {
      this.#backlog.push(bytes);
      return;
    }
    const written = this.#input.write(bytes);
    if (written === bytes.length) return;
    this.#backlog.push(bytes.subarray(written));
    this.#flush();
  }

  /** From now on the output goes to `sink`. */
  attach(sink) {
    this.#sink = sink;
  }

  /** Asks the running statement to stop with an error. */
  cancel() {
    Atomics.store(this.#cancelWish, 0, 1);
  }

  /** Passes on what the engine has written, until the sink pauses. */
  drain() {
    while (this.#sink && !this.#sink.paused) {
      const count = this.#output.read(this.#scratch);
      if (count === 0) return;
      const chunk = Buffer.from(this.#scratch.subarray(0, count));
      const events = [];
      const noise = [];
      this.#scanner.scan(
        chunk,
        (type, status) => events.push([type, status]),
        (start, end) => isNoise(chunk.subarray(start, end)) && noise.push([start, end]),
      );
      this.#sink.receive(without(chunk, noise), events);
    }
  }

  /**
   * Runs SQL of the server itself; only while no client uses the engine.
   * Resolves to `{rows, error}`, `error` being the fields of the first error.
   */
  run(sql) {
    return this.exchange([queryMessage(sql)]);
  }

  /** As run(), for messages that end with the one ReadyForQuery answers. */
  exchange(messages) {
    return new Promise((resolve) => {
      const chunks = [];
      this.attach({
        paused: false,
        receive: (chunk, events) => {
          chunks.push(chunk);
          if (!events.some(([type]) => type === BACKEND.READY_FOR_QUERY)) return;
          this.attach(null);
          resolve(collect(Buffer.concat(chunks)));
        },
      });
      for (const bytes of messages) this.send(bytes);
    });
  }

  #onRings() {
    this.#flush();
    this.drain();
  }

  #flush() {
    while (this.congested) {
      const first = this.#backlog[0];
      const written = this.#input.write(first);
      if (written < first.length) {
        this.#backlog[0] = first.subarray(written);
        this.#input.wantSpace();
        // The engine may have read everything before it saw the wish.
        if (this.#input.free < this.#input.capacity / 2) return;
        continue;
      }
      this.#backlog.shift();
    }
    this.emit('space');
  }
}

/** The build warns of each transaction that is rolled back. */
function isNoise(notice) {
  return notice.includes('# 1743: aborting transaction');
}

function without(chunk, ranges) {
  if (ranges.length === 0) return chunk;
  const kept = [];
  let at = 0;
  for (const [start, end] of ranges) {
    kept.push(chunk.subarray(at, start));
    at = end;
  }
  return Buffer.concat([...kept, chunk.subarray(at)]);
}

function collect(output) {
  const result = { rows: [], error: null };
  for (const { type, body } of eachMessage(output)) {
    if (type === BACKEND.DATA_ROW) result.rows.push(dataRowValues(body));
    else if (type === BACKEND.ERROR_RESPONSE) result.error ??= errorFields(body);
  }
  return result;
}
