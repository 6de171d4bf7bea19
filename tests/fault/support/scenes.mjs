// Which rules of the matrix are tried in which scene.
//
// One migration carries the rules of one point and one action, a rule for each detail: each fires once, wherever the
// migration passes it, and each end that a rule causes is followed by the same command again. HYPERSHIFT_FAULT_MATRIX=each
// gives every rule a migration of its own; 2/3 runs the second of three parts.
import { actionOf, actions, failpoints } from './matrix.mjs';

const { HYPERSHIFT_FAULT_MATRIX: choice = '' } = process.env;
const apart = choice === 'each';
const part = choice.match(/^([1-9])\/([1-9])$/);

const detailsOf = (point) => failpoints.find(({ name }) => name === point).details;
const rule = (point, detail, action, pass = '') => `${point}${detail && `[${detail}]`}=${action}${pass}`;

// Kinds of tasks that only a hypertable has; see hypertable_failpoints.test.mjs.
export const hypertableKinds = ['KIND_PREPARE_CHUNK', 'KIND_COMPRESS', 'KIND_POLICY'];
const kinds = detailsOf('worker.claim').filter((kind) => !hypertableKinds.includes(kind));
const taskPoints = ['worker.claim', 'worker.journal_write', 'worker.commit_sent', 'worker.commit_answered'];
const journalPoints = ['coordinator.journal_write', 'coordinator.commit_sent', 'coordinator.commit_answered'];

// The journal writes that an undisturbed clone makes, in their order, and those that only a resumed one makes.
const firstWrites = ['begin', 'archive', 'pre_data', 'hypertables', 'plan', 'report', 'worker', 'turn', 'release', 'finish'];
const resumedWrites = ['take_lead', 'extend_leases', 'renew_lead', 'retry_failed'];
const lostWrites = ['replace_load', 'store_snapshot'];

// Ends the first run in mid-copy, so that there is something to resume.
const interruption = 'worker.commit_sent[KIND_COPY]=exit@3';
// Holds a run up until others had their say: the whole takes no longer than a program needs to start on a slow machine.
const delay = 'worker.copy_end[KIND_COPY]=pause:3s';

const groups = [];
function add(scene, name, rules, { helpers = [] } = {}) {
  if (apart) {
    for (const one of rules) groups.push({ scene, name: one, rules: [one], helpers });
    return;
  }
  const shared = sharedName(rules[0]);
  const group = groups.find((other) => shared !== null && other.scene === scene && other.name === shared);
  if (group === undefined) {
    groups.push({ scene, name: shared ?? name, rules: [...rules], helpers: [...helpers] });
  } else {
    group.rules.push(...rules);
    group.helpers.push(...helpers.filter((helper) => !group.helpers.includes(helper)));
  }
}

// What stops nobody can be had in one migration: every pause, and what a keeper says again.
function sharedName(rule) {
  const action = actionOf(rule);
  if (action === 'pause') return 'every pause';
  return rule.startsWith('keeper:') && action !== 'exit' ? `keeper's ${action}` : null;
}

