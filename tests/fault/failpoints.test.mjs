// Every failpoint with every action: the same command, repeated for as long as it ends badly, brings the migration to a
// whole end. Each rule must have fired, or its test proves nothing.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { exitAtFailpoint, Migration, World } from './support/migration.mjs';

let world;

before(async () => {
  world = await World.start();
  await world.makeReference();
});

after(() => world?.stop());

// Repeats the command with the rules that have not fired yet, until it ends well. `repeats` is how often it may end badly
// without a failpoint's exit.
async function survive(name, rules, { repeats = 0, more = [] } = {}) {
  const migration = new Migration(world, name);
  let left = rules;
  let ended;
  try {
    for (let badly = 0; ended !== 0;) {
      const started = Date.now();
      const result = await migration.run(left, more);
      ended = result.code;
      console.log(name, left.join(';'), ended, Date.now() - started, 'ms');
      const fired = new Set(migration.fired());
      const exits = left.some((rule) => rule.includes('=exit') && !rule.startsWith('keeper:') && fired.has(rule));
      left = left.filter((rule) => !fired.has(rule));
      if (exits) assert.equal(ended, exitAtFailpoint);
      else if (ended !== 0) assert.ok(++badly <= repeats, `ended badly ${badly} times`);
    }
    assert.deepEqual(left, [], 'never passed');
    migration.assertWhole();
    await migration.assertQuiet();
  } catch (error) {
    error.message += `\n${migration.story}`;
    throw error;
  }
}

const actions = ['error', 'exit', 'pause:500ms', 'run-then-error'];

describe('copy', { concurrency: 4 }, () => {
  for (const point of ['claim', 'copy_end', 'journal_write', 'commit_sent', 'commit_answered']) {
    for (const action of actions) {
      const rule = `worker.${point}[KIND_COPY]=${action}@2`;
      test(rule, () => survive(`${point}.${action.split(':')[0]}`, [rule]));
    }
  }
});
