// storms.mjs N [--seed S] [--jobs J] [--target postgres|embedded|URI] [--results FILE] [--logs FOLDER] [--megabytes N] [--deadline S] [--keep-logs] [--figures]
// The seeds S to S + N - 1, J at a time; see scripts/storm. A line for each as it ends, a table in the end.
import { spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { root, withParent } from '../integration/support/servers.mjs';
import { figures, names } from './storm_figures.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' }, jobs: { type: 'string', default: '1' }, target: { type: 'string', default: 'postgres' },
    results: { type: 'string', default: join(root, '.cache/storm/results.jsonl') }, logs: { type: 'string', default: join(root, '.cache/storm') },
    megabytes: { type: 'string', default: '110' }, deadline: { type: 'string', default: '300' }, 'keep-logs': { type: 'boolean', default: false },
    figures: { type: 'boolean', default: false },
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
  const args = ['--seeds', seeds.join(), '--target', options.target, '--logs', options.logs, '--megabytes', options.megabytes, '--deadline', options.deadline];
  if (options['keep-logs']) args.push('--keep-logs');
  const child = spawn('setpriv', withParent(process.execPath, [join(root, 'tests/fault/storm.mjs'), ...args]), { stdio: ['ignore', 'pipe', 'inherit'] });
  createInterface({ input: child.stdout }).on('line', (line) => report(JSON.parse(line)));
  return new Promise((resolve) => child.on('close', resolve));
}

// Of what a file holds; of a seed that ran more often, the last time.
if (options.figures) {
  const lines = readFileSync(options.results, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
  const last = new Map(lines.map((result) => [`${result.target} ${result.seed}`, result]));
  process.stdout.write(`${figures([...last.values()]).join('\n')}\n`);
  process.exit();
}

await Promise.all(Array.from({ length: jobs }, (_, number) => job(number)));
if (results.length > 0) process.stdout.write(`\n${figures(results).join('\n')}\n`);
process.stdout.write(`${results.length} of ${count} seeds ran; results in ${options.results}\n`);
const target = options.target === 'postgres' ? '' : ` --target ${options.target}`;
const failed = results.filter((result) => result.problems.length > 0).map((result) => result.seed);
const missing = Array.from({ length: count }, (_, i) => first + i).filter((seed) => !results.some((result) => result.seed === seed));
for (const seed of [...failed, ...missing]) process.stdout.write(`again: scripts/storm 1 --seed ${seed}${target} --keep-logs\n`);
process.exitCode = failed.length + missing.length > 0 ? 1 : 0;
