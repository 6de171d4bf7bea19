// The matrix of failpoints: every point of common/failpoint.h, every detail that it says, every action.
//
// What there is comes from the program's own sources, so that a failpoint, a journal write or a kind of task that is new is
// missing here until it is given a scene.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../integration/support/servers.mjs';

const read = (path) => readFileSync(join(root, path), 'utf8');
const all = (text, pattern) => [...text.matchAll(pattern)].map((match) => match[1]);

const header = read('common/failpoint.h');
const detailsOf = {
  kNone: [''],
  kTaskKind: all(read('proto/hypershift/v1/types.proto').match(/message TaskKind \{[^}]*\}/)[0], /(KIND_\w+) =/g)
    .filter((kind) => kind !== 'KIND_UNSPECIFIED'),
  kRpc: all(read('proto/hypershift/v1/worker.proto'), /rpc (\w+)\(/g),
  kJournalWrite: all(header.match(/kJournalWrites = \{([^}]*)\}/)[1], /"(\w+)"/g),
};

// [{name, details}] as the program has them.
export const failpoints = [...header.matchAll(/FailpointEntry\{\s*Failpoint::\w+,\s*"([\w.]+)",\s*FailpointDetail::(\w+)\}/g)]
  .map(([, name, detail]) => ({ name, details: detailsOf[detail] }));

export const actions = ['error', 'exit', 'pause:300ms', 'run-then-error'];

// What no program ever passes, and why.
const copiesOnly = new Set(['worker.copy_end']);
const compressesOnly = new Set(['worker.compress_chunk']);
const onlyWhenSent = new Set(['coordinator.journal_write', 'coordinator.commit_sent', 'coordinator.commit_answered']);
export function neverPassed(name, detail) {
  if (copiesOnly.has(name)) return detail !== 'KIND_COPY';
  if (compressesOnly.has(name)) return detail !== 'KIND_COMPRESS';
  // Taking the lead is one statement, which commits by itself.
  if (onlyWhenSent.has(name) && detail === 'take_lead') return name !== 'coordinator.commit_sent';
  return false;
}

// "point[detail]=action": what must be covered.
export const wanted = failpoints.flatMap(({ name, details }) =>
  details.filter((detail) => !neverPassed(name, detail)).flatMap((detail) =>
    actions.map((action) => `${name}${detail && `[${detail}]`}=${action}`)));

// Of a rule, what `wanted` calls it: without the pass and without the keeper.
export const subject = (rule) => rule.replace(/^keeper:/, '').replace(/(@\d+)?(x\d+)?$/, '');

export const actionOf = (rule) => rule.match(/=([a-z-]+)/)[1];
