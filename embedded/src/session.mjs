// One client's connection after its start-up: takes its messages to the engine
// when it owns it, and the engine's output back. It passes on at most one round
// at a time (see round.mjs) and goes on when ReadyForQuery has answered it.

import { SessionSettings } from './settings-switch.mjs';
import { isConcurrentIndexCommand, isDiscardAll, parseDeallocate } from './sql-text.mjs';
import { FrontendBuffer } from './frontend-buffer.mjs';
import { Round } from './round.mjs';
import { Statements } from './statements.mjs';
import {
  BACKEND,
  COPY_TYPES,
  FRONTEND,
  HEADER_BYTES,
  STATUS_IDLE,
  commandComplete,
  copyFailMessage,
  errorResponse,
  failingMessage,
  isFrontendType,
  queryMessage,
  readCString,
  readyForQuery,
  syncMessage,
} from './wire.mjs';

const INPUT_BYTES = 256 * 1024; // beyond this the client must wait
const OUTPUT_BYTES = 512 * 1024; // beyond this the engine must wait
const ANSWERED_HERE_BYTES = 2000; // longer texts are not looked at for that
const MAX_MESSAGE_BYTES = 0x3fffffff; // as PostgreSQL's
const LINGER_MS = 5000; // for a client that does not read its last message

export class Session {
  isNew = true; // its settings have never been loaded
  #socket;
  #engine;
  #scheduler;
  #log;
  #input = new FrontendBuffer();
  #statements;
  #gone = false; // no more messages will come, nobody reads our output
  #ended = false; // the client has closed its side; what it sent still counts
  #inTransaction = false;
  #round = new Round();
  #passingPieces = false; // of the message being taken, the engine gets all
  #discarding = false; // a refused round: skip to its end

