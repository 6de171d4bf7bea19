// gRPC by hand, over Node's HTTP/2: calls that no program of ours would make.
import { readFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { join } from 'node:path';

const varint = (value) => {
  const bytes = [];
  for (let left = BigInt(value); ; left >>= 7n) {
    if (left < 128n) return Buffer.from([...bytes, Number(left)]);
    bytes.push(Number(left & 127n) | 128);
  }
};

// A message of [field number, value]: numbers and booleans, texts, or messages that are encoded already.
export const message = (...fields) => Buffer.concat(fields.map(([number, value]) => {
  if (typeof value === 'number' || typeof value === 'boolean') return Buffer.concat([varint(number << 3), varint(Number(value))]);
  const bytes = Buffer.from(value);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}));

// The other way: the values of one field, as numbers or bytes.
export function fieldsOf(bytes, wanted) {
  const found = [];
  let at = 0;
  const read = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(value);
    }
  };
  while (at < bytes.length) {
    const key = read();
    const type = key & 7;
    let value;
    if (type === 0) value = read();
    else if (type === 2) {
      const length = read();
      value = bytes.subarray(at, (at += length));
    } else at += type === 1 ? 8 : 4;
    if (key >> 3 === wanted) found.push(value);
  }
  return found;
}

export const code = { ok: 0, notFound: 5, failedPrecondition: 9, resourceExhausted: 8, aborted: 10, unauthenticated: 16 };

export class Caller {
  // `certificates`: a folder as scripts/make-certs makes it; of it `show` is what the caller shows of itself (client, server or
  // nothing), and ca.pem whom it believes. Without a folder the connection is plain.
  constructor(address, { certificates, show = 'client', token, servername } = {}) {
    this.token = token;
    const files = certificates && {
      ca: readFileSync(join(certificates, 'ca.pem')),
      ...(show && { cert: readFileSync(join(certificates, `${show}.pem`)), key: readFileSync(join(certificates, `${show}.key`)) }),
      ...(servername && { servername }),
    };
    this.session = connect(`${certificates ? 'https' : 'http'}://${address}`, files ?? {});
    this.session.on('error', (error) => (this.error = error));
    // Of the coordinator's certificate.
    this.session.on('connect', (_, socket) => (this.serial = socket.getPeerCertificate?.().serialNumber));
  }

  // Resolves with the call's status and the answer's bytes; with an error if there was no answer. `many` ends a stream after
  // its first message.
  call(method, request = Buffer.alloc(0), { many = false, token = this.token } = {}) {
    return new Promise((resolve) => {
      if (this.error) return resolve({ error: this.error });
      const path = method.includes('/') ? `/${method}` : `/hypershift.v1.${method.replace('.', '/')}`;
      const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
      if (token) headers.authorization = `Bearer ${token}`;
      const stream = this.session.request(headers);
      const body = [];
      const answer = {};
      const take = (found) => {
        if (found['grpc-status'] !== undefined) Object.assign(answer, { code: Number(found['grpc-status']), message: decodeURIComponent(found['grpc-message'] ?? '') });
      };
      stream.on('response', take);
      stream.on('trailers', take);
      stream.on('data', (chunk) => {
        body.push(chunk);
        if (many) resolve({ code: 0, end: () => stream.close() });
      });
      stream.on('error', (error) => (answer.error ??= error));
      stream.on('close', () => {
        const bytes = Buffer.concat(body);
        if (answer.code === undefined) answer.error ??= this.error ?? new Error('the stream ended without a status');
        resolve({ ...answer, body: bytes.subarray(5), end: () => {} });
      });
      const head = Buffer.alloc(5);
      head.writeUInt32BE(request.length, 1);
      stream.end(Buffer.concat([head, request]));
      return undefined;
    });
  }

  close() {
    this.session.destroy();
  }
}
