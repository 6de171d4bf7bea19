// One migration under a storm: the processes, the proxies between them and the servers, and an operator who does what the
// documentation says and nothing else: starts a killed process again, repeats the command of a coordinator that ended, and when
// he is told that the snapshot is lost, adds --source-unchanged where nobody writes to the source, else --restart-tables.
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../integration/support/servers.mjs';
import { ask } from './cluster.mjs';
import { applyFault } from './faults.mjs';
import { Member } from './member.mjs';
import { FaultProxy } from './proxy.mjs';
import { Writer } from './writer.mjs';

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const build = process.env.HYPERSHIFT_BUILD ?? join(root, 'build');

// Why a coordinator may end by itself, by what it says. Whatever is not here is a failure of the run.
const endings = [
  ['snapshot lost', /source's snapshot is lost|--source-unchanged +you vouch/],
  ['deposed', /another coordinator has taken the lead|leads this migration|leads a migration into this target/],
];
// Before anything runs a coordinator may give up on a database that it can't reach: the same command tries again.
const runs = /tasks can run/;

export class World {
  // source, target: {uri, cluster?}. times: {lease, leaderLease, keeperWait} in seconds.
  constructor(plan, { source, target, config, folder, times }) {
    Object.assign(this, { plan, source, target, config, folder, times });
    Object.assign(this, { members: [], proxies: [], problems: [], counts: {}, endings: {}, flags: [], pending: new Set(), timers: new Set() });
    // Each loss of the snapshot: {snapshot, done: the tables whose ranges had all been copied under it}.
    this.losses = [];
    // Whether the keeper holds the snapshot, and rows were read under it: from then on it can't be lost where no fault hits the
    // keeper. (Before the first row a new snapshot is as good, and a coordinator does not look for a keeper for long.)
    this.kept = false;
    this.began = Date.now();
    this.over = false;
    this.finished = new Promise((resolve) => (this.resolveFinished = resolve));
    mkdirSync(folder, { recursive: true });
  }

  note(text) {
    appendFileSync(join(this.folder, 'events.log'), `${String(Date.now() - this.began).padStart(7)} ms  ${text}\n`);
  }

  problem(text) {
    this.note(`PROBLEM: ${text}`);
    this.problems.push(text);
  }

  // ---- Processes

  async proxy(uri) {
    const proxy = await FaultProxy.start({ port: Number(new URL(uri).port) }, { rate: this.plan.bytesPerSecond });
    this.proxies.push(proxy);
    return proxy;
  }

  through(uri, proxy) {
    const url = new URL(uri);
    url.port = proxy.port;
    return url.href;
  }

  async member(name, program, args, links) {
    const member = new Member({
      name, program: join(build, program), args: (flags) => args(links, flags), log: join(this.folder, `${name}.log`), links,
      onExit: (...ended) => this.ended(...ended),
    });
    writeFileSync(member.log, '');
    this.members.push(member);
    return member;
  }

  async prepare(ports) {
    this.coordinators = [];
    this.ports = ports;
    for (const [i, port] of ports.entries()) {
      const links = { source: await this.proxy(this.source.uri), target: await this.proxy(this.target.uri) };
      this.coordinators.push(await this.member(`coordinator-${'ab'[i]}`, 'hypershift-coordinator', ({ source, target }, flags) => [
        '-s', this.through(this.source.uri, source), '-t', this.through(this.target.uri, target), '-c', this.config,
        '--listen', `127.0.0.1:${port}`, '--lease-duration', `${this.times.lease}s`, '--leader-lease', `${this.times.leaderLease}s`,
        '--keeper-grace', '120s', '--keeper-wait', `${this.times.keeperWait}s`, '--retry-limit', '1000', ...(this.plan.verify ? ['--verify'] : []),
        ...(flags ?? []),
      ], links));
    }
    this.workers = [];
    for (const [i, slots] of this.plan.slots.entries()) this.workers.push(await this.worker(`worker-${i}`, slots, ports));
    // Its session with the source is spared: the one that keeps the snapshot.
    this.keeper = this.plan.keeper ? await this.worker('keeper', 0, ports) : null;
  }

  async worker(name, slots, ports) {
    const rpc = [];
    for (const port of ports) rpc.push(await this.proxy(`tcp://127.0.0.1:${port}`));
    for (const proxy of rpc) proxy.rate = 0;
    const links = { source: await this.proxy(this.source.uri), target: await this.proxy(this.target.uri), rpc };
    return this.member(name, 'hypershift-worker', ({ source, target }) => [
      '-s', this.through(this.source.uri, source), '-t', this.through(this.target.uri, target), '--name', name, '--slots', String(slots),
      '--keeper-grace', '120s', '--verbose', ...rpc.flatMap((proxy) => ['--coordinator', `127.0.0.1:${proxy.port}`]),
    ], links);
  }

  // Whom a fault hits: the coordinator that leads, as far as the journal tells, and the worker that was chosen or the next that
  // is there.
  async leader() {
    let port = 0;
    try {
      port = Number((await ask(this.target.uri, 'SELECT address FROM _hypershift.leader'))[0]?.match(/\d+$/)?.[0]);
    } catch {
      // There is no journal yet, or no target just now.
    }
    const leads = this.coordinators[this.ports.indexOf(port)];
    const there = this.coordinators.filter((member) => member.alive && !member.stopped);
    return there.includes(leads) ? leads : there[0];
  }

  workerFrom(number) {
    const ordered = this.workers.map((_, i) => this.workers[(number + i) % this.workers.length]);
    return ordered.find((member) => member.alive && !member.stopped) ?? null;
  }

  after(milliseconds, action) {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.track(action());
    }, milliseconds);
    this.timers.add(timer);
  }

  // What must have ended before the oracle looks.
  track(promise) {
    if (!(promise instanceof Promise)) return;
    const tracked = promise.catch((error) => this.problem(`the storm itself: ${error.message}`)).finally(() => this.pending.delete(tracked));
    this.pending.add(tracked);
  }

  // pause: after how many milliseconds it is started again; null: not at all.
  kill(member, pause) {
    if (!member?.alive) return false;
    member.expected = true;
    member.due = pause !== null;
    member.pause = pause;
    member.signal('SIGKILL');
    this.note(`kill -9 ${member.name}, ${pause === null ? 'for good' : `back in ${pause} ms`}`);
    return true;
  }

  startLater(member, pause) {
    member.due = true;
    this.after(pause, async () => {
      if (this.over || member.alive || !member.due) return;
      member.due = false;
      if (this.coordinators.includes(member)) await this.startCoordinator(member);
      else member.start();
    });
  }

  // One that was killed when it had just ended the migration must not begin another. What the operator adds after a loss is
  // for one start.
  async startCoordinator(member) {
    while (!this.over && !member.alive) {
      const phase = await this.phase();
      if (phase === 'done') return this.finish();
      if (phase !== undefined) {
        const others = this.coordinators.some((other) => other !== member && (other.alive || other.due));
        const standby = this.plan.standby && others && this.flags.length === 0 && (phase !== '' || member !== this.coordinators[0]);
        const flags = standby ? ['--standby'] : this.flags;
        if (!standby) this.flags = [];
        this.note(`start ${member.name} ${flags.join(' ')}`);
        member.start(flags);
        return;
      }
      await sleep(200);
    }
  }

  // '' while there is no journal, undefined while the target does not answer.
  async phase() {
    try {
      const [there] = await ask(this.target.uri, "SELECT to_regclass('_hypershift.migration') IS NOT NULL");
      if (there !== 't') return '';
      return (await ask(this.target.uri, 'SELECT phase FROM _hypershift.migration'))[0] ?? '';
    } catch {
      return undefined;
    }
  }

  // ---- The operator

  ended(member, code, signal, said) {
    const expected = member.expected;
    member.expected = false;
    if (this.over) return;
    if (expected && signal === 'SIGKILL') {
      if (member.pause !== null) this.startLater(member, member.pause);
      return;
    }
    this.note(`${member.name} ended with ${signal ?? code}`);
    if (this.coordinators.includes(member)) this.coordinatorEnded(member, code, signal, said);
    else this.workerEnded(member, code, signal, said);
  }

  coordinatorEnded(member, code, signal, said) {
    this.told = Date.now();
    if (code === 0) return this.finish();
    const others = this.coordinators.some((other) => other !== member && (other.alive || other.due));
    const last = said.trim().split('\n').slice(-4).join(' | ');
    let why = endings.find(([, words]) => words.test(last))?.[0];
    if (signal !== null) this.problem(`${member.name} died of ${signal}: ${last}`);
    if (why === undefined && !runs.test(said)) why = 'gave up before it ran';
    if (why === undefined) this.problem(`${member.name} ended with ${code} for no good reason: ${last}`);
    why ??= 'for no good reason';
    this.endings[why] = (this.endings[why] ?? 0) + 1;
    this.note(`  ${why}: ${last}`);
    if (why === 'snapshot lost') {
      if (this.kept && !this.plan.mayLose) this.problem('the snapshot was lost although its keeper lived');
      if (code !== 2) this.problem(`a lost snapshot ended with ${code} instead of 2`);
      if (/source's statistics count/.test(last)) this.problem(`--source-unchanged was refused: ${last}`);
      this.track(this.goOnAfterLoss(member));
      return;
    }
    if (this.plan.standby || !others) this.startLater(member, 300);
  }

  async goOnAfterLoss(member) {
    member.due = true;
    while (!this.over) {
      try {
        const [snapshot] = await ask(this.target.uri, 'SELECT snapshot FROM _hypershift.migration');
        const done = await ask(this.target.uri, `SELECT format('%I.%I', t.schema_name, t.table_name) FROM _hypershift.source_table t
          JOIN _hypershift.task k ON k.migration_id = t.migration_id AND k.table_id = t.id AND k.kind = 'copy'
          GROUP BY 1 HAVING bool_and(k.state = 'done')`);
        this.losses.push({ snapshot, done });
        break;
      } catch {
        await sleep(200);
      }
    }
    // Whoever else was started for this migration knows nothing of what the operator decides now.
    for (const other of this.coordinators) if (other !== member) this.kill(other, this.plan.standby ? 3000 : null);
    this.flags = [this.plan.writes ? '--restart-tables' : '--source-unchanged'];
    if (!this.over) await this.startCoordinator(member);
    member.due = false;
  }

  workerEnded(member, code, signal, said) {
    const last = said.trim().split('\n').slice(-2).join(' | ');
    if (code !== 0) {
      this.problem(`${member.name} ended with ${signal ?? code}: ${last}`);
      this.startLater(member, 300);
      return;
    }
    // A coordinator that ends has told its workers so; whoever repeats its command starts them again too.
    member.due = true;
    const wentAt = Date.now();
    this.after(10_000, () => {
      if (!(this.told > wentAt - 15_000)) this.problem(`${member.name} went home, and no coordinator ended: ${last}`);
      this.endings['worker sent home'] = (this.endings['worker sent home'] ?? 0) + 1;
      this.startLater(member, 0);
    });
  }

  finish() {
    if (this.over) return;
    this.note('the migration is done');
    this.resolveFinished(true);
  }

  // ---- The course of things

  async run(deadlineSeconds) {
    if (this.plan.writes) this.writer = new Writer(this.source.uri, { onError: (said) => this.over || this.problem(`the writer: ${said}`) });
    this.track(this.startCoordinator(this.coordinators[0]));
    if (this.plan.standby) this.startLater(this.coordinators[1], 1000);
    for (const member of [...this.workers, ...(this.keeper ? [this.keeper] : [])]) member.start();
    if (this.keeper) this.track(this.waitForKeeper());
    this.track(this.injectFaults());
    let deadline;
    const late = new Promise((resolve) => (deadline = setTimeout(() => resolve(false), deadlineSeconds * 1000)));
    const done = await Promise.race([this.finished, late]);
    clearTimeout(deadline);
    if (!done) this.problem(`not done after ${deadlineSeconds} s`);
    await this.end();
    return done;
  }

  async injectFaults() {
    while (!this.plan.fromStart && !this.over && (await this.phase()) !== 'run') await sleep(200);
    for (const fault of this.plan.faults) {
      this.after(fault.at, async () => {
        if (this.over) return;
        const name = (await applyFault(this, fault)) ? fault.kind : 'missed';
        this.counts[name] = (this.counts[name] ?? 0) + 1;
      });
    }
  }

  // Until the keeper's session holds the snapshot that the journal has.
  async waitForKeeper() {
    while (!this.over && !this.kept) {
      try {
        const ports = [...this.keeper.links.source.links].map((link) => link.server.localPort);
        const held = await ask(this.source.uri, `SELECT 1 FROM pg_stat_activity WHERE client_port = ANY('{${ports.join()}}') AND
          state = 'idle in transaction' AND backend_xmin IS NOT NULL AND datname = current_database()`);
        if (held.length > 0) {
          const [snapshot] = await ask(this.target.uri, `SELECT snapshot FROM _hypershift.migration
            WHERE EXISTS (SELECT 1 FROM _hypershift.task WHERE kind = 'copy' AND state = 'done')`);
          this.keptSnapshot = snapshot;
          this.kept = snapshot !== undefined;
          if (this.kept) this.note(`the keeper holds ${snapshot}`);
        }
      } catch {
        // A server restarts just now.
      }
      await sleep(300);
    }
  }

  // Wakes up whoever was stopped, so that it does what harm it can, before everything is ended.
  async end() {
    this.over = true;
    for (const timer of this.timers) clearTimeout(timer);
    await this.writer?.stop();
    for (const member of this.members) if (member.stopped) member.signal('SIGCONT');
    for (const proxy of this.proxies) for (const link of proxy.links) link.heal();
    await sleep(700);
    for (const member of this.members) member.signal('SIGKILL');
    while (this.members.some((member) => member.alive)) await sleep(20);
    for (const proxy of this.proxies) await proxy.stop();
    await Promise.all([...this.pending]);
    // Sessions of the killed may still be at it.
    for (const { uri } of [this.source, this.target]) await this.waitForNoSessions(uri);
  }

  async waitForNoSessions(uri) {
    for (let i = 0; i < 100; ++i) {
      const [count] = await ask(uri, `SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'hypershift%' AND datname = current_database()`);
      if (count === '0') return;
      await sleep(100);
    }
    this.problem('sessions of killed processes are still there after 10 s');
  }
}
