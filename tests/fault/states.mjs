// Which moment of the source each table of the target must show, when somebody wrote to the source all the time and the snapshot
// may have been lost on the way.
import { differences, fingerprints } from '../integration/support/oracle.mjs';
import { query } from '../integration/support/servers.mjs';
import { ask } from './cluster.mjs';
import { findProblems } from './oracle.mjs';
import { changesSeen, makeStateAfter } from './writer.mjs';

// What the source held as of each snapshot under which a range may have been copied, in order; the last is the journal's now.
// A state: {snapshot, changes, name, uri, rows: fingerprints by table}.
export async function statesOf(world, { source, template, expected }, name) {
  const [last] = await ask(world.target.uri, 'SELECT snapshot FROM _hypershift.migration');
  const states = [];
  for (const snapshot of new Set([...world.losses.map((loss) => loss.snapshot), last])) {
    const changes = world.plan.writes ? await changesSeen(world.source.uri, snapshot) : 0;
    const state = { snapshot, changes, name: `${name}_state_${states.length}`, uri: template, rows: expected };
    if (changes > 0) {
      state.uri = await makeStateAfter(source, template, changes, state.name);
      state.rows = fingerprints(state.uri, Object.keys(expected));
    }
    states.push(state);
  }
  return states;
}

// The states that a table may show: as of the last snapshot; or, where it was finished before a snapshot was lost, as of that one
// or an earlier one.
function allowedStates(world, states, table) {
  const loss = world.losses.find(({ done }) => done.includes(table));
  if (loss === undefined) return states;
  return states.slice(0, 1 + states.findIndex(({ snapshot }) => snapshot === loss.snapshot));
}

// Each table must show one moment as a whole, and an allowed one. Everything else as findProblems says.
export function stateProblems(world, states, target, options) {
  const problems = [];
  const final = states.at(-1);
  if (world.kept && !world.plan.mayLose && final.snapshot !== world.keptSnapshot) {
    problems.push(`the snapshot became ${final.snapshot}, and the keeper held ${world.keptSnapshot}`);
  }
  const [phase] = query(target, "SELECT string_agg(phase, ', ') FROM _hypershift.migration");
  if (phase !== 'done') problems.push(`journal: the migration is ${phase}`);
  const found = fingerprints(target, Object.keys(final.rows));
  const expected = {};
  for (const [table, rows] of Object.entries(found)) {
    const allowed = allowedStates(world, states, table);
    const shown = allowed.find((state) => state.rows[table] === rows);
    expected[table] = (shown ?? allowed.at(-1)).rows[table];
    if (shown === undefined) problems.push(differences(allowed.at(-1).uri, target, [table], allowed.at(-1).rows));
  }
  return [...problems, ...findProblems(final.uri, target, expected, { ...options, rows: false })];
}
