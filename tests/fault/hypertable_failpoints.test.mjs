// The failpoints of steps that only a hypertable needs, with every action; see failpoints.test.mjs.
import { after, before, test } from 'node:test';
import { World } from './support/migration.mjs';
import { chosen } from './support/scenes.mjs';
import { survive } from './support/survive.mjs';

let world;
before(async () => {
  world = await World.startWithHypertables();
  await world.makeReference();
});
after(() => world?.stop());

// Promise: chunks are made, compressed and given their policies once, whatever step fails, is killed, is late, or is done
// although it is said to have failed.
for (const group of chosen.filter(({ scene }) => scene === 'hypertables')) {
  test(`hypertables: ${group.name}`, { timeout: 400_000 }, () => survive(world, group));
}
