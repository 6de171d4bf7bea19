// A TCP proxy that breaks what passes through it: cut (reset or closed in order) after so many bytes, silent in one or both
// directions, slow, or late. One per link, so that a test decides which process loses what.
//
// It stands above TCP, so a silent link still acknowledges packets: the peers' kernels see a living machine whose program says
// nothing. Bytes are held back, never lost, as TCP itself would repeat them; when the silence ends they arrive, or the
// connection is reset, which is what a firewall does that has forgotten it.
import { createConnection, createServer } from 'node:net';

const directions = { up: ['up'], down: ['down'], both: ['up', 'down'] };

// What comes from one peer and goes to the other.
class Pipe {
  constructor(link, from, to) {
    Object.assign(this, { link, from, to, bytes: 0, queue: [], held: false, ended: false, cut: null, busyUntil: 0, timer: null, over: false });
    from.on('data', (chunk) => {
      this.queue.push({ chunk, due: Date.now() + link.proxy.delay });
      this.pump();
    });
    from.on('end', () => {
      this.ended = true;
      this.pump();
    });
    to.on('drain', () => this.pump());
  }

  // Moves what may be moved now, and comes back when more may be.
  pump() {
    clearTimeout(this.timer);
    while (!this.over && !this.held && this.queue.length > 0) {
      if (this.to.writableNeedDrain) break;
      const wait = Math.max(this.queue[0].due, this.busyUntil) - Date.now();
      if (wait > 0) {
        this.timer = setTimeout(() => this.pump(), wait);
        break;
      }
      this.send(this.queue.shift());
    }
    if (this.over) return;
    if (this.ended && this.queue.length === 0 && !this.held) {
      this.over = true;
      this.to.end();
      this.link.settle();
      return;
    }
    // A reader that waits: the sender's window closes, as on a slow network.
    if (this.queue.length > this.link.proxy.chunks || this.held) this.from.pause();
    else this.from.resume();
  }

  send({ chunk, due }) {
    const { rate } = this.link.proxy;
    // Small pieces, so that a slow link is slow evenly and a cut comes where it was asked for.
    let piece = rate > 0 ? chunk.subarray(0, Math.max(1024, Math.ceil(rate / 50))) : chunk;
    if (this.cut !== null) piece = piece.subarray(0, this.cut.after);
    if (piece.length < chunk.length) this.queue.unshift({ chunk: chunk.subarray(piece.length), due });
    if (piece.length > 0) this.to.write(piece);
    this.bytes += piece.length;
    if (rate > 0) this.busyUntil = Math.max(this.busyUntil, Date.now()) + (piece.length * 1000) / rate;
    if (this.cut === null) return;
    this.cut.after -= piece.length;
    if (this.cut.after <= 0) this.link.sever(this.cut.how);
  }

  hold(held) {
    this.held = held;
    this.pump();
  }
}

class Link {
  constructor(proxy, client) {
    this.proxy = proxy;
    this.client = client;
    this.server = createConnection({ host: proxy.upstream.host, port: proxy.upstream.port, allowHalfOpen: true, noDelay: true });
    client.setNoDelay(true);
    this.pipes = { up: new Pipe(this, client, this.server), down: new Pipe(this, this.server, client) };
    for (const socket of [client, this.server]) {
      socket.on('error', () => this.lost());
      socket.on('close', () => this.settle());
    }
  }

  get silent() {
    return this.pipes.up.held || this.pipes.down.held;
  }

  // One peer has reset the connection. Through a silent link the other one doesn't learn of it before the silence is over.
  lost() {
    this.gone = true;
    if (!this.silent) this.sever('rst');
  }

  // After an orderly end in both directions there is nothing left to do.
  settle() {
    const closed = this.client.closed && this.server.closed;
    if (closed && this.pipes.up.over && this.pipes.down.over) this.proxy.links.delete(this);
  }

