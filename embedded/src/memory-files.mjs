// Files in memory grow by an eighth each time, with a copy of the whole file: a
// table of a gigabyte is copied some twenty times while it is loaded. Doubling
// (up to a limit, then a half more) costs some memory and a third of the time.

const DOUBLE_UP_TO_BYTES = 64 * 1024 * 1024;
const SMALLEST_BYTES = 256;

/** Replaces the growth of files in the engine's in-memory file system. */
export function growFilesFaster(module) {
  const memory = module.FS.filesystems.MEMFS;
  memory.expandFileStorage = (node, wanted) => {
    const had = node.contents?.length ?? 0;
    if (had >= wanted) return;
    const grown = Math.floor(had * (had < DOUBLE_UP_TO_BYTES ? 2 : 1.5));
    const contents = new Uint8Array(Math.max(wanted, grown, SMALLEST_BYTES));
    if (node.usedBytes > 0) contents.set(node.contents.subarray(0, node.usedBytes));
    node.contents = contents;
  };
}