for (const action of actions) {
  // A later copy than the first: then some are done, and others run.
  const task = (point, kind) => rule(point, kind, action, kind === 'KIND_COPY' ? '@2' : '');
  for (const point of taskPoints) add('clone', `${point} ${action}`, kinds.map((kind) => task(point, kind)));
  add('clone', `worker.copy_end ${action}`, [task('worker.copy_end', 'KIND_COPY')]);

  for (const point of ['worker.rpc_sent', 'worker.rpc_answered']) {
    const methods = detailsOf(point).filter((method) => method !== 'Fail');
    const passes = { Synchronize: '@3', Complete: '@2' };
    const rules = methods.map((method) => rule(point, method, action, passes[method]));
    add('clone', `${point} ${action}`, rules);
    add('clone', `${point}[Fail] ${action}`, [rule(point, 'Fail', action)], { helpers: ['worker.copy_end[KIND_COPY]=error'] });
    for (const method of ['Register', 'Synchronize']) {
      add('clone', `keeper's ${point}[${method}] ${action}`, [`keeper:${rule(point, method, action)}`], { helpers: [delay] });
    }
  }
  for (const point of ['worker.snapshot_import', 'worker.snapshot_export']) {
    // The worker's own keeper; then, as copies export nothing, a copy.
    const passes = point === 'worker.snapshot_import' ? ['@1', '@2'] : ['@1'];
    add('clone', `${point} ${action}`, passes.map((pass) => rule(point, '', action, pass)));
    add('clone', `keeper's ${point} ${action}`, [`keeper:${rule(point, '', action)}`], { helpers: [delay] });
  }

  for (const point of journalPoints) {
    const resumed = resumedWrites.filter((write) => write !== 'take_lead' || point === 'coordinator.commit_sent');
    const passes = { turn: '@3' };
    add('clone', `${point} ${action}`, [...firstWrites, ...resumed].map((write) => rule(point, write, action, passes[write])),
      { helpers: [interruption] });
    // After the end there is nothing that would pass the last one again.
    add('clone', `${point}[give_up_lead] ${action}`, [rule(point, 'give_up_lead', action)]);
    add('lost', `${point} ${action}, without a keeper`, lostWrites.map((write) => rule(point, write, action)), { helpers: [interruption] });
    add('verify', `${point} ${action}, verifying`, [rule(point, 'replace_verifications', action)]);
    add('steered', `${point}[steering] ${action}`, [rule(point, 'steering', action)], { helpers: [delay] });
    add('cancelled', `${point}[revoke_leases] ${action}`, [rule(point, 'revoke_leases', action)]);
    add('machines', `${point}[terminate] ${action}`, [rule(point, 'terminate', action)]);
  }
  add('machines', `coordinator.lease_expiry ${action}`, [rule('coordinator.lease_expiry', '', action)]);
  add('clone', `coordinator.snapshot_export ${action}`, [rule('coordinator.snapshot_export', '', action)]);
  add('clone', `coordinator.snapshot_import ${action}`, [rule('coordinator.snapshot_import', '', action)], { helpers: [interruption] });

  // A target that has hypertables is slow: one migration for each action.
  add('hypertables', action, [
    ...taskPoints.flatMap((point) => hypertableKinds.map((kind) => rule(point, kind, action))),
    rule('worker.compress_chunk', 'KIND_COMPRESS', action, '@2'),
  ]);
}

// A worker that is a process of its own dies at every point, and another one is started in its place.
for (const point of [...taskPoints, 'worker.copy_end']) {
  const dying = point === 'worker.copy_end' ? ['KIND_COPY'] : kinds;
  add('workers', `${point} exit, of a worker alone`, dying.map((kind) => rule(point, kind, 'exit')));
}
add('workers', 'a worker alone dies in its calls', ['worker.rpc_sent', 'worker.rpc_answered'].flatMap((point) =>
  ['Register', 'Synchronize', 'Complete'].map((method) => rule(point, method, 'exit', method === 'Synchronize' ? '@3' : ''))));
add('workers', 'a worker alone dies with its snapshot', ['worker.snapshot_import', 'worker.snapshot_export'].map((point) => rule(point, '', 'exit')));

export { groups };
// Every part has something of every scene, also of one with fewer migrations than there are parts.
function partOf(scene, number, parts) {
  const own = groups.filter((group) => group.scene === scene);
  return own.filter((_, i) => i % parts === (number - 1) % Math.min(parts, own.length));
}
export const chosen = part ? [...new Set(groups.map(({ scene }) => scene))].flatMap((scene) => partOf(scene, Number(part[1]), Number(part[2]))) : groups;
if (part) console.log(`part ${choice} of the matrix: ${chosen.length} of ${groups.length} migrations`);

// Steps before any task runs: their failure may end the command with an error; all others are got over.
const setup = [...firstWrites.slice(0, 6), ...resumedWrites, ...lostWrites, 'replace_verifications'];
export function mayEnd(fired) {
  if (actionOf(fired) === 'pause') return false;
  return fired.startsWith('coordinator.snapshot_export') ||
    (fired.startsWith('coordinator.') && setup.includes(fired.match(/\[(\w+)\]/)?.[1]));
}