  // `rst`: both peers see a reset. `fin`: both see an orderly end, in the middle of whatever they were saying.
  sever(how) {
    if (!this.proxy.links.delete(this)) return;
    for (const pipe of Object.values(this.pipes)) {
      clearTimeout(pipe.timer);
      pipe.over = true;
    }
    for (const socket of [this.client, this.server]) {
      socket.on('error', () => {});
      // One that is just being ended can't be reset: it would stay open for ever, and its process would never end.
      if (how === 'rst' && !socket.connecting && !socket.writableEnded) socket.resetAndDestroy();
      else if (how === 'rst') socket.destroy();
      else socket.destroySoon();
    }
  }

  silence(which) {
    for (const name of directions[which]) this.pipes[name].hold(true);
  }

  heal() {
    for (const pipe of Object.values(this.pipes)) pipe.hold(false);
    if (this.gone) this.lost();
  }
}

export class FaultProxy {
  // upstream: {host, port}. address: where it listens. rate: bytes per second of each connection and direction, 0 for no limit. delay:
  // milliseconds each way; what is under way meanwhile is `chunks` of up to 64 KiB.
  static async start(upstream, { rate = 0, delay = 0, address = '127.0.0.1', chunks = 4 } = {}) {
    const proxy = new FaultProxy();
    Object.assign(proxy, { upstream: { host: '127.0.0.1', ...upstream }, rate, delay, chunks, links: new Set(), refusing: false });
    Object.assign(proxy, { silentNow: null, timers: new Set() });
    proxy.server = createServer({ allowHalfOpen: true }, (client) => proxy.accept(client));
    await new Promise((resolve, reject) => {
      proxy.server.once('error', reject);
      proxy.server.listen(0, address, resolve);
    });
    proxy.port = proxy.server.address().port;
    return proxy;
  }

  accept(client) {
    if (this.refusing) {
      client.on('error', () => {});
      client.resetAndDestroy();
      return;
    }
    const link = new Link(this, client);
    this.links.add(link);
    if (this.silentNow !== null) link.silence(this.silentNow);
    if (this.armed?.length > 0) Object.assign(link.pipes[this.armed[0].direction], { cut: this.armed.shift() });
  }

  // Cuts connections after so many more bytes in one direction. `which` picks among the open ones; with none open, or
  // `next`, it is the next one to come.
  cut({ after = 0, how = 'rst', direction = 'down', which = () => true, next = false } = {}) {
    const links = next ? [] : [...this.links].filter(which);
    for (const link of links) {
      if (after === 0) link.sever(how);
      else link.pipes[direction].cut = { after, how };
    }
    if (links.length === 0) (this.armed ??= []).push({ after: Math.max(after, 1), how, direction });
    return links.length;
  }

  // Nothing passes for so long, on open connections and on new ones; then all goes on, or the connections are reset.
  silence({ direction = 'both', milliseconds, then = 'heal' }) {
    this.silentNow = direction;
    for (const link of this.links) link.silence(direction);
    this.after(milliseconds, () => {
      this.silentNow = null;
      for (const link of [...this.links]) {
        if (then === 'rst' && link.silent) link.sever('rst');
        else link.heal();
      }
    });
  }

  refuse(milliseconds) {
    this.refusing = true;
    this.after(milliseconds, () => (this.refusing = false));
  }

  // Sets rate or delay for a while.
  slow({ milliseconds, ...how }) {
    const before = Object.fromEntries(Object.keys(how).map((name) => [name, this[name]]));
    Object.assign(this, how);
    this.after(milliseconds, () => Object.assign(this, before));
  }

  after(milliseconds, action) {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      action();
    }, milliseconds);
    this.timers.add(timer);
  }

  async stop() {
    for (const timer of this.timers) clearTimeout(timer);
    for (const link of [...this.links]) link.sever('rst');
    await new Promise((resolve) => this.server.close(resolve));
  }
}
