// What a client has sent and the server has not used yet, seen as messages.
//
// Short messages are taken whole. The data of a COPY is taken in pieces as it
// arrives, so that memory does not depend on the size of a CopyData message.

import { FRONTEND, HEADER_BYTES } from './wire.mjs';

export class FrontendBuffer {
  #chunks = [];
  #offset = 0; // consumed bytes of the first chunk
  #size = 0;
  #pieceLeft = 0; // bytes still to come of the message being taken in pieces

  get size() {
    return this.#size;
  }

  /** True between the first and the last piece of a message. */
  get insideMessage() {
    return this.#pieceLeft > 0;
  }

  get pieceLeft() {
    return this.#pieceLeft;
  }

  push(chunk) {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
  }

  clear() {
    this.#chunks = [];
    this.#offset = 0;
    this.#size = 0;
  }

  /** Type of the next message, or null while its header is incomplete. */
  nextType() {
    return this.#size >= HEADER_BYTES ? this.#chunks[0][this.#offset] : null;
  }

  /** Bytes on the wire of the next message; its header must be there. */
  nextSize() {
    return 1 + this.peek(HEADER_BYTES).readUInt32BE(1);
  }

  /** The 4-byte length that begins a start-up packet, or null. */
  startupSize() {
    return this.#size >= 4 ? this.peek(4).readUInt32BE(0) : null;
  }

  /** Exactly `count` bytes, which must be there. */
  take(count) {
    const bytes = this.peek(count);
    this.#drop(count);
    return bytes;
  }

  /** The whole next message, or null if it has not arrived yet. */
  takeMessage() {
    if (this.nextType() === null) return null;
    const size = this.nextSize();
    return this.#size >= size ? this.take(size) : null;
  }

  /**
   * A run of whole CopyData messages, or the next piece of a single one; null
   * if there is nothing to take now. The caller has checked the type.
   */
  takeCopyData() {
    if (this.#pieceLeft === 0) {
      const run = this.#wholeCopyDataBytes();
      if (run > 0) return this.take(run);
      this.#pieceLeft = this.nextSize();
    }
    if (this.#size === 0) return null;
    const piece = this.take(Math.min(this.#pieceLeft, this.#chunks[0].length - this.#offset));
    this.#pieceLeft -= piece.length;
    return piece;
  }

  /** How far whole CopyData messages reach inside the first chunk. */
  #wholeCopyDataBytes() {
    const chunk = this.#chunks[0];
    let at = this.#offset;
    while (at + HEADER_BYTES <= chunk.length && chunk[at] === FRONTEND.COPY_DATA) {
      const end = at + 1 + chunk.readUInt32BE(at + 1);
      if (end > chunk.length) break;
      at = end;
    }
    return at - this.#offset;
  }

  /** As take(), but the bytes stay. */
  peek(count) {
    const first = this.#chunks[0];
    if (first.length - this.#offset >= count) {
      return first.subarray(this.#offset, this.#offset + count);
    }
    const bytes = Buffer.allocUnsafe(count);
    let filled = 0;
    let offset = this.#offset;
    for (const chunk of this.#chunks) {
      filled += chunk.copy(bytes, filled, offset, Math.min(chunk.length, offset + count - filled));
      offset = 0;
      if (filled === count) break;
    }
    return bytes;
  }

  #drop(count) {
    this.#size -= count;
    let left = count;
    while (left > 0) {
      const here = this.#chunks[0].length - this.#offset;
      if (left < here) {
        this.#offset += left;
        return;
      }
      left -= here;
      this.#chunks.shift();
      this.#offset = 0;
    }
  }
}
