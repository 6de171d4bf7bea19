// Promise: an operator who copies a command from the runbook, a unit or a manifest gives flags that the programs have, and
// every link leads somewhere.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { filesBelow, inRoot, logicalLines, text, yaml } from './support/project.mjs';
import { callsIn, program, run, unknownFlags } from './support/programs.mjs';

const documents = ['docs/runbook.md', 'docker/README.md', ...filesBelow('docs/runbook', /\.md$/)];

// The shell in a document: its blocks, and what stands in backquotes and begins like a command.
function shellIn(document) {
  const blocks = [...document.matchAll(/^ *```sh\n([\s\S]*?)^ *```/gm)].map(([, block]) => block);
  // What the runbook's commands say as $C.
  const shared = [...document.matchAll(/^C="(.*)"$/gm)].map(([, flags]) => `hypershift status ${flags}`);
  const inline = document.replace(/^ *```[\s\S]*?^ *```/gm, '').match(/`hypershift(?:-coordinator|-worker)? [^`]*`/g) ?? [];
  return [...blocks.flatMap(logicalLines), ...shared, ...inline.map((code) => code.slice(1, -1))];
}

const check = (where, calls) => calls.flatMap(([name, words]) => unknownFlags(name, words).map((problem) => `${where}: ${problem}`));

test('a flag or command that there is not is found', () => {
  const lines = ['hypershift status --watch --coordinator x:1', 'hypershift status --wach', 'FOO=1 hypershift-worker --slots=3 --slotz 4',
    'hypershift dance', 'docker compose exec coordinator hypershift status --jason', 'docker pull hypershift-worker:1 --quiet'];
  assert.deepEqual(check('x', callsIn(lines)), ['x: hypershift status: no flag --wach', 'x: hypershift-worker: no flag --slotz',
    'x: hypershift dance: no such command', 'x: hypershift status: no flag --jason']);
});

test('the runbook', () => {
  const calls = documents.map((path) => [path, callsIn(shellIn(text(path)))]);
  assert.ok(calls.flatMap(([, found]) => found).length > 20, 'hardly any command was found');
  assert.deepEqual(calls.flatMap(([path, found]) => check(path, found)), []);
});

test('the compose file', () => {
  const { services } = yaml('docker/compose.yml')[0];
  const problems = ['coordinator', 'worker', 'keeper'].flatMap((name) =>
    unknownFlags(name === 'coordinator' ? 'hypershift-coordinator' : 'hypershift-worker', services[name].command));
  const health = services.coordinator.environment.HYPERSHIFT_HEALTH_FLAGS.trim().split(/\s+/);
  assert.deepEqual([...problems, ...unknownFlags('hypershift', ['status', '--json', ...health])], []);
});

test('the manifests', () => {
  const problems = ['coordinator', 'workers', 'keeper'].flatMap((file) => {
    const [object] = yaml(`docker/kubernetes/${file}.yaml`);
    const [{ args }] = object.spec.template.spec.containers;
    return unknownFlags(file === 'coordinator' ? 'hypershift-coordinator' : 'hypershift-worker', args);
  });
  assert.deepEqual(problems, []);
});

test('the units', () => {
  const problems = filesBelow('systemd', /\.(service|env)$/).flatMap((path) => {
    const name = path.includes('coordinator') ? 'hypershift-coordinator' : 'hypershift-worker';
    const lines = logicalLines(text(path)).filter((line) => /^(ExecStart|FLAGS)=/.test(line));
    return lines.flatMap((line) => unknownFlags(name, line.split('=').slice(1).join('=').split(/\s+/)));
  });
  assert.deepEqual(problems, []);
});

// Until the first thing that is wrong: a worker looks for its coordinator, a coordinator for its source.
test('the programs start with the flags of the compose file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'hypershift-flags-'));
  try {
    const certificates = run(inRoot('scripts/make-certs'), [join(folder, 'certs'), 'coordinator', 'worker', 'keeper']);
    assert.equal(certificates.status, 0, certificates.stderr);
    writeFileSync(join(folder, 'certs/token'), 'a-token-of-some-length\n', { mode: 0o600 });
    const { services } = yaml('docker/compose.yml')[0];
    const here = (flag) => flag.replace('/tmp/secrets', join(folder, 'certs')).replace('/etc/hypershift', inRoot('docker'))
      .replace(/=0\.0\.0\.0:\d+/, '=0.0.0.0:0').replace('=coordinator:5480', '=localhost:1');
    const nowhere = `host=${folder} dbname=nowhere`;
    const env = { ...process.env, HYPERSHIFT_SOURCE_URI: nowhere, HYPERSHIFT_TARGET_URI: nowhere };
    const coordinator = run(program('hypershift-coordinator'), services.coordinator.command.map(here), { env });
    assert.match(coordinator.stderr, /cannot connect/);
    for (const name of ['worker', 'keeper']) {
      const started = spawnSync(program('hypershift-worker'), services[name].command.map(here), { encoding: 'utf8', timeout: 2000, killSignal: 'SIGKILL' });
      assert.equal(started.signal, 'SIGKILL', `${name} ended by itself: ${started.stderr}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

// As the places that show Markdown name a heading.
const anchorOf = (heading) => heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/ /g, '-');

test('links lead somewhere', () => {
  for (const path of documents) {
    for (const [, target] of text(path).replace(/```[\s\S]*?```/g, '').matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [file, anchor] = target.split('#');
      const full = file === '' ? path : join(dirname(path), file);
      assert.ok(existsSync(inRoot(full)), `${path}: ${target}`);
      if (!anchor) continue;
      const anchors = [...text(full).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading));
      assert.ok(anchors.includes(anchor), `${path}: no heading for ${target}`);
    }
  }
});

test('the index names every chapter', () => {
  for (const path of filesBelow('docs/runbook', /\.md$/)) {
    assert.ok(text('docs/runbook.md').includes(`(runbook/${path.split('/').pop()}`), `${path} is not in docs/runbook.md`);
  }
});
