// Follows the engine's output message by message without buffering it, and
// reports the few messages that steer the server.

import { BACKEND, HEADER_BYTES } from './wire.mjs';

export class BackendScanner {
  #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  #bodyLeft = 0;
  #wantStatus = false;

  /**
   * @param {Buffer} chunk the next bytes of the engine's output
   * @param {(type: number, status: number) => void} report called for
   *   CopyInResponse, ErrorResponse and ReadyForQuery (with its status byte)
   * @param {(start: number, end: number) => void} onNotice called for each
   *   NoticeResponse that lies within this chunk
   */
  scan(chunk, report, onNotice) {
    let at = 0;
    while (at < chunk.length) {
      if (this.#headerBytes < HEADER_BYTES) {
        const start = at;
        at = this.#takeHeader(chunk, at, report);
        const end = at + this.#bodyLeft;
        const isNotice = at - start === HEADER_BYTES && chunk[start] === BACKEND.NOTICE_RESPONSE;
        if (isNotice && end <= chunk.length) onNotice?.(start, end);
        continue;
      }
      if (this.#wantStatus) {
        this.#wantStatus = false;
        report(BACKEND.READY_FOR_QUERY, chunk[at]);
      }
      const step = Math.min(this.#bodyLeft, chunk.length - at);
      at += step;
      this.#bodyLeft -= step;
      if (this.#bodyLeft === 0) this.#headerBytes = 0;
    }
  }

  #takeHeader(chunk, from, report) {
    let at = from;
    if (this.#headerBytes === 0 && chunk.length - at >= HEADER_BYTES) {
      this.#begin(chunk[at], chunk.readUInt32BE(at + 1) - 4, report);
      return at + HEADER_BYTES;
    }
    while (at < chunk.length && this.#headerBytes < HEADER_BYTES) {
      this.#header[this.#headerBytes++] = chunk[at++];
    }
    if (this.#headerBytes === HEADER_BYTES) {
      this.#begin(this.#header[0], this.#header.readUInt32BE(1) - 4, report);
    }
    return at;
  }

  #begin(type, bodyBytes, report) {
    this.#headerBytes = bodyBytes > 0 ? HEADER_BYTES : 0;
    this.#bodyLeft = bodyBytes;
    if (type === BACKEND.READY_FOR_QUERY) this.#wantStatus = true;
    else if (type === BACKEND.COPY_IN_RESPONSE || type === BACKEND.ERROR_RESPONSE) report(type, 0);
  }
}
