// storm.mjs --seeds 1,2,3 [--target postgres|embedded|URI] [--logs FOLDER] [--megabytes N] [--deadline SECONDS] [--keep-logs]
// Runs seeds one after the other against servers of its own and prints one JSON object a line for each. scripts/storm starts it.
import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fingerprints } from '../integration/support/oracle.mjs';
import { emptyTarget, query, startServer, temporaryFolder } from '../integration/support/servers.mjs';
import { Cluster } from './cluster.mjs';
import { hypertableConfig, makeStormDatabase } from './database.mjs';
import { findProblems } from './oracle.mjs';
import { makePlan } from './plan.mjs';
import { statesOf, stateProblems } from './states.mjs';
import { World } from './world.mjs';

const { values: options } = parseArgs({
  options: {
    seeds: { type: 'string' }, target: { type: 'string', default: 'postgres' }, logs: { type: 'string' },
    megabytes: { type: 'string', default: '110' }, deadline: { type: 'string', default: '300' }, 'keep-logs': { type: 'boolean', default: false },
  },
});

const times = { lease: 2, leaderLease: 2, keeperWait: 8 };

// Below those that the kernel takes for outgoing connections and the tests' servers for themselves, since a killed coordinator
// must have its port again.
async function freePort() {
  for (;;) {
    const server = createServer();
    const port = 12_000 + Math.floor(Math.random() * 8_000);
    const free = await new Promise((resolve) => server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)));
    await new Promise((resolve) => server.close(resolve));
    if (free) return port;
  }
}

// Two servers, and the database that every seed's source is a copy of.
async function prepare(folder) {
  const source = await Cluster.start(join(folder, 's'));
  let target;
  if (options.target === 'postgres') {
    target = await Cluster.start(join(folder, 't'));
  } else {
    process.env.HYPERSHIFT_TEST_TARGET = options.target;
    target = await startServer('target-server', join(folder, 't'));
  }
  const template = await source.makeDatabase('storm_template');
  makeStormDatabase(template, { megabytes: options.target === 'postgres' ? Number(options.megabytes) : 2.5 });
  const [bytes] = query(template, 'SELECT sum(pg_table_size(oid)) FROM pg_class WHERE relnamespace = \'public\'::regnamespace');
  return { source, target, template, bytes: Number(bytes), expected: fingerprints(template) };
}

async function targetDatabase({ target }, seed) {
  if (target instanceof Cluster) return { name: 'target', uri: await target.makeDatabase(`storm_${seed}`), cluster: target };
  return { name: 'target', uri: emptyTarget(target) };
}

function figures(target) {
  const [line] = query(target, `SELECT json_build_object('ranges', count(*), 'rows', sum(rows), 'attempts', sum(attempt), 'leaders', (SELECT epoch FROM _hypershift.leader)) FROM _hypershift.task WHERE kind = 'copy'`);
  return JSON.parse(line);
}

async function runSeed(servers, seed, folder) {
  const hypertables = !(servers.target instanceof Cluster);
  const plan = makePlan(seed, { leases: times.lease * 1000, restarts: servers.target instanceof Cluster, bytes: servers.bytes });
  rmSync(folder, { recursive: true, force: true });
  const source = { name: 'source', uri: await servers.source.makeDatabase(`storm_${seed}`, 'storm_template'), cluster: servers.source };
  const target = await targetDatabase(servers, seed);
  const config = join(servers.folder, `storm-${seed}.yml`);
  writeFileSync(config, `parallel_min_table_size: 1\nforeign_keys_priority: immediate\n${hypertables ? hypertableConfig : ''}`);
  const world = new World(plan, { source, target, config, folder, times });
  writeFileSync(join(folder, 'plan.json'), JSON.stringify(plan, null, 1));
  await world.prepare([await freePort(), await freePort()]);
  const done = await world.run(Number(options.deadline));
  const seconds = (Date.now() - world.began) / 1000;
  let counts = {};
  if (done) {
    const states = await statesOf(world, servers, `storm_${seed}`);
    world.problems.push(...stateProblems(world, states, target.uri, { schema: !hypertables }));
    counts = { ...figures(target.uri), snapshots: states.length, changes: states.at(-1).changes };
    for (const state of states) if (state.uri !== servers.template) await servers.source.dropDatabase(state.name);
  }
  const { mayLose, writes, keeper, standby } = plan;
  const result = { seed, target: options.target.includes('://') ? 'given' : options.target, done, problems: world.problems, seconds: Math.round(seconds * 10) / 10,
    ...counts, mayLose, writes, keeper, standby, workers: plan.slots.length, faults: world.counts, endings: world.endings };
  // A failure's databases stay with its servers, but these end with the storm: the logs are what is left.
  await servers.source.dropDatabase(`storm_${seed}`);
  if (target.cluster) await target.cluster.dropDatabase(`storm_${seed}`);
  if (world.problems.length === 0 && !options['keep-logs']) rmSync(folder, { recursive: true, force: true });
  return result;
}

const place = temporaryFolder();
let servers;
try {
  servers = { folder: place.folder, ...await prepare(place.folder) };
  for (const seed of options.seeds.split(',').map(Number)) {
    const result = await runSeed(servers, seed, join(options.logs ?? join(place.folder, 'logs'), `seed-${seed}`));
    process.stdout.write(`${JSON.stringify(result)}\n`);
  }
} finally {
  await servers?.source.stop();
  await servers?.target.stop();
  place.remove();
}
