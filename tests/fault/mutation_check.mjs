// mutation_check.mjs [WORD...]: see scripts/mutation-check.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, lstatSync, mkdirSync, openSync, closeSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../integration/support/servers.mjs';
import { mutations, targetsOf } from './mutations.mjs';

const folder = join(root, '.cache/mutation-check');
const tree = join(folder, 'tree');
const words = process.argv.slice(2);
const chosen = mutations.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
if (chosen.length === 0) {
  process.stderr.write(`mutation-check: no mutation is named so; there are:\n${mutations.map(({ name }) => `  ${name}\n`).join('')}`);
  process.exit(2);
}

// Files that git knows or would; with their times, so that a second run builds only what has changed.
function copyTree() {
  mkdirSync(tree, { recursive: true });
  const listed = spawnSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], { cwd: root, encoding: 'utf8' });
  for (const name of listed.stdout.split('\0').filter(Boolean)) {
    const from = join(root, name);
    const to = join(tree, name);
    if (!existsSync(from)) {
      rmSync(to, { force: true });
    } else if (lstatSync(from).isSymbolicLink()) {
      spawnSync('cp', ['-a', '--parents', name, tree], { cwd: root });
    } else if (!existsSync(to) || !readFileSync(from).equals(readFileSync(to))) {
      mkdirSync(dirname(to), { recursive: true });
      copyFileSync(from, to);
      const { atime, mtime } = statSync(from);
      utimesSync(to, atime, mtime);
    }
  }
  for (const modules of ['embedded/node_modules', 'scripts/node/node_modules']) {
    if (existsSync(join(root, modules)) && !existsSync(join(tree, modules))) symlinkSync(join(root, modules), join(tree, modules));
  }
}

function run(log, command, ...args) {
  const fd = openSync(log, 'a');
  const env = { ...process.env, CCACHE_BASEDIR: tree, CCACHE_NOHASHDIR: '1' };
  const { status } = spawnSync(command, args, { cwd: tree, env, stdio: ['ignore', fd, fd] });
  closeSync(fd);
  return status === 0;
}

const build = (log, tests) => run(log, 'scripts/build', 'release', ...new Set(tests.flatMap((test) => targetsOf[test])));
const passes = (log, test) => run(log, 'ctest', '--test-dir', 'build', '--output-on-failure', '--no-tests=error', '-R', `^${test}$`);

function logOf(name) {
  const log = join(folder, `${name.replace(/[^a-z]+/gi, '-')}.log`);
  writeFileSync(log, '');
  return log;
}

// Applies all changes of a mutation and returns what takes them back.
function apply({ changes }) {
  const before = new Map();
  const restore = () => before.forEach((text, file) => writeFileSync(join(tree, file), text));
  for (const { file, from, to } of changes) {
    const text = readFileSync(join(tree, file), 'utf8');
    if (!before.has(file)) before.set(file, text);
    const found = text.split(from).length - 1;
    if (found !== 1) {
      restore();
      throw new Error(`${file} has the text to be changed ${found} times`);
    }
    writeFileSync(join(tree, file), text.replace(from, () => to));
  }
  return restore;
}

function outcome(mutation, log) {
  let restore;
  try {
    restore = apply(mutation);
  } catch (error) {
    return `did not apply: ${error.message}`;
  }
  try {
    if (!build(log, [mutation.test])) return 'did not build';
    return passes(log, mutation.test) ? 'SURVIVED' : 'noticed';
  } finally {
    restore();
  }
}

copyTree();
const tests = [...new Set(chosen.map(({ test }) => test))];
const log = logOf('unchanged');
if (!build(log, tests)) {
  process.stderr.write(`mutation-check: the tree as it is does not build: ${log}\n`);
  process.exit(1);
}
for (const test of tests) {
  if (passes(log, test)) continue;
  process.stderr.write(`mutation-check: ${test} fails on the tree as it is: ${log}\n`);
  process.exit(1);
}
process.stdout.write(`unchanged: ${tests.join(', ')} pass\n`);
const width = Math.max(...chosen.map(({ name }) => name.length));
let failures = 0;
for (const mutation of chosen) {
  const began = Date.now();
  const result = outcome(mutation, logOf(mutation.name));
  failures += result === 'noticed' ? 0 : 1;
  process.stdout.write(`${mutation.name.padEnd(width)}  ${mutation.test.padEnd(24)} ${result}  ${Math.round((Date.now() - began) / 1000)} s\n`);
}
process.exitCode = failures > 0 ? 1 : 0;
