// The folder that keeps the database, and the lock that keeps a second server
// out of it.

import fs from 'node:fs';
import path from 'node:path';

const PATIENCE_MS = 5000; // with a server that is just being ended
const RETRY_MS = 50;

/**
 * Makes the folder if need be and locks it for this process. Returns the path
 * of the database in it. A lock whose process is gone is taken over.
 */
export function openDataFolder(folder) {
  fs.mkdirSync(folder, { recursive: true });
  lock(path.join(folder, 'server.pid'));
  return path.join(path.resolve(folder), 'pgdata');
}

function lock(file) {
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    if (createLock(file)) return;
    const holder = fs.readFileSync(file, 'utf8').trim();
    if (!isAlive(holder)) {
      fs.rmSync(file, { force: true });
    } else if (Date.now() > deadline) {
      throw new Error(`the data folder is in use by process ${holder.split(' ')[0]} (${file})`);
    } else {
      sleep(RETRY_MS);
    }
  }
}

function createLock(file) {
  try {
    fs.writeFileSync(file, `${process.pid} ${processBirth(process.pid)}\n`, { flag: 'wx' });
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
  process.on('exit', () => fs.rmSync(file, { force: true }));
  return true;
}

/** Is it the same process that wrote the lock? A number may be used again. */
function isAlive(holder) {
  const [pid, birth] = holder.split(' ');
  return birth !== undefined && birth === processBirth(pid);
}

/** When the kernel started the process; null if it is not running. */
function processBirth(pid) {
  let stat;
  try {
    stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null;
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  return state === 'Z' || state === 'X' ? null : fields[19];
}

function sleep(milliseconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
