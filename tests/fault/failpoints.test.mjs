// Every failpoint with every action: the same command, repeated for as long as it ends badly, brings the migration to a whole
// end. Each rule must have fired, or its test proves nothing.
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { subject, wanted } from './support/matrix.mjs';
import { World } from './support/migration.mjs';
import { chosen, groups } from './support/scenes.mjs';
import { survive } from './support/survive.mjs';

// Promise: no failpoint, and nothing that one says, is left out of the matrix.
test('the matrix is complete', () => {
  const covered = new Set(groups.flatMap(({ rules }) => rules.map(subject)));
  assert.deepEqual(wanted.filter((one) => !covered.has(one)), [], 'in no scene');
  assert.deepEqual([...covered].filter((one) => !wanted.includes(one)), [], 'of no failpoint');
});

// Promise: whatever step fails, is killed, is late, or is done although it is said to have failed, nothing is lost or doubled,
// nothing is left behind, and everything is resumable. Only steps of the setup may end the command with an error.
describe('failpoints', { concurrency: 3 * availableParallelism() }, () => {
  let world;
  before(async () => {
    world = await World.start();
    await world.makeReference();
  });
  after(() => world?.stop());

  for (const group of chosen.filter(({ scene }) => scene !== 'hypertables')) {
    test(`${group.scene}: ${group.name}`, { timeout: 240_000 }, () => survive(world, group));
  }
});
