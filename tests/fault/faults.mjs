// What a storm does to a world: each fault of a plan, applied. A fault that finds nobody to hit says so by `false`.
import { ask } from './cluster.mjs';

export async function applyFault(world, fault) {
  switch (fault.kind) {
    case 'kill worker':
      return world.kill(world.workerFrom(fault.worker), fault.pause);
    case 'kill all workers':
      return world.workers.map((member) => world.kill(member, fault.pause)).some(Boolean);
    case 'kill coordinator':
      return world.kill(await world.leader(), fault.pause);
    case 'kill everything':
      return world.members.map((member) => world.kill(member, fault.pause)).some(Boolean);
    case 'stop worker':
      return stop(world, world.workerFrom(fault.worker), fault.milliseconds);
    case 'stop coordinator':
      return stop(world, await world.leader(), fault.milliseconds);
    case 'depose coordinator':
      return depose(world, await world.leader(), fault.milliseconds);
    case 'restart target':
      return restart(world, world.target, fault.mode);
    case 'restart source':
      return restart(world, world.source, fault.mode);
    case 'cut source sessions':
      world.note(`cut every session with the source, ${fault.how}`);
      return world.members.map((member) => member.links.source.cut({ how: fault.how })).some((count) => count > 0);
    case 'terminate session':
      return terminate(world, fault);
    default:
      return breakLink(world, fault);
  }
}

function stop(world, member, milliseconds) {
  if (!member?.signal('SIGSTOP')) return false;
  world.note(`SIGSTOP ${member.name} for ${milliseconds} ms`);
  world.after(milliseconds, () => {
    if (member.stopped) world.note(`SIGCONT ${member.name}`);
    member.signal('SIGCONT');
  });
  return true;
}

// The other coordinator is started while the leader is stopped: when that wakes up it must find that it leads no longer.
function depose(world, old, milliseconds) {
  const next = world.coordinators.find((member) => member !== old);
  if (!stop(world, old, milliseconds)) return false;
  if (!next.alive && !next.due) world.startLater(next, 100);
  return true;
}

function restart(world, server, mode) {
  if (server.restarting) return false;
  world.note(`restart ${server.name}, ${mode}`);
  server.restarting = true;
  world.track(server.cluster.restart(mode).finally(() => {
    server.restarting = false;
    world.note(`${server.name} is back`);
  }));
  return true;
}

// An administrator ends sessions, whichever they are; only the kept snapshot is spared.
async function terminate(world, { server, number, count }) {
  const spared = world.keeper === null ? [] : [...world.keeper.links[server].links].map((link) => link.server.localPort);
  try {
    const pids = await ask(world[server].uri, `SELECT pid FROM pg_stat_activity
      WHERE application_name LIKE 'hypershift%' AND datname = current_database() AND client_port <> ALL('{${spared.join()}}') ORDER BY backend_start, pid`);
    const chosen = pids.map((_, i) => pids[(number + i) % pids.length]).slice(0, count);
    if (chosen.length === 0) return false;
    world.note(`terminate ${chosen.length} of ${pids.length} sessions of the ${server}`);
    await ask(world[server].uri, `SELECT pg_terminate_backend(pid) FROM unnest('{${chosen.join()}}'::int[]) pid`);
    return true;
  } catch {
    return false; // It restarts just now.
  }
}

async function breakLink(world, { kind, link, who, at, ...how }) {
  const member = who === -1 ? await world.leader() : world.workers[who];
  if (member === undefined) return false;
  world.note(`${kind} ${member.name} to ${link} ${JSON.stringify(how)}`);
  for (const proxy of [member.links[link]].flat()) {
    if (kind === 'cut') cut(proxy, how);
    else if (kind === 'refuse') proxy.refuse(how.milliseconds);
    else if (kind === 'silence') proxy.silence(how);
    else proxy.slow(how);
  }
  return true;
}

// One connection of several, by its number: which tables they carry is chance.
function cut(proxy, { next, after, how, direction }) {
  const links = [...proxy.links];
  const chosen = links[after % Math.max(links.length, 1)];
  proxy.cut({ after, how, direction, next, which: (link) => link === chosen });
}
