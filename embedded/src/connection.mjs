// A TCP connection from its first byte until it is a session.

import { FrontendBuffer } from './frontend-buffer.mjs';
import { FatalError, MAX_STARTUP_BYTES, newSecret, parseStartup, welcome } from './startup.mjs';
import { errorResponse } from './wire.mjs';

const STARTUP_TIMEOUT_MS = 60_000;

/**
 * Leads a connection through its start-up.
 *
 * @param {net.Socket} socket
 * @param {object} server `createSession(socket, startup)` makes the session
 *   (with its `id`); `cancel(processId, secret)` serves a CancelRequest;
 *   `parameters` are the server's own for ParameterStatus
 */
export function acceptConnection(socket, server) {
  const input = new FrontendBuffer();
  const timer = setTimeout(() => socket.destroy(), STARTUP_TIMEOUT_MS);
  const onData = (chunk) => {
    input.push(chunk);
    try {
      while (step());
    } catch (error) {
      refuse(error);
    }
  };
  socket.on('data', onData);
  socket.on('close', () => clearTimeout(timer));
  const onEnd = () => socket.end();
  const onError = () => socket.destroy();
  socket.on('end', onEnd);
  socket.on('error', onError);

  /** Takes one packet; true when there may be another. */
  function step() {
    const size = input.startupSize();
    if (size === null) return false;
    if (size < 8 || size > MAX_STARTUP_BYTES) throw new FatalError('08P01', 'invalid length of startup packet');
    if (input.size < size) return false;
    const startup = parseStartup(input.take(size).subarray(4));
    if (startup.kind === 'encryption') {
      socket.write('N');
      return true;
    }
    if (startup.kind === 'cancel') {
      server.cancel(startup.processId, startup.secret);
      socket.end();
      return false;
    }
    begin(startup);
    return false;
  }

  function begin(startup) {
    clearTimeout(timer);
    for (const [event, listener] of [['data', onData], ['end', onEnd], ['error', onError]]) {
      socket.removeListener(event, listener);
    }
    const key = { secret: newSecret() };
    const session = server.createSession(socket, startup, key);
    key.processId = session.id;
    socket.write(welcome(startup, server.parameters, key));
    socket.on('data', (chunk) => session.push(chunk));
    socket.on('end', () => session.end());
    socket.on('error', () => session.abort());
    socket.on('close', () => session.abort());
    if (input.size > 0) session.push(input.take(input.size));
  }

  function refuse(error) {
    const sqlstate = error instanceof FatalError ? error.sqlstate : '08P01';
    socket.end(errorResponse({ severity: 'FATAL', sqlstate, text: error.message }));
    clearTimeout(timer);
  }
}