  constructor({ id, socket, startup, engine, scheduler, log }) {
    this.id = id;
    this.user = startup.user;
    this.settings = new SessionSettings(startup.settings);
    this.#statements = new Statements(id);
    this.#socket = socket;
    this.#engine = engine;
    this.#scheduler = scheduler;
    this.#log = log;
    this.onGone = () => {};
    socket.on('drain', () => this.#engine.drain());
  }

  // --- from the client ------------------------------------------------------

  /** Bytes from the socket. */
  push(bytes) {
    if (this.#gone) return;
    this.#input.push(bytes);
    this.#pump();
  }

  /** The client has closed its side: answer what it sent, then part. */
  end() {
    this.#ended = true;
    this.#pump();
  }

  /** The connection is lost: nothing of this session may remain. */
  abort() {
    this.#socket.destroy();
    this.#part();
  }

  #part() {
    if (this.#gone) return;
    this.#gone = true;
    this.#socket.destroySoon(); // after what has been written
    setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
    if (this.#scheduler.owns(this)) this.#abandonRound();
    else this.#finish();
  }

  /** A CancelRequest of this client. */
  cancel() {
    if (this.#scheduler.owns(this)) this.#engine.cancel();
    else if (this.#scheduler.withdraw(this)) {
      this.#refuseRound('57014', 'canceling statement due to user request');
      this.#pump();
    }
  }

  /** Ends the session with an error of the server. */
  terminate(sqlstate, text) {
    this.#write(errorResponse({ severity: 'FATAL', sqlstate, text }));
    this.#part();
  }

  // --- from the scheduler ---------------------------------------------------

  /** The engine is this session's now. */
  own() {
    this.#pump();
  }

  /** The Parse message that must precede this client's next one, or null. */
  unnamedStatementNeeded() {
    const size = this.#input.nextType() === null ? Infinity : this.#input.nextSize();
    return size <= this.#input.size ? this.#statements.unnamedNeededBy(this.#input.peek(size)) : null;
  }

  timedOutInQueue(seconds) {
    this.#refuseRound('55P03', `the engine was busy with another client for ${seconds} s`);
    this.#pump();
  }

  /** The settings of the start-up packet are not acceptable. */
  refuse({ C: sqlstate, M: text }) {
    this.terminate(sqlstate, text);
  }

  // --- passing messages on --------------------------------------------------

  #pump() {
    try {
      while (!this.#gone && this.#step());
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.terminate('08P01', error.message); // the message is not what it says
    }
    if (this.#gone) return;
    if (this.#ended) this.#partIfDone();
    if (!this.#gone) this.#throttle();
  }

  /** After the client has closed its side: is there anything left to do? */
  #partIfDone() {
    const busy = this.#scheduler.owns(this)
      ? this.#round.answering || this.#engine.congested
      : this.#hasMessage();
    if (!busy) this.#part();
  }

  /** Does the next thing that can be done; false when there is none. */
  #step() {
    if (this.#engine.congested && this.#scheduler.owns(this)) return false;
    if (this.#input.insideMessage) return this.#passCopyData();
    const type = this.#input.nextType();
    if (type === null) return false;
    if (!isFrontendType(type)) throw new RangeError(`invalid frontend message type ${type}`);
    const size = this.#input.nextSize();
    if (size < HEADER_BYTES || size > MAX_MESSAGE_BYTES) throw new RangeError('invalid message length');
    if (type === FRONTEND.TERMINATE) {
      if (this.#round.answering) return false; // the answer first
      this.#part();
      return false;
    }
    if (this.#discarding) return this.#discardMessage(type);
    if (COPY_TYPES.has(type) && !this.#round.open) return this.#dropCopyMessage(type);
    if (this.#round.answering) return false;
    if (!this.#hasMessage()) return false;
    if (!this.#round.open && this.#answerHere(type)) return true;
    if (!this.#scheduler.owns(this)) {
      this.#scheduler.request(this);
      return false;
    }
    return type === FRONTEND.COPY_DATA ? this.#passCopyData() : this.#passMessage(type);
  }

  /** Is there a next message, or at least a beginning that can be passed on? */
  #hasMessage() {
    const type = this.#input.nextType();
    if (type === null || this.#input.insideMessage) return false;
    return type === FRONTEND.COPY_DATA || this.#input.nextSize() <= this.#input.size;
  }

  #passMessage(type) {
    const bytes = this.#input.takeMessage();
    if (bytes === null) return false;
    this.#noteSql(type, bytes);
    this.#round.passed(type);
    this.#engine.send(this.#statements.rewrite(bytes));
    return true;
  }

  #noteSql(type, bytes) {
    if (type === FRONTEND.QUERY) {
      this.#scheduler.unnamedOwner = null;
      this.settings.noteSql(readCString(bytes, HEADER_BYTES).text, false);
    } else if (type === FRONTEND.PARSE) {
      const name = readCString(bytes, HEADER_BYTES);
      if (name.text === '') this.#scheduler.unnamedOwner = this;
      this.settings.noteSql(readCString(bytes, name.next).text, name.text !== '');
    }
  }

  #passCopyData() {
    if (!this.#input.insideMessage) this.#passingPieces = this.#round.open;
    const bytes = this.#input.takeCopyData();
    if (bytes === null) return false;
    if (!this.#passingPieces) return true; // nobody wants it
    this.#engine.send(bytes);
    this.#releaseIfIdle();
    return true;
  }

  /** Data of a COPY that has already failed; as PostgreSQL, ignore it. */
  #dropCopyMessage(type) {
    if (type === FRONTEND.COPY_DATA) return this.#passCopyData();
    return this.#input.takeMessage() !== null;
  }

  // --- rounds that do not reach the engine ----------------------------------

  /**
   * Statements that, let through, would reach into other clients' sessions or
   * leave something broken. True when the next message is one and is dealt with.
   */
  #answerHere(type) {
    if (this.#inTransaction || (type !== FRONTEND.QUERY && type !== FRONTEND.PARSE)) return false;
    const bytes = this.#input.peek(this.#input.nextSize());
    if (bytes.length > ANSWERED_HERE_BYTES) return false;
    const at = type === FRONTEND.PARSE ? readCString(bytes, HEADER_BYTES).next : HEADER_BYTES;
    const sql = readCString(bytes, at).text;
    if (isConcurrentIndexCommand(sql)) {
      this.#refuseRound('0A000', 'the embedded engine does not support CONCURRENTLY for indexes');
      return true;
    }
    if (type === FRONTEND.PARSE) return false;
    const discardAll = isDiscardAll(sql);
    if (discardAll || parseDeallocate(sql)?.all) this.#forgetStatements(discardAll);
    else return false;
    this.#input.takeMessage();
    return true;
  }

  /** DEALLOCATE ALL or DISCARD ALL, for this client alone. */
  #forgetStatements(discardAll) {
    if (discardAll) this.settings.reset();
    this.#scheduler.forget(this, this.#statements.takeCloseMessages());
    this.#write(Buffer.concat([commandComplete(discardAll ? 'DISCARD ALL' : 'DEALLOCATE ALL'), readyForQuery()]));
  }

  /** Answers the client's next round with an error instead of running it. */
  #refuseRound(sqlstate, text) {
    this.#write(errorResponse({ sqlstate, text }));
    this.#discarding = true;
  }

  #discardMessage(type) {
    if (type === FRONTEND.COPY_DATA) return this.#passCopyData();
    if (this.#input.takeMessage() === null) return false;
    if (!Round.isEnd(type)) return true;
    this.#discarding = false;
    this.#write(readyForQuery());
    return true;
  }

  // --- from the engine ------------------------------------------------------

  /** True while the client does not read fast enough. */
  get paused() {
    return !this.#gone && this.#socket.writableLength > OUTPUT_BYTES;
  }

  receive(chunk, events) {
    this.#write(chunk);
    this.#round.received(chunk.length);
    if (!events.some(([type]) => type === BACKEND.READY_FOR_QUERY)) this.#cancelLost();
    for (const [type, status] of events) {
      if (type === BACKEND.COPY_IN_RESPONSE) this.#onCopyIn();
      else if (type === BACKEND.READY_FOR_QUERY) this.#onReady(status);
      else this.#round.onError();
    }
  }

  #onCopyIn() {
    this.#round.onCopyIn();
    if (this.#gone) this.#failCopy();
    else this.#pump();
  }

  #onReady(status) {
    this.#inTransaction = status !== STATUS_IDLE;
    this.#round.onReady();
    if (this.#gone) {
      this.#leave();
      return;
    }
    this.#releaseIfIdle();
    this.#pump();
  }

  /** A message of which the engine has a part must be completed first. */
  #releaseIfIdle() {
    const incomplete = this.#passingPieces && this.#input.insideMessage;
    if (!this.#inTransaction && !this.#round.open && !incomplete) this.#scheduler.release(this);
  }

  // --- the end --------------------------------------------------------------

  /** Brings a round that is under way to its end without the client. */
  #abandonRound() {
    this.#log(`client=${this.id} lost in_transaction=${this.#inTransaction} copy=${this.#round.copyIn}`);
    this.#completePiece();
    if (this.#round.copyIn) this.#failCopy();
    else if (this.#round.answering) this.#cancelLost();
    else if (this.#round.open) this.#failRound();
    else this.#leave();
    this.#engine.drain(); // it may have stood still for this client
  }

  /** Nobody waits for the answer any more. */
  #cancelLost() {
    if (this.#gone && this.#round.cancellable) this.#engine.cancel();
  }

  #completePiece() {
    if (this.#passingPieces && this.#input.insideMessage) this.#engine.send(Buffer.alloc(this.#input.pieceLeft));
  }

  #failCopy() {
    this.#engine.send(copyFailMessage('the client is gone'));
    this.#round.passed(FRONTEND.COPY_FAIL);
    if (!this.#round.answering) this.#failRound();
  }

  /** A Sync alone would commit what the round has done so far. */
  #failRound() {
    this.#round.closed();
    this.#engine.send(failingMessage());
    this.#engine.send(syncMessage());
  }

  /** Rolls back what the client left open and gives the engine away. */
  #leave() {
    if (this.#inTransaction) {
      this.#round.closed();
      this.#engine.send(queryMessage('ROLLBACK'));
      return; // onReady() comes back here
    }
    this.#scheduler.release(this);
    this.#finish();
  }

  #finish() {
    this.#scheduler.forget(this, this.#statements.takeCloseMessages());
    this.onGone();
  }

  // --- the socket -----------------------------------------------------------

  #write(bytes) {
    if (!this.#gone && bytes.length > 0) this.#socket.write(bytes);
  }

  /** Reads from the client only what can be used soon. */
  #throttle() {
    const type = this.#input.insideMessage ? null : this.#input.nextType();
    const whole = type === null || type === FRONTEND.COPY_DATA ? 0 : this.#input.nextSize();
    const enough = Math.max(INPUT_BYTES, whole);
    if (this.#input.size >= enough) this.#socket.pause();
    else this.#socket.resume();
  }

  /** The engine has taken what it was given. */
  onSpace() {
    this.#pump();
  }
}
