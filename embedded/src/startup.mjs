// The first packet of a connection: what the client asks for, and the answer
// that lets it in.

import { randomInt } from 'node:crypto';
import {
  CANCEL_REQUEST,
  GSSENC_REQUEST,
  PROTOCOL_3,
  SSL_REQUEST,
  authenticationOk,
  backendKeyData,
  negotiateProtocolVersion,
  parameterStatus,
  readCString,
  readyForQuery,
} from './wire.mjs';

export const MAX_STARTUP_BYTES = 10000; // as PostgreSQL's

/** An error that ends the connection. */
export class FatalError extends Error {
  constructor(sqlstate, text) {
    super(text);
    this.sqlstate = sqlstate;
  }
}

/**
 * Takes apart the packet (without its length). The result's `kind` is
 * 'encryption', 'cancel' (with processId, secret) or 'startup' (with user,
 * settings as a Map of name → value, and what must be negotiated).
 */
export function parseStartup(packet) {
  const code = packet.readUInt32BE(0);
  if (code === SSL_REQUEST || code === GSSENC_REQUEST) return { kind: 'encryption' };
  if (code === CANCEL_REQUEST) {
    return { kind: 'cancel', processId: packet.readInt32BE(4), secret: packet.readInt32BE(8) };
  }
  if (code >>> 16 !== PROTOCOL_3 >>> 16) {
    throw new FatalError('0A000', `unsupported frontend protocol ${code >>> 16}.${code & 0xffff}`);
  }
  return { kind: 'startup', newerMinor: code > PROTOCOL_3, ...parseParameters(packet) };
}

function parseParameters(packet) {
  const settings = new Map();
  const unknownOptions = [];
  let user = '';
  let options = '';
  for (let at = 4; at < packet.length && packet[at] !== 0; ) {
    const name = readCString(packet, at);
    const value = readCString(packet, name.next);
    at = value.next;
    if (name.text === 'user') user = value.text;
    else if (name.text === 'database') continue; // there is only one
    else if (name.text === 'options') options = value.text;
    else if (name.text === 'replication') refuseReplication(value.text);
    else if (name.text.startsWith('_pq_.')) unknownOptions.push(name.text);
    else settings.set(name.text.toLowerCase(), value.text);
  }
  if (user === '') throw new FatalError('28000', 'no PostgreSQL user name specified in startup packet');
  // The parameters of their own come last, as in PostgreSQL.
  const all = new Map([...parseOptions(options), ...settings]);
  checkEncoding(all);
  return { user, settings: all, unknownOptions };
}

/** The engine cannot convert: see missing-functions.mjs. */
function checkEncoding(settings) {
  const encoding = settings.get('client_encoding') ?? 'UTF8';
  const plain = encoding.replace(/[^a-z0-9]/gi, '').toLowerCase();
  if (!['utf8', 'unicode', 'sqlascii'].includes(plain)) {
    throw new FatalError('0A000', `client_encoding must be UTF8, not ${encoding}`);
  }
}

function refuseReplication(value) {
  if (['false', 'off', 'no', '0'].includes(value.toLowerCase())) return;
  throw new FatalError('0A000', 'the embedded TimescaleDB offers no replication');
}

/** The settings in a string of command-line options: `-c a=b`, `-ca=b`, `--a=b`. */
export function parseOptions(options) {
  const words = splitOptions(options);
  const settings = [];
  for (let i = 0; i < words.length; i++) {
    let assignment;
    if (words[i] === '-c') assignment = words[++i] ?? '';
    else if (words[i].startsWith('--')) assignment = words[i].slice(2);
    else if (words[i].startsWith('-c')) assignment = words[i].slice(2);
    else throw new FatalError('42601', `invalid command-line argument for server process: ${words[i]}`);
    const equals = assignment.indexOf('=');
    if (equals < 1) throw new FatalError('42601', `-c ${assignment} requires a value`);
    const name = assignment.slice(0, equals).replaceAll('-', '_').toLowerCase();
    settings.push([name, assignment.slice(equals + 1)]);
  }
  return settings;
}

/** Splits at white space; a backslash takes the next character as it is. */
function splitOptions(options) {
  const words = [];
  let word = null;
  for (let i = 0; i < options.length; i++) {
    if (/\s/.test(options[i])) {
      if (word !== null) words.push(word);
      word = null;
      continue;
    }
    if (options[i] === '\\' && i + 1 < options.length) i++;
    word = (word ?? '') + options[i];
  }
  if (word !== null) words.push(word);
  return words;
}

export function newSecret() {
  return randomInt(0x7fffffff);
}

/** Everything from "you are in" to "send a query". */
export function welcome({ newerMinor, unknownOptions, settings }, serverParameters, key) {
  const parameters = new Map(serverParameters);
  for (const name of parameters.keys()) {
    const value = settings.get(name.toLowerCase());
    if (value !== undefined) parameters.set(name, value);
  }
  return Buffer.concat([
    ...(newerMinor || unknownOptions.length > 0 ? [negotiateProtocolVersion(unknownOptions)] : []),
    authenticationOk(),
    ...[...parameters].map(([name, value]) => parameterStatus(name, value)),
    backendKeyData(key.processId, key.secret),
    readyForQuery(),
  ]);
}
