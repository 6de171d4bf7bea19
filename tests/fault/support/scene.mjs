// Two throw-away PostgreSQL servers and the three programs between them, each started alone, as on machines of their own.
//
// Nothing here is about hypertables, so plain PostgreSQL is the target: it is fast and has every fault that a server can have.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { findProblems } from '../oracle.mjs';
import { ask, Cluster } from '../cluster.mjs';
import {
  makeDatabase, query, root, start, temporaryFolder, until, writeConfig,
} from '../../integration/support/servers.mjs';

const built = process.env.HYPERSHIFT_BUILD ?? join(root, 'build');
export const programs = {
  clone: join(built, 'hypershift'),
  coordinator: join(built, 'hypershift-coordinator'),
  worker: join(built, 'hypershift-worker'),
};
export const times = ['--lease-duration', '2s', '--leader-lease', '2s', '--keeper-wait', '8s'];

// `name` is copied in ranges: large, yet of few rows. The time its copies take is up to the proxy that a test puts in between.
export const largeTable = (name) => `
CREATE TABLE ${name} (id int NOT NULL, payload text);
ALTER TABLE ${name} ALTER payload SET STORAGE EXTERNAL;
INSERT INTO ${name} SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 10000) i;`;

export const smallTable = (name) => `
CREATE TABLE ${name} (id int PRIMARY KEY, t text);
INSERT INTO ${name} SELECT i, 'row ' || i FROM generate_series(1, 3000) i;
CREATE INDEX ${name}_t ON ${name} (t);`;

export class Scene {
  static async start() {
    const scene = new Scene();
    scene.place = temporaryFolder();
    const { folder } = scene.place;
    [scene.source, scene.target] = await Promise.all([Cluster.start(join(folder, 's')), Cluster.start(join(folder, 't'))]);
    scene.config = writeConfig(folder, 'scene.yml', 'parallel_min_table_size: 1\nverify: true\nparallel: 3\n');
    return scene;
  }

  async stop() {
    await this.source?.stop();
    await this.target?.stop();
    this.place.remove();
  }

  move(schema) {
    return new Move(this, schema);
  }
}

let moves = 0;

// One migration: its two databases, and what was started for it.
export class Move {
  constructor(scene, schema) {
    this.scene = scene;
    this.template = makeDatabase(scene.source.uri);
    query(this.template, `${schema} ANALYZE`);
    // The copy is what is migrated and written to; the template stays as the snapshot saw it.
    this.from = makeDatabase(scene.source.uri, new URL(this.template).pathname.slice(1));
    this.to = makeDatabase(scene.target.uri);
    this.number = ++moves;
    this.running = [];
  }

  address(name = 'a') {
    return `unix:${join(this.scene.place.folder, `move${this.number}${name}.sock`)}`;
  }

  startProgram(program, args) {
    const running = start(args, {}, { program });
    this.running.push(running);
    return running;
  }

  coordinator({ name = 'a', more = [], from = this.from, to = this.to, durations = times } = {}) {
    return this.startProgram(programs.coordinator,
      ['-s', from, '-t', to, '-c', this.scene.config, '--listen', this.address(name), ...durations, ...more]);
  }

  clone({ more = [], from = this.from, to = this.to } = {}) {
    return this.startProgram(programs.clone,
      ['clone', '-s', from, '-t', to, '-c', this.scene.config, '--listen', this.address(), '--hide-progress', ...times, ...more]);
  }

  worker({ name = 'w1', coordinators = [this.address()], from = this.from, to = this.to, slots = 2 } = {}) {
    return this.startProgram(programs.worker,
      [...coordinators.flatMap((address) => ['--coordinator', address]), '-s', from, '-t', to, '--name', name, '--slots', String(slots)]);
  }

  status() {
    return start(['status', '--json', '--coordinator', this.address()], {}, { program: programs.clone }).done.then(({ code, stdout }) =>
      (code === 0 ? JSON.parse(stdout) : null));
  }

  // Waits until the status of coordinator `a` satisfies the condition, and returns it.
  async untilStatus(what, condition, seconds = 60) {
    let last = null;
    await until(what, async () => {
      last = await this.status();
      return last !== null && condition(last);
    }, seconds).catch((error) => {
      error.message += `\n${JSON.stringify(last?.migration)}`;
      throw error;
    });
    return last;
  }

  // Without blocking: proxies must go on meanwhile.
  async count(condition) {
    try {
      return Number((await ask(this.to, `SELECT count(*) FROM _hypershift.task WHERE ${condition}`))[0]);
    } catch {
      return 0; // There is no journal yet.
    }
  }

  // Everything that was started has ended with status 0.
  async endsWell(...which) {
    for (const running of which.length > 0 ? which : this.running) {
      const { code, signal, stdout, stderr } = await running.done;
      assert.equal(code, 0, `${running.child.spawnargs.join(' ')}: ${signal ?? code}\n${stdout}${stderr}`);
    }
  }

  assertWhole() {
    assert.deepEqual(findProblems(this.template, this.to), []);
  }

  end() {
    for (const { child } of this.running) child.kill('SIGKILL');
  }
}
