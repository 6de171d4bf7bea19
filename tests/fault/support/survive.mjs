// Repeats what is made to fail, with the rules that have not fired yet, until it ends well.
import assert from 'node:assert/strict';
import { exitAtFailpoint, Migration } from './migration.mjs';
import { actionOf } from './matrix.mjs';
import { mayEnd } from './scenes.mjs';
import { until } from '../../integration/support/servers.mjs';

const limit = 40;
const cancelled = 5; // The exit status.

class Rules {
  constructor(migration, { rules, helpers }) {
    this.migration = migration;
    this.left = [...helpers, ...rules];
  }

  // Takes out those that have fired, and returns them.
  take() {
    const fired = new Set(this.migration.fired());
    const taken = this.left.filter((rule) => fired.has(rule));
    this.left = this.left.filter((rule) => !fired.has(rule));
    return taken;
  }
}

// A command may end with an error only because of what fired in it: an exit, or a step that is not repeated by itself.
function assertExcused(result, fired) {
  const own = fired.filter((rule) => !rule.startsWith('keeper:'));
  if (result.code === exitAtFailpoint) assert.ok(own.some((rule) => actionOf(rule) === 'exit'), 'an exit without a rule');
  else assert.ok(own.some(mayEnd), `it ended with ${result.code ?? result.signal} after ${fired.join(', ') || 'nothing'}`);
}

// `run(rules)` runs the command once and resolves with its end; `between` is called after an end that was not a good one.
async function repeat(migration, rules, run, between = () => {}) {
  for (let runs = 0; runs < limit; ++runs) {
    const result = await run(rules.left);
    const fired = rules.take();
    if (result.code === 0) return;
    assertExcused(result, fired);
    // The end itself has been reached: there is nothing to resume.
    if (await migration.phase() === 'done' && fired.some((rule) => /\[(finish|give_up_lead)\]|rpc/.test(rule))) return;
    await between();
  }
  assert.fail(`not done after ${limit} runs`);
}

const killKeepers = async (migration) => {
  for (const pid of migration.keepers()) process.kill(pid, 'SIGKILL');
  await until('no keeper', () => migration.keepers().length === 0);
};

// Starts another one whenever one has died, with the rules that are left, until `stop` is called.
function keepWorking(migration, rules) {
  let over = false;
  let current = null;
  const working = (async () => {
    for (let i = 1; !over; ++i) {
      current = migration.worker(`w${i}`, rules.left);
      const { code } = await current.done;
      rules.take();
      if (!over && code !== 0) assert.equal(code, exitAtFailpoint, 'a worker ended badly');
    }
  })();
  return async () => {
    over = true;
    current.child.kill('SIGTERM');
    await working;
  };
}

// A worker without slots holds the snapshot, whoever else dies.
async function startKeeper(migration) {
  let said = '';
  const keeper = migration.worker('keeper', [], { slots: 0 });
  keeper.child.stderr.on('data', (text) => (said += text));
  await until('the keeper', () => said.includes('snapshot held'));
}

const scenes = {
  clone: (migration, rules) => repeat(migration, rules, (left) => migration.run(left)),

  // Nobody holds the snapshot when the command is repeated.
  lost: async (migration, rules) => {
    const more = ['--keeper-wait', '1s', '--restart-tables'];
    await repeat(migration, rules, (left) => migration.run(left, more), () => killKeepers(migration));
  },

  hypertables: (migration, rules) => repeat(migration, rules, (left) => migration.run(left)),

  // Somebody pauses it and lets it go on, again and again.
  steered: async (migration, rules) => {
    let over = false;
    const steering = (async () => {
      while (!over) {
        await migration.control('pause');
        await migration.control('resume');
      }
    })();
    await repeat(migration, rules, (left) => migration.run(left)).finally(() => (over = true));
    await steering;
  },

  // Given up while a worker can't hear of it: nothing of it goes on, and nobody can resume it.
  cancelled: async (migration, rules) => {
    const coordinator = migration.coordinator(rules.left);
    const deaf = 'worker.copy_end[KIND_COPY]=pause:100s';
    const worker = migration.worker('w1', [deaf]);
    await until('a copy that is held up', () => migration.fired().includes(deaf));
    await migration.control('cancel', '--yes');
    const { code } = await coordinator.done;
    const exits = rules.take().some((rule) => actionOf(rule) === 'exit');
    assert.equal(code, exits ? exitAtFailpoint : cancelled);
    worker.child.kill('SIGKILL');
    const again = await migration.coordinator([]).done;
    assert.equal(again.code, 2, again.stderr);
    assert.match(again.stderr, /was cancelled at/);
  },

  verify: (migration, rules) => repeat(migration, rules, (left) => migration.verify(left)),

  // One worker dies and leaves its leases to expire; the rules are the coordinator's.
  machines: async (migration, rules) => {
    let others = null;
    await repeat(migration, rules, async (left) => {
      const coordinator = migration.coordinator(left);
      others ??= startKeeper(migration).then(async () => {
        const dying = migration.worker('w1', ['worker.copy_end[KIND_COPY]=exit']);
        assert.equal((await dying.done).code, exitAtFailpoint);
        migration.worker('w2', []);
      });
      others.catch(() => coordinator.child.kill('SIGKILL'));
      const result = await coordinator.done;
      await others;
      return result;
    });
  },

  // The rules are those of workers, of which there is always one; the coordinator goes on.
  workers: async (migration, rules) => {
    const coordinator = migration.coordinator([]);
    await startKeeper(migration);
    const stop = keepWorking(migration, rules);
    assert.equal((await coordinator.done).code, 0);
    await stop();
  },
};

export async function survive(world, group) {
  const migration = await Migration.create(world, group.name, group.scene === 'verify' ? world.reference : null);
  const rules = new Rules(migration, group);
  try {
    await scenes[group.scene](migration, rules);
    assert.deepEqual(rules.left, [], 'never passed');
    if (group.scene !== 'cancelled') await migration.assertWhole();
    await migration.assertQuiet();
  } catch (error) {
    error.message += `\nleft: ${rules.left.join(';')}\n${migration.story}`;
    throw error;
  } finally {
    await migration.end();
  }
}
