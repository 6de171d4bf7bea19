// A bounded byte pipe between two threads, in shared memory.
//
// One thread only writes, the other only reads. Either side may block (the
// engine's thread does) or poll and be woken by a message (the main thread
// does, because it must keep serving sockets). The counters run freely and wrap
// at 2^32; the capacity is a power of two, so a counter's low bits are the
// offset.

const CONTROL_BYTES = 64;
const WRITTEN = 0; // bytes ever written, modulo 2^32
const READ = 1; // bytes ever read, modulo 2^32
const SPACE_WANTED = 2; // the writer polls and asks to hear of free space

export class Ring {
  /** @param {SharedArrayBuffer} shared made by {@link Ring.allocate} */
  constructor(shared) {
    this.control = new Int32Array(shared, 0, CONTROL_BYTES / 4);
    this.bytes = new Uint8Array(shared, CONTROL_BYTES);
    this.capacity = this.bytes.length;
  }

  static allocate(capacity) {
    if (capacity & (capacity - 1)) throw new RangeError('capacity must be a power of two');
    return new SharedArrayBuffer(CONTROL_BYTES + capacity);
  }

  get used() {
    return (Atomics.load(this.control, WRITTEN) - Atomics.load(this.control, READ)) >>> 0;
  }

  get free() {
    return this.capacity - this.used;
  }

  /** Writes what fits of `source`; returns how many bytes that was. */
  write(source) {
    const count = Math.min(source.length, this.free);
    if (count === 0) return 0;
    const written = Atomics.load(this.control, WRITTEN);
    const at = written & (this.capacity - 1);
    const first = Math.min(count, this.capacity - at);
    this.bytes.set(source.subarray(0, first), at);
    if (first < count) this.bytes.set(source.subarray(first, count), 0);
    Atomics.store(this.control, WRITTEN, (written + count) | 0);
    Atomics.notify(this.control, WRITTEN);
    return count;
  }

  /** Fills `target` as far as bytes are there; returns how many were. */
  read(target) {
    const count = this.peek(target);
    if (count > 0) this.skip(count);
    return count;
  }

  /** As read(), but the bytes stay in the ring. */
  peek(target) {
    const count = Math.min(target.length, this.used);
    const at = Atomics.load(this.control, READ) & (this.capacity - 1);
    const first = Math.min(count, this.capacity - at);
    target.set(this.bytes.subarray(at, at + first), 0);
    if (first < count) target.set(this.bytes.subarray(0, count - first), first);
    return count;
  }

  skip(count) {
    Atomics.store(this.control, READ, (Atomics.load(this.control, READ) + count) | 0);
    Atomics.notify(this.control, READ);
  }

  /** Blocks the reading thread until at least `count` bytes are there. */
  waitForBytes(count) {
    for (;;) {
      const written = Atomics.load(this.control, WRITTEN);
      if (this.used >= count) return;
      Atomics.wait(this.control, WRITTEN, written);
    }
  }

  /** Blocks the writing thread until something can be written. */
  waitForSpace() {
    for (;;) {
      const read = Atomics.load(this.control, READ);
      if (this.free > 0) return;
      Atomics.wait(this.control, READ, read);
    }
  }

  /** The writer polls: it wants to be told when half of the ring is free. */
  wantSpace() {
    Atomics.store(this.control, SPACE_WANTED, 1);
  }

  /** For the reader: true once after wantSpace() when there is room again. */
  takeSpaceWanted() {
    if (Atomics.load(this.control, SPACE_WANTED) === 0) return false;
    if (this.free < this.capacity / 2) return false;
    return Atomics.exchange(this.control, SPACE_WANTED, 0) === 1;
  }
}
