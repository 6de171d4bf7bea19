// mutation-check.mjs TREE [WORD...]: see scripts/mutation-check. TREE is a worktree that may be edited.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mutations } from '../../tests/fault/mutations.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const [tree, ...words] = process.argv.slice(2);
const chosen = mutations.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
if (chosen.length === 0) {
  console.error(`mutation-check: no mutation is named like that; there are: ${mutations.map(({ name }) => name).join('; ')}`);
  process.exit(1);
}

function edit({ file, edits }) {
  const path = join(tree, file);
  let text = readFileSync(path, 'utf8');
  for (const [from, to] of edits) {
    if (text.split(from).length !== 2) throw new Error(`${file} does not have exactly one ${JSON.stringify(from)}`);
    text = text.replace(from, () => to);
  }
  writeFileSync(path, text);
}

function build(targets) {
  const { status, stdout, stderr } = spawnSync(join(tree, 'scripts/build'), ['release', ...targets], { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`the build failed:\n${stdout.slice(-4000)}${stderr}`);
}

const pattern = (text) => `/${text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')}/`;

// {passed, why}: the test beside servers of its own, against the programs that TREE has built.
function run({ file, name, filter, servers = [] }) {
  const command = file === undefined
    ? [join(tree, 'build/tests/integration/integration_library_tests'), `--gtest_filter=${filter}`]
    : ['node', `--test-name-pattern=${pattern(name)}`, join(root, 'tests/fault', file)];
  const env = { ...process.env, HYPERSHIFT_BUILD: join(tree, 'build'), HYPERSHIFT_PROGRAM: join(tree, 'build/hypershift') };
  const { status, stdout } = spawnSync(join(root, 'tests/integration/with-servers'), [...servers, ...command], { encoding: 'utf8', maxBuffer: 1 << 28, env });
  const ran = file === undefined ? /\[ {2}PASSED {2}\] [1-9]|FAILED {2}\] 1/.test(stdout) : stdout.includes(name);
  if (!ran) throw new Error(`no test ${filter ?? name} ran:\n${stdout.slice(-4000)}`);
  const why = stdout.match(/Failure\n(.*)/)?.[1] ?? stdout.match(/^ +error: (?:\|-\n +)?(.*)/m)?.[1] ?? '';
  return { passed: status === 0, why: why.trim() };
}

const labels = { true: 'SURVIVED', false: 'caught' };
let bad = 0;

console.log('The program as it is:');
const tests = new Map(chosen.map(({ test }) => [`${test.file ?? ''}${test.name ?? test.filter}`, test]));
for (const test of tests.values()) {
  build(test.targets);
  const { passed, why } = run(test);
  console.log(`  ${passed ? 'passed' : `FAILED (${why})`}: ${test.name ?? test.filter}`);
  if (!passed) ++bad;
}

console.log('\n| Taken out | Where | Test | |\n|---|---|---|---|');
for (const mutation of chosen) {
  edit(mutation);
  try {
    build(mutation.test.targets);
    const { passed, why } = run(mutation.test);
    if (passed) ++bad;
    const where = mutation.test.file === undefined ? mutation.test.filter : `${mutation.test.file}: ${mutation.test.name}`;
    console.log(`| ${mutation.name} | \`${mutation.file}\` | ${where} | ${labels[passed]} |`);
    if (why) console.error(`  ${why}`);
  } finally {
    spawnSync('git', ['-C', tree, 'checkout', '-q', '--', mutation.file]);
  }
}
process.exit(bad === 0 ? 0 : 1);
