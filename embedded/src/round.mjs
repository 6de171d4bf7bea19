// How far a client's *round* is: everything it sends up to a Query, Sync or
// FunctionCall, and the engine's answer up to ReadyForQuery. COPY from the
// client is the exception: its data follows within the round, and in the
// extended protocol the round then ends with a second Sync, because the engine
// ignores the first one. State only; nothing is sent from here.

import { FRONTEND } from './wire.mjs';

const ENDS = new Set([FRONTEND.QUERY, FRONTEND.SYNC, FRONTEND.FUNCTION_CALL]);
const COPY_ENDS = new Set([FRONTEND.COPY_DONE, FRONTEND.COPY_FAIL]);

const CERTAIN_OUTPUT_BYTES = 16 * 1024;

export class Round {
  open = false; // something of it has been passed on
  copyIn = false; // the engine reads CopyData
  #awaitingReady = false; // its end has been passed on
  #simple = false; // it is a simple query
  #outputBytes = 0;

  static isEnd(type) {
    return ENDS.has(type);
  }

  /** Nothing more may be passed on until ReadyForQuery. */
  get answering() {
    return this.#awaitingReady && !this.copyIn;
  }

  /**
   * May the engine be told to cancel, so that exactly one ReadyForQuery answers?
   * Not at the begin of a COPY by the extended protocol: whether the first Sync
   * is answered then depends on when the engine notices.
   */
  get cancellable() {
    return this.answering && (this.#simple || this.#outputBytes > CERTAIN_OUTPUT_BYTES);
  }

  received(bytes) {
    this.#outputBytes += bytes;
  }

  /** A message of the client has been passed on. */
  passed(type) {
    this.open = true;
    if (type === FRONTEND.QUERY) this.#simple = true;
    if (COPY_ENDS.has(type)) this.#copyEnded();
    else if (ENDS.has(type) && !this.copyIn) this.#awaitingReady = true;
  }

  /** The server itself has sent something that ReadyForQuery will answer. */
  closed() {
    this.open = true;
    this.#awaitingReady = true;
  }

  onCopyIn() {
    this.copyIn = true;
    this.#awaitingReady = false;
  }

  onError() {
    if (this.copyIn) this.#copyEnded();
  }

  onReady() {
    this.open = this.copyIn = this.#awaitingReady = this.#simple = false;
    this.#outputBytes = 0;
  }

  /** A simple query's ReadyForQuery comes by itself; else a Sync must follow. */
  #copyEnded() {
    this.copyIn = false;
    this.#awaitingReady = this.#simple;
  }
}
