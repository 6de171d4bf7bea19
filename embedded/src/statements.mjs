// Prepared statements of the protocol. All clients share the engine's one
// session, so each client's names get a prefix of its own; and the one unnamed
// statement is prepared again for a client when another has replaced it.

import { createHash } from 'node:crypto';
import { parseDeallocate, quoteIdentifier } from './sql-text.mjs';
import { FRONTEND, HEADER_BYTES, closeStatementMessage, message, queryMessage, readCString } from './wire.mjs';

const MAX_NAME_BYTES = 63; // PostgreSQL's NAMEDATALEN - 1

export class Statements {
  #prefix;
  #names = new Set(); // as the engine knows them
  #unnamed = null; // the Parse message of this client's unnamed statement

  constructor(clientId) {
    this.#prefix = `c${clientId}:`;
  }

  /** The message to send to the engine in place of the client's. */
  rewrite(bytes) {
    switch (bytes[0]) {
      case FRONTEND.PARSE:
        return this.#rewriteParse(bytes);
      case FRONTEND.BIND: {
        const portal = readCString(bytes, HEADER_BYTES);
        return this.#renameAt(bytes, portal.next);
      }
      case FRONTEND.DESCRIBE:
      case FRONTEND.CLOSE:
        return this.#rewriteDescribeOrClose(bytes);
      case FRONTEND.QUERY:
        return this.#rewriteQuery(bytes);
      default:
        return bytes;
    }
  }

  /**
   * The Parse message that must precede `bytes`, the client's next message, if
   * the engine holds another client's unnamed statement; else null.
   */
  unnamedNeededBy(bytes) {
    if (this.#unnamed === null) return null;
    if (bytes[0] === FRONTEND.BIND) {
      const portal = readCString(bytes, HEADER_BYTES);
      return bytes[portal.next] === 0 ? this.#unnamed : null;
    }
    const describesUnnamed =
      bytes[0] === FRONTEND.DESCRIBE && bytes[HEADER_BYTES] === 0x53 && bytes[HEADER_BYTES + 1] === 0;
    return describesUnnamed ? this.#unnamed : null;
  }

  /** Messages that close all named statements of this client. */
  takeCloseMessages() {
    const messages = [...this.#names].map(closeStatementMessage);
    this.#names.clear();
    this.#unnamed = null;
    return messages;
  }

  #engineName(name) {
    const full = this.#prefix + name;
    if (Buffer.byteLength(full) <= MAX_NAME_BYTES) return full;
    return this.#prefix + createHash('sha1').update(name).digest('hex');
  }

  #rewriteParse(bytes) {
    const name = readCString(bytes, HEADER_BYTES).text;
    if (name === '') {
      this.#unnamed = Buffer.from(bytes);
      return bytes;
    }
    this.#names.add(this.#engineName(name));
    return this.#renameAt(bytes, HEADER_BYTES);
  }

  #rewriteDescribeOrClose(bytes) {
    if (bytes[HEADER_BYTES] !== 0x53) return bytes; // a portal
    const { text } = readCString(bytes, HEADER_BYTES + 1);
    if (bytes[0] === FRONTEND.CLOSE) {
      if (text === '') this.#unnamed = null;
      else this.#names.delete(this.#engineName(text));
    }
    return this.#renameAt(bytes, HEADER_BYTES + 1);
  }

  /** A simple query drops the unnamed statement; DEALLOCATE needs renaming. */
  #rewriteQuery(bytes) {
    this.#unnamed = null;
    const target = bytes.length < 1000 ? parseDeallocate(readCString(bytes, HEADER_BYTES).text) : null;
    if (target?.name === undefined) return bytes;
    const engineName = this.#engineName(target.name);
    if (!this.#names.delete(engineName)) return bytes; // made by SQL's PREPARE
    return queryMessage(`DEALLOCATE ${quoteIdentifier(engineName)}`);
  }

  #renameAt(bytes, at) {
    const { text, next } = readCString(bytes, at);
    if (text === '') return bytes;
    const name = Buffer.from(`${this.#engineName(text)}\0`);
    return message(bytes[0], bytes.subarray(HEADER_BYTES, at), name, bytes.subarray(next));
  }
}
