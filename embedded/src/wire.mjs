// The PostgreSQL wire protocol, version 3: making and taking apart messages.
// Pure functions on buffers; nothing here knows a socket.

export const PROTOCOL_3 = 3 << 16;
export const CANCEL_REQUEST = 80877102;
export const SSL_REQUEST = 80877103;
export const GSSENC_REQUEST = 80877104;

export const HEADER_BYTES = 5; // type, then a length that includes itself

const code = (letter) => letter.charCodeAt(0);

/** Message types by the byte on the wire, as far as this server looks at them. */
export const FRONTEND = Object.freeze({
  BIND: code('B'),
  CLOSE: code('C'),
  COPY_DATA: code('d'),
  COPY_DONE: code('c'),
  COPY_FAIL: code('f'),
  DESCRIBE: code('D'),
  EXECUTE: code('E'),
  FLUSH: code('H'),
  FUNCTION_CALL: code('F'),
  PARSE: code('P'),
  QUERY: code('Q'),
  SYNC: code('S'),
  TERMINATE: code('X'),
});

/** What a client sends during a COPY. */
export const COPY_TYPES = new Set([FRONTEND.COPY_DATA, FRONTEND.COPY_DONE, FRONTEND.COPY_FAIL]);

export const BACKEND = Object.freeze({
  COMMAND_COMPLETE: code('C'),
  COPY_IN_RESPONSE: code('G'),
  DATA_ROW: code('D'),
  ERROR_RESPONSE: code('E'),
  NOTICE_RESPONSE: code('N'),
  PARAMETER_STATUS: code('S'),
  READY_FOR_QUERY: code('Z'),
});

export const STATUS_IDLE = code('I');

const FRONTEND_TYPES = new Set(Object.values(FRONTEND));

export function isFrontendType(type) {
  return FRONTEND_TYPES.has(type);
}

export function cstring(text) {
  return Buffer.from(`${text}\0`, 'utf8');
}

/** The string at `offset` and the offset of what follows its zero byte. */
export function readCString(buffer, offset) {
  const end = buffer.indexOf(0, offset);
  if (end < 0) throw new RangeError('unterminated string in message');
  return { text: buffer.toString('utf8', offset, end), next: end + 1 };
}

/** A message of the given type letter whose body is the parts put together. */
export function message(type, ...parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 4);
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt8(typeof type === 'number' ? type : code(type), 0);
  header.writeUInt32BE(length, 1);
  return Buffer.concat([header, ...parts], length + 1);
}

export function queryMessage(sql) {
  return message('Q', cstring(sql));
}

export function copyFailMessage(reason) {
  return message('f', cstring(reason));
}

export const syncMessage = () => message('S');

/** Execute of a portal that does not exist: an error on purpose. */
export function failingMessage() {
  return message('E', cstring('no such portal'), Buffer.alloc(4));
}

export function closeStatementMessage(name) {
  return message('C', Buffer.from('S'), cstring(name));
}

/** ErrorResponse with the fields every client expects. */
export function errorResponse({ severity = 'ERROR', sqlstate, text, hint }) {
  const field = (letter, value) => Buffer.concat([Buffer.from(letter), cstring(value)]);
  const fields = [field('S', severity), field('V', severity), field('C', sqlstate), field('M', text)];
  if (hint) fields.push(field('H', hint));
  return message('E', ...fields, Buffer.from([0]));
}

export function readyForQuery(status = STATUS_IDLE) {
  return message('Z', Buffer.from([status]));
}

export function commandComplete(tag) {
  return message('C', cstring(tag));
}

export function parameterStatus(name, value) {
  return message('S', cstring(name), cstring(value));
}

export function authenticationOk() {
  return message('R', Buffer.alloc(4));
}

export function backendKeyData(processId, secret) {
  const body = Buffer.alloc(8);
  body.writeInt32BE(processId, 0);
  body.writeInt32BE(secret, 4);
  return message('K', body);
}

/** Answer to a client that asks for a newer minor version or unknown options. */
export function negotiateProtocolVersion(unknownOptions) {
  const head = Buffer.alloc(8);
  head.writeInt32BE(0, 0);
  head.writeInt32BE(unknownOptions.length, 4);
  return message('v', head, ...unknownOptions.map(cstring));
}

/** Splits a buffer of whole messages into `{type, body}`. */
export function* eachMessage(buffer) {
  for (let at = 0; at + HEADER_BYTES <= buffer.length; ) {
    const end = at + 1 + buffer.readUInt32BE(at + 1);
    yield { type: buffer[at], body: buffer.subarray(at + HEADER_BYTES, end) };
    at = end;
  }
}

/** The text values of a DataRow in text format; null stays null. */
export function dataRowValues(body) {
  const values = [];
  let at = 2;
  for (let left = body.readUInt16BE(0); left > 0; left--) {
    const length = body.readInt32BE(at);
    at += 4;
    values.push(length < 0 ? null : body.toString('utf8', at, at + length));
    if (length > 0) at += length;
  }
  return values;
}

/** The fields of an ErrorResponse by their letter. */
export function errorFields(body) {
  const fields = {};
  for (let at = 0; body[at] !== 0; ) {
    const { text, next } = readCString(body, at + 1);
    fields[String.fromCharCode(body[at])] = text;
    at = next;
  }
  return fields;
}
