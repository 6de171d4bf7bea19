// One migration under a storm: the processes, the proxies between them and the servers, the faults, and an operator who does
// what the documentation says and nothing else: starts a killed process again, repeats the command of a coordinator that ended,
// and adds --source-unchanged when he is told that the snapshot is lost.
import { spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../integration/support/servers.mjs';
import { ask } from './cluster.mjs';
import { vacuumSql, writeSql } from './database.mjs';
import { Member } from './member.mjs';
import { FaultProxy } from './proxy.mjs';

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
      name, program: join(build, program), args: () => args(links), log: join(this.folder, `${name}.log`), links,
      onExit: (...ended) => this.ended(...ended),
    });
    writeFileSync(member.log, '');
    this.members.push(member);
    return member;
  }

  async prepare(ports) {
    this.coordinators = [];
    for (const [i, port] of ports.entries()) {
      const links = { source: await this.proxy(this.source.uri), target: await this.proxy(this.target.uri) };
      this.coordinators.push(await this.member(`coordinator-${'ab'[i]}`, 'hypershift-coordinator', ({ source, target }) => [
        '-s', this.through(this.source.uri, source), '-t', this.through(this.target.uri, target), '-c', this.config,
        '--listen', `127.0.0.1:${port}`, '--lease-duration', `${this.times.lease}s`, '--leader-lease', `${this.times.leaderLease}s`,
        '--keeper-grace', '120s', '--retry-limit', '1000', ...(this.plan.verify ? ['--verify'] : []),
        ...(this.times.keeperWait ? ['--keeper-wait', `${this.times.keeperWait}s`] : []), ...this.flags,
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

  // Whom a fault hits: the one that was chosen, or the next that is there.
  get leader() {
    return this.coordinators.find((member) => member.alive && !member.stopped) ?? this.coordinators.find((member) => member.alive);
  }

  worker_(number) {
    for (let i = 0; i < this.workers.length; ++i) {
      const member = this.workers[(number + i) % this.workers.length];
      if (member.alive && !member.stopped) return member;
    }
    return null;
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

  kill(member, pause) {
    if (!member?.alive) return false;
    member.expected = true;
    member.signal('SIGKILL');
    this.note(`kill -9 ${member.name}, back in ${pause} ms`);
    this.startLater(member, pause);
    return true;
  }

  startLater(member, pause) {
    member.due = true;
    this.after(pause, async () => {
      member.due = false;
      if (this.over || member.alive) return;
      if (this.coordinators.includes(member)) await this.startCoordinator(member);
      else member.start();
    });
  }

  // One that was killed when it had just ended the migration must not begin another.
  async startCoordinator(member) {
    while (!this.over && !member.alive) {
      const phase = await this.phase();
      if (phase === 'done') return this.finish();
      if (phase !== undefined) {
        this.note(`start ${member.name} ${this.flags.join(' ')}`);
        member.start();
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
    if (this.over || (expected && signal === 'SIGKILL')) return;
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
      if (!this.plan.mayLose) this.problem('the snapshot was lost although its keeper lived');
      if (code !== 2) this.problem(`a lost snapshot ended with ${code} instead of 2`);
      if (/source's statistics count/.test(last)) this.problem(`--source-unchanged was refused: ${last}`);
      this.flags = ['--source-unchanged'];
    }
    if (why === 'deposed' && !others) this.note('  deposed, and nobody else is there');
    if (!others) this.startLater(member, 300);
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

  // ---- Faults

  // Whether it hit anything.
  apply(fault) {
    switch (fault.kind) {
      case 'kill worker':
        return this.kill(this.worker_(fault.worker), fault.pause);
      case 'kill all workers':
        return this.workers.map((member) => this.kill(member, fault.pause)).some(Boolean);
      case 'kill coordinator':
        return this.kill(this.leader, fault.pause);
      case 'kill everything':
        return this.members.map((member) => this.kill(member, fault.pause)).some(Boolean);
      case 'stop worker':
        return this.stop(this.worker_(fault.worker), fault.milliseconds);
      case 'stop coordinator':
        return this.stop(this.leader, fault.milliseconds);
      case 'depose coordinator':
        return this.depose(fault.milliseconds);
      case 'restart target':
        return this.restart(this.target, fault.mode);
      case 'restart source':
        return this.restart(this.source, fault.mode);
      case 'cut source sessions':
        return this.members.map((member) => member.links.source.cut({ how: fault.how })).some((count) => count > 0);
      default:
        return this.breakLink(fault);
    }
  }

  stop(member, milliseconds) {
    if (!member?.signal('SIGSTOP')) return false;
    this.note(`SIGSTOP ${member.name} for ${milliseconds} ms`);
    this.after(milliseconds, () => {
      if (member.stopped) this.note(`SIGCONT ${member.name}`);
      member.signal('SIGCONT');
    });
    return true;
  }

  // The other coordinator is started while the leader is stopped: when that wakes up it must find that it leads no longer.
  depose(milliseconds) {
    const old = this.leader;
    const next = this.coordinators.find((member) => member !== old);
    if (next === undefined || !this.stop(old, milliseconds)) return false;
    if (!next.alive && !next.due) this.startLater(next, 100);
    return true;
  }

  restart(server, mode) {
    if (server.restarting) return false;
    this.note(`restart ${server.name}, ${mode}`);
    server.restarting = true;
    this.track(server.cluster.restart(mode).finally(() => {
      server.restarting = false;
      this.note(`${server.name} is back`);
    }));
    return true;
  }

  breakLink({ kind, link, who, ...how }) {
    const member = who === -1 ? this.leader : this.workers[who];
    if (member === undefined) return false;
    this.note(`${kind} ${member.name} to ${link} ${JSON.stringify(how)}`);
    for (const proxy of [member.links[link]].flat()) {
      if (kind === 'cut') this.cut(proxy, how);
      else proxy[{ silence: 'silence', slow: 'slow', refuse: 'refuse' }[kind]](kind === 'refuse' ? how.milliseconds : how);
    }
    return true;
  }

  cut(proxy, { next, after, how, direction }) {
    // One connection of several, by its number: which tables they carry is chance.
    const links = [...proxy.links];
    const chosen = links[after % Math.max(links.length, 1)];
    proxy.cut({ after, how, direction, next, which: (link) => link === chosen });
  }

  // ---- The course of things

  async run(deadlineSeconds) {
    this.track(this.startCoordinator(this.coordinators[0]));
    for (const member of [...this.workers, ...(this.keeper ? [this.keeper] : [])]) member.start();
    if (this.plan.writes) await Promise.race([this.startWriting(), this.finished]);
    for (const fault of this.plan.faults) {
      this.after(fault.at, () => {
        if (this.over) return;
        const hit = this.apply(fault);
        const name = hit ? fault.kind : 'missed';
        this.counts[name] = (this.counts[name] ?? 0) + 1;
      });
    }
    const left = Math.max(1000, this.began + deadlineSeconds * 1000 - Date.now());
    const done = await Promise.race([this.finished, sleep(left).then(() => false)]);
    if (!done) this.problem(`not done after ${deadlineSeconds} s`);
    await this.end();
    return done;
  }

  // When the keeper holds the snapshot. From then on it must be this one.
  async startWriting() {
    const database = new URL(this.source.uri).pathname.slice(1);
    while (!this.over) {
      const held = await ask(this.source.uri, `SELECT 1 FROM pg_stat_activity WHERE application_name = 'hypershift keeper'
        AND client_port IS NOT NULL AND state = 'idle in transaction' AND datname = '${database}' LIMIT 1`);
      if (held.length > 0 && this.keeper.links.source.links.size > 0) break;
      await sleep(50);
    }
    this.snapshot = (await ask(this.target.uri, 'SELECT snapshot FROM _hypershift.migration'))[0];
    this.note(`writing to the source, whose snapshot is ${this.snapshot}`);
    this.writers = [[writeSql, 0.15], [vacuumSql, 0.7]].map(([sql, seconds]) => {
      const child = spawn('psql', ['-X', '-q', '-d', this.source.uri], { stdio: ['pipe', 'ignore', 'pipe'] });
      child.stderr.on('data', (text) => this.over || this.problem(`the writer: ${text}`));
      child.stdin.on('error', () => {});
      child.stdin.end(`${sql} \\watch ${seconds}\n`);
      return child;
    });
  }

  // Wakes up whoever was stopped, so that it does what harm it can, before everything is ended.
  async end() {
    this.over = true;
    for (const timer of this.timers) clearTimeout(timer);
    for (const writer of this.writers ?? []) writer.kill('SIGKILL');
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
