// The command line.

import { parseArgs } from 'node:util';

export const USAGE = `usage: embedded-timescaledb --port N [--host ADDRESS] [--data FOLDER]
                            [--queue-timeout SECONDS] [--verbose]

  --port N                 TCP port; 0 takes a free one
  --host ADDRESS           loopback address to listen on (127.0.0.1)
  --data FOLDER            keep the database in this folder; without it, everything
                           is in memory and gone at the end
  --queue-timeout SECONDS  how long a statement waits for the engine (120)
  --verbose                log connections and checkpoints to standard error

Prints "ready host=… port=…" when clients can connect.
`;

export class UsageError extends Error {}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;

export function parseCommandLine(argv) {
  const { values } = parse(argv);
  if (values.help) return { help: true };
  if (values.port === undefined) throw new UsageError('--port is missing');
  const port = number('--port', values.port, 0, 65535);
  if (!Number.isInteger(port)) throw new UsageError('--port must be a whole number');
  if (!LOOPBACK.test(values.host)) {
    throw new UsageError(`--host must be a loopback address, not ${values.host}: there is no authentication`);
  }
  return {
    port,
    host: values.host,
    data: values.data ?? null,
    queueTimeoutSeconds: number('--queue-timeout', values['queue-timeout'], 0.001, 86400),
    verbose: values.verbose,
  };
}

function parse(args) {
  try {
    return parseArgs({
      args,
      options: {
        port: { type: 'string' },
        host: { type: 'string', default: '127.0.0.1' },
        data: { type: 'string' },
        'queue-timeout': { type: 'string', default: '120' },
        verbose: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error.message);
  }
}

function number(name, text, low, high) {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!(value >= low && value <= high)) throw new UsageError(`${name} must be between ${low} and ${high}, not "${text}"`);
  return value;
}
