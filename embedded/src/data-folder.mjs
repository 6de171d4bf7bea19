// The folder that keeps the database, and the lock that keeps a second server
// out of it.

import fs from 'node:fs';
import path from 'node:path';

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
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      fs.writeFileSync(file, `${process.pid}\n`, { flag: 'wx' });
      process.on('exit', () => fs.rmSync(file, { force: true }));
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const holder = Number.parseInt(fs.readFileSync(file, 'utf8'), 10);
    if (isAlive(holder)) throw new Error(`the data folder is in use by process ${holder} (${file})`);
    fs.rmSync(file, { force: true });
  }
  throw new Error(`cannot lock the data folder (${file})`);
}

function isAlive(pid) {
  if (!(pid > 0) || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
