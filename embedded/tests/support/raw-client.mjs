// A client that speaks the protocol message by message, for what no library
// would send.

import net from 'node:net';
import { once } from 'node:events';
import { cstring, dataRowValues, errorFields, message, queryMessage } from '../../src/wire.mjs';

export class RawClient {
  #chunks = []; // received bytes that are not a whole message yet
  #size = 0;
  #needed = 5; // so many must be there before it is worth a look
  #waiting = [];
  messages = []; // received and not yet taken
  closed = false;

  static async connect(server, parameters = { user: 'postgres' }) {
    const client = await RawClient.open(server);
    client.startup(parameters);
    client.welcome = await client.untilReady();
    return client;
  }

  static async open(server) {
    const client = new RawClient();
    client.socket = net.connect(server.port, server.host);
    client.socket.on('data', (chunk) => client.#receive(chunk));
    client.socket.on('error', () => {});
    client.socket.on('close', () => {
      client.closed = true;
      client.#wake();
    });
    await once(client.socket, 'connect');
    return client;
  }

  startup(parameters) {
    const fields = Object.entries(parameters).flatMap(([name, value]) => [cstring(name), cstring(value)]);
    const body = Buffer.concat([Buffer.from([0, 3, 0, 0]), ...fields, Buffer.from([0])]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length + 4);
    this.socket.write(Buffer.concat([length, body]));
  }

  send(...messages) {
    this.socket.write(Buffer.concat(messages));
  }

  /** The next message as `{type, body}` with the type as a letter. */
  async next() {
    while (this.messages.length === 0) {
      if (this.closed) throw new Error('the server has closed the connection');
      await new Promise((resolve) => this.#waiting.push(resolve));
    }
    return this.messages.shift();
  }

  async nextOfType(type) {
    for (;;) {
      const found = await this.next();
      if (found.type === type) return found;
    }
  }

  /** All messages up to and including ReadyForQuery. */
  async untilReady() {
    const received = [];
    do received.push(await this.next());
    while (received.at(-1).type !== 'Z');
    return received;
  }

  async query(sql) {
    this.send(queryMessage(sql));
    return summary(await this.untilReady());
  }

  /** Closes with a TCP reset, as the kernel does for a killed process. */
  reset() {
    this.socket.resetAndDestroy();
  }

  close() {
    this.socket.end(message('X'));
  }

  #receive(chunk) {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size < this.#needed) return;
    const bytes = Buffer.concat(this.#chunks);
    let at = 0;
    this.#needed = 5;
    while (at + 5 <= bytes.length) {
      const size = 1 + bytes.readUInt32BE(at + 1);
      if (at + size > bytes.length) {
        this.#needed = size;
        break;
      }
      this.messages.push({ type: String.fromCharCode(bytes[at]), body: bytes.subarray(at + 5, at + size) });
      at += size;
    }
    this.#chunks = [bytes.subarray(at)];
    this.#size = bytes.length - at;
    this.#wake();
  }

  #wake() {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** `{rows, errors, tags, status, types}` of what a server answered. */
export function summary(messages) {
  const result = { rows: [], errors: [], tags: [], status: '', types: '' };
  for (const { type, body } of messages) {
    result.types += type;
    if (type === 'D') result.rows.push(dataRowValues(body));
    else if (type === 'E') result.errors.push(errorFields(body));
    else if (type === 'C') result.tags.push(body.toString('utf8', 0, body.length - 1));
    else if (type === 'Z') result.status = String.fromCharCode(body[0]);
  }
  return result;
}

// Messages of the extended protocol, with text parameters.

export function parse(name, sql) {
  return message('P', cstring(name), cstring(sql), Buffer.alloc(2));
}

export function bind(statement, ...values) {
  const count = Buffer.alloc(2);
  count.writeUInt16BE(values.length);
  const parts = values.flatMap((value) => {
    const bytes = Buffer.from(String(value));
    const length = Buffer.alloc(4);
    length.writeInt32BE(bytes.length);
    return [length, bytes];
  });
  return message('B', cstring(''), cstring(statement), Buffer.alloc(2), count, ...parts, Buffer.alloc(2));
}

export const describe = (name) => message('D', Buffer.from('S'), cstring(name));
export const execute = () => message('E', cstring(''), Buffer.alloc(4));
export const sync = () => message('S');
export const flush = () => message('H');
export const copyData = (bytes) => message('d', Buffer.from(bytes));
export const copyDone = () => message('c');
