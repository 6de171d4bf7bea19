// storms.mjs N [--seed S] [--jobs J] [--target postgres|embedded|URI] [--results FILE] [--logs FOLDER] [--deadline S] [--keep-logs]
// The seeds S to S + N - 1, J at a time; see scripts/storm. A line for each as it ends, a table in the end.
import { spawn } from 'node:child_process';
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { root } from '../integration/support/servers.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' }, jobs: { type: 'string', default: '1' }, target: { type: 'string', default: 'postgres' },
    results: { type: 'string', default: join(root, '.cache/storm/results.jsonl') }, logs: { type: 'string', default: join(root, '.cache/storm') },
    deadline: { type: 'string', default: '300' }, 'keep-logs': { type: 'boolean', default: false },
  },
});
const count = Number(positionals[0] ?? 10);
const first = Number(options.seed);
const jobs = Math.min(Number(options.jobs), count);
if (![count, first, jobs].every(Number.isInteger) || count < 1 || jobs < 1) {
  process.stderr.write('storm: N, S and J are whole numbers\n');
  process.exit(2);
}
mkdirSync(dirname(options.results), { recursive: true });

const results = [];

const names = (counts) => Object.entries(counts).map(([name, n]) => (n > 1 ? `${n} × ${name}` : name)).join(', ');

function report(result) {
  results.push(result);
  appendFileSync(options.results, `${JSON.stringify(result)}\n`);
  const kind = [result.mayLose ? 'snapshot may be lost' : 'snapshot kept', ...(result.writes ? ['source written to'] : []),
    ...(result.standby ? ['stand-by'] : [])].join(', ');
  const outcome = result.problems.length === 0 ? 'equal ' : 'FAILED';
  process.stdout.write(`seed ${String(result.seed).padStart(4)}  ${outcome} ${String(result.seconds).padStart(6)} s  ${result.ranges ?? '?'} ranges in ` +
    `${result.attempts ?? '?'} attempts  ${result.workers} workers, ${kind}: ${names(result.faults)}` +
    `${Object.keys(result.endings).length > 0 ? `; coordinator: ${names(result.endings)}` : ''}\n`);
  for (const problem of result.problems) process.stdout.write(`           ${problem}\n`);
}

// Each job has servers of its own, since storms restart them.
function job(number) {
  const seeds = Array.from({ length: count }, (_, i) => first + i).filter((_, i) => i % jobs === number);
  const args = ['--seeds', seeds.join(), '--target', options.target, '--logs', options.logs, '--deadline', options.deadline];
  if (options['keep-logs']) args.push('--keep-logs');
  const child = spawn(process.execPath, [join(root, 'tests/fault/storm.mjs'), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  createInterface({ input: child.stdout }).on('line', (line) => report(JSON.parse(line)));
  return new Promise((resolve) => child.on('close', resolve));
}

const total = (pick) => results.reduce((sum, result) => sum + pick(result), 0);

function summary() {
  const faults = {};
  for (const result of results) {
    for (const [name, n] of Object.entries(result.faults)) {
      const row = (faults[name] ??= { injected: 0, seeds: 0, failed: 0 });
      row.injected += n;
      row.seeds += 1;
      row.failed += result.problems.length > 0 ? 1 : 0;
    }
  }
  process.stdout.write(`\n${'fault'.padEnd(22)} injected  seeds  of these failed\n`);
  for (const [name, row] of Object.entries(faults).sort()) {
    process.stdout.write(`${name.padEnd(22)} ${String(row.injected).padStart(8)} ${String(row.seeds).padStart(6)} ${String(row.failed).padStart(16)}\n`);
  }
  const endings = {};
  for (const result of results) for (const [name, n] of Object.entries(result.endings)) endings[name] = (endings[name] ?? 0) + n;
  process.stdout.write(`\nended by itself: ${names(endings) || 'nobody'}\n`);
  process.stdout.write(`${results.length} of ${count} seeds ran, ${results.filter((result) => result.problems.length === 0).length} ended with equal data; ` +
    `${total((result) => result.ranges ?? 0)} ranges in ${total((result) => result.attempts ?? 0)} attempts; results in ${options.results}\n`);
}

await Promise.all(Array.from({ length: jobs }, (_, number) => job(number)));
summary();
const target = options.target === 'postgres' ? '' : ` --target ${options.target}`;
const failed = results.filter((result) => result.problems.length > 0).map((result) => result.seed);
const missing = Array.from({ length: count }, (_, i) => first + i).filter((seed) => !results.some((result) => result.seed === seed));
for (const seed of [...failed, ...missing]) process.stdout.write(`again: scripts/storm 1 --seed ${seed}${target} --keep-logs\n`);
process.exitCode = failed.length + missing.length > 0 ? 1 : 0;
