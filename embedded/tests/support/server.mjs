// Starts the real server as a process of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../bin/embedded-timescaledb', import.meta.url));
const READY = /^ready host=(\S+) port=(\d+)\n$/;

export class Server {
  stderr = '';
  stdout = '';

  /** Resolves when the server has said that it is ready. */
  static async start(...args) {
    const server = new Server();
    server.process = spawn(process.execPath, [PROGRAM, '--port', '0', ...args]);
    server.process.stderr.on('data', (text) => (server.stderr += text));
    server.process.on('exit', (code) => {
      // A crash is the cause of all that fails afterwards: show it.
      if (!server.stopping && server.port) process.stderr.write(`server ended (${code}): ${server.stderr}\n`);
    });
    await new Promise((resolve, reject) => {
      server.process.on('exit', (code) => reject(new Error(`server ended (${code}): ${server.stderr}`)));
      server.process.stdout.on('data', (text) => {
        server.stdout += text;
        const match = READY.exec(server.stdout);
        if (match === null) return;
        [, server.host] = match;
        server.port = Number(match[2]);
        resolve();
      });
    });
    return server;
  }

  /** Sends the signal; resolves to the exit code, or the signal that ended it. */
  async stop(signal = 'SIGTERM') {
    this.stopping = true;
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const exited = once(this.process, 'exit');
      this.process.kill(signal);
      await exited;
    }
    return this.process.exitCode ?? this.process.signalCode;
  }

  /** A libpq connection string. */
  uri(parameters = '') {
    return `postgresql://postgres@${this.host}:${this.port}/postgres?${parameters}`;
  }

  /** Processor-resident memory of the server in bytes. */
  async residentBytes() {
    const { readFile } = await import('node:fs/promises');
    const status = await readFile(`/proc/${this.process.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) * 1024;
  }
}
