// The engine's two I/O callbacks: where its libpq-be reads and writes a socket,
// this reads and writes the rings. Runs in the engine's thread.
//
// Reading blocks, so the engine itself speaks the whole protocol, COPY included.
// It is never handed bytes beyond the current message: after each call into the
// engine its own input buffer is empty, and nothing is lost when it leaves a
// loop on an error.

import { HEADER_BYTES, parameterStatus } from './wire.mjs';

const READY_BYTES = 6; // a whole ReadyForQuery
const WAKE_BYTES = 32 * 1024;

export class EngineIo {
  #module;
  #input;
  #output;
  #wake;
  #onCallback;
  #header = Buffer.alloc(HEADER_BYTES);
  #messageLeft = 0;
  #held = null; // a ReadyForQuery not yet written, see write()
  #unannounced = 0;

  /**
   * @param module the engine
   * @param {{input: Ring, output: Ring, wake: () => void, onCallback: () => void}} options
   *   `wake` tells the main thread to look at the rings; `onCallback` runs in
   *   every callback
   */
  constructor(module, { input, output, wake, onCallback }) {
    this.#module = module;
    this.#input = input;
    this.#output = output;
    this.#wake = wake;
    this.#onCallback = onCallback;
    const read = module.addFunction((pointer, limit) => this.#read(pointer, limit), 'iii');
    const write = module.addFunction((pointer, length) => this.#write(pointer, length), 'iii');
    module._set_read_write_cbs(read, write);
  }

  /** Blocks until a message begins; returns its type. */
  waitForMessage() {
    if (this.#input.used < HEADER_BYTES) this.announce();
    this.#input.waitForBytes(HEADER_BYTES);
    this.#input.peek(this.#header);
    return this.#header[0];
  }

  /**
   * Writes the ReadyForQuery that ended the last call into the engine, after
   * the settings that changed. Was there one?
   */
  finishCall(settings) {
    if (this.#held === null) return false;
    const ready = this.#held;
    this.#held = null;
    for (const [name, value] of settings.takeChanges()) this.#put(parameterStatus(name, value));
    this.#put(ready);
    return true;
  }

  /** Tells the main thread about output it has not been told of. */
  announce() {
    if (this.#unannounced === 0) return;
    this.#unannounced = 0;
    this.#wake();
  }

  #read(pointer, limit) {
    this.#onCallback();
    if (this.#messageLeft === 0) {
      this.waitForMessage();
      this.#messageLeft = 1 + this.#header.readUInt32BE(1);
    }
    if (this.#input.used === 0) {
      this.announce();
      this.#input.waitForBytes(1);
    }
    const heap = this.#module.HEAPU8;
    const count = this.#input.read(heap.subarray(pointer, pointer + Math.min(limit, this.#messageLeft)));
    this.#messageLeft -= count;
    if (this.#input.takeSpaceWanted()) this.#wake();
    return count;
  }

  /**
   * Output that ends like a ReadyForQuery is held back by so much: if the call
   * ends with it, it was one, and changed settings are reported before it.
   */
  #write(pointer, length) {
    this.#onCallback();
    if (this.#held !== null) {
      const notReady = this.#held;
      this.#held = null;
      this.#put(notReady);
    }
    const bytes = this.#module.HEAPU8.subarray(pointer, pointer + length);
    if (endsWithReady(bytes)) {
      this.#held = bytes.slice(length - READY_BYTES);
      this.#put(bytes.subarray(0, length - READY_BYTES));
    } else {
      this.#put(bytes);
    }
    // More input means more output soon: one wake-up for both.
    if (this.#input.used === 0 || this.#unannounced >= WAKE_BYTES) this.announce();
    return length;
  }

  #put(bytes) {
    for (let at = 0; at < bytes.length; ) {
      at += this.#output.write(bytes.subarray(at));
      if (at < bytes.length) {
        this.#wake();
        this.#output.waitForSpace();
      }
    }
    this.#unannounced += bytes.length;
  }
}

function endsWithReady(bytes) {
  const at = bytes.length - READY_BYTES;
  return (
    at >= 0 &&
    bytes[at] === 0x5a &&
    bytes[at + 1] === 0 &&
    bytes[at + 2] === 0 &&
    bytes[at + 3] === 0 &&
    bytes[at + 4] === 5
  );
}
