// What a seed stands for: how many processes, and which faults when. Made before anything runs, so that a seed always makes the
// same choices, whatever the machine's speed makes of them.
import { Random } from './random.mjs';

// How often a kind of fault is chosen, compared with the others.
const common = {
  'kill worker': 3, 'kill all workers': 1, 'kill coordinator': 3, 'stop worker': 2, 'stop coordinator': 1, 'depose coordinator': 1.5,
  'restart target': 2, 'terminate session': 2, cut: 6, silence: 3, slow: 1, refuse: 1.5,
};
// These lose the snapshot, or may.
const losing = { 'restart source': 2.5, 'kill everything': 2, 'cut source sessions': 1 };

const links = { source: 3, target: 3, rpc: 2 };

// The parameters of one fault. `leases`: milliseconds after which leases and the lead have surely expired.
function chooseFault(kind, random, workers, leases) {
  // A worker's number; -1 is the coordinator that leads.
  const who = random.int(-1, workers - 1);
  const worker = Math.max(who, 0);
  const pause = random.magnitude(100, 4000);
  const link = random.pickWeighted(links);
  const onLink = { link, who: link === 'rpc' ? worker : who };
  switch (kind) {
    case 'kill worker':
      return { worker, pause };
    case 'kill all workers':
    case 'kill coordinator':
    case 'kill everything':
      return { pause };
    case 'stop worker':
      return { worker, milliseconds: random.int(Math.round(leases / 2), leases * 2) };
    case 'stop coordinator':
    case 'depose coordinator':
      return { milliseconds: random.int(leases, leases * 2) };
    case 'restart target':
    case 'restart source':
      return { mode: random.pick(['immediate', 'fast']) };
    case 'cut source sessions':
      return { how: random.pick(['rst', 'fin']) };
    case 'terminate session':
      return { server: random.pick(['source', 'target']), number: random.int(0, 999), count: random.int(1, 3) };
    case 'cut':
      return {
        ...onLink, how: random.pick(['rst', 'fin']), direction: random.pick(['up', 'down']), next: random.chance(0.3),
        after: random.chance(0.3) ? 0 : random.magnitude(1, 4_000_000),
      };
    case 'silence':
      return { ...onLink, direction: random.pick(['up', 'down', 'both']), milliseconds: random.magnitude(300, 6000), then: random.pick(['heal', 'rst']) };
    case 'slow':
      return { ...onLink, milliseconds: random.int(500, 3000), ...(random.chance(0.5) ? { rate: 200_000 } : { delay: random.int(20, 300) }) };
    case 'refuse':
      return { ...onLink, milliseconds: random.magnitude(200, 3000) };
    default:
      throw new Error(`no such fault: ${kind}`);
  }
}

// restarts: whether the target can be restarted. In a third of the seeds the snapshot may be lost; in the others a worker
// without slots, whom no fault hits, keeps it. writes: the source is written to from beginning to end. standby: the second
// coordinator waits for the first one's death all the time; otherwise it is only started to depose a stopped one.
export function makePlan(seed, { leases = 2000, restarts = true } = {}) {
  const random = new Random(seed);
  const mayLose = random.chance(0.35);
  const workers = random.int(2, 4);
  const plan = {
    seed,
    mayLose,
    writes: random.chance(0.6),
    standby: random.chance(0.4),
    keeper: !mayLose || random.chance(0.3),
    slots: Array.from({ length: workers }, () => random.int(1, 3)),
    verify: random.chance(0.3),
    bytesPerSecond: random.int(2, 8) * 1_000_000,
    faults: [],
  };
  const weights = { ...common, ...(mayLose ? losing : {}) };
  if (!restarts) delete weights['restart target'];
  let at = random.int(0, 3000);
  for (let left = random.int(4, 14); left > 0; --left) {
    const kind = random.pickWeighted(weights);
    plan.faults.push({ at, kind, ...chooseFault(kind, random, workers, leases) });
    at += random.magnitude(100, 4000);
  }
  return plan;
}
