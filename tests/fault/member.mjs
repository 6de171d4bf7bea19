// A process of the storm: started, killed, stopped and started again under one name, each link through a proxy of its own.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { withParent } from '../integration/support/servers.mjs';

export class Member {
  // args(flags): the command line of a start. onExit(code, signal, what it said since it started).
  constructor({ name, program, args, log, links, onExit }) {
    Object.assign(this, { name, program, args, log, links, onExit, child: null, stopped: false, starts: 0 });
  }

  get alive() {
    return this.child !== null;
  }

  start(flags = []) {
    const fd = openSync(this.log, 'a');
    const begin = statSync(this.log).size;
    const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HYPERSHIFT_|PG)/.test(name)));
    const child = spawn('setpriv', withParent(this.program, this.args(flags)), { stdio: ['ignore', fd, fd], env: environment });
    closeSync(fd);
    this.child = child;
    this.startedAt = Date.now();
    ++this.starts;
    child.on('exit', (code, signal) => {
      if (this.child === child) this.child = null;
      this.stopped = false;
      this.onExit(this, code, signal, readFileSync(this.log).subarray(begin).toString());
    });
  }

  signal(signal) {
    if (!this.alive) return false;
    if (signal === 'SIGSTOP') this.stopped = true;
    if (signal === 'SIGCONT') this.stopped = false;
    return this.child.kill(signal);
  }
}
