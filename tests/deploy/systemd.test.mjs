// Promise: systemd takes the units, and restarts what a restart cures and nothing else.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { filesBelow, logicalLines, text } from './support/project.mjs';
import { program, run } from './support/programs.mjs';

const folder = mkdtempSync(join(tmpdir(), 'hypershift-units-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const units = filesBelow('systemd', /\.service$/);
const environments = { 'systemd/hypershift-coordinator.service': 'systemd/coordinator.env', 'systemd/hypershift-worker@.service': 'systemd/worker.env' };

// Every value of a setting, in its order.
const settings = (unit, name) => logicalLines(text(unit)).filter((line) => line.startsWith(`${name}=`)).map((line) => line.slice(name.length + 1));

test('systemd-analyze finds nothing wrong', (t) => {
  if (run('sh', ['-c', 'command -v systemd-analyze']).status !== 0) return t.skip('there is no systemd-analyze');
  for (const unit of units) {
    // With the programs that were built, since nothing is installed.
    const copy = join(folder, unit.split('/').pop());
    writeFileSync(copy, text(unit).replaceAll('/usr/local/bin/', `${program('')}/`));
    const result = run('systemd-analyze', ['verify', copy]);
    assert.equal(result.status, 0, `${unit}: ${result.stderr}`);
    assert.equal(result.stderr.trim(), '', unit);
    const security = run('systemd-analyze', ['security', '--offline=true', copy]);
    const [, exposure] = security.stdout.match(/exposure level.*: ([\d.]+)/) ?? [];
    assert.ok(Number(exposure) <= 2, `${unit} is exposed: ${exposure}`);
  }
});

test('a broken unit is found', (t) => {
  if (run('sh', ['-c', 'command -v systemd-analyze']).status !== 0) return t.skip('there is no systemd-analyze');
  const copy = join(folder, 'broken.service');
  writeFileSync(copy, text(units[0]).replaceAll('/usr/local/bin/', `${program('')}/`).replace('TimeoutStopSec=15min', 'TimeoutStopSec=a while'));
  assert.notEqual(run('systemd-analyze', ['verify', copy]).stderr.trim(), '');
});

test('variables and credentials that a unit uses are there', () => {
  for (const unit of units) {
    const defined = logicalLines(text(environments[unit])).map((line) => line.split('=')[0]);
    const credentials = settings(unit, 'LoadCredential').map((credential) => credential.split(':')[0]);
    for (const command of [...settings(unit, 'ExecStart'), ...settings(unit, 'ExecStartPre')]) {
      for (const [, variable] of command.matchAll(/\$\{?(\w+)\}?/g)) {
        if (variable !== 'CREDENTIALS_DIRECTORY') assert.ok(defined.includes(variable), `${unit}: no ${variable} in ${environments[unit]}`);
      }
      for (const [, credential] of command.matchAll(/\$\{CREDENTIALS_DIRECTORY\}\/([\w.]+)/g)) {
        assert.ok(credentials.includes(credential), `${unit}: no credential ${credential}`);
      }
    }
  }
  for (const environment of Object.values(environments)) assert.doesNotMatch(text(environment), /:\/\/[^/@\s]*:[^/@\s]*@/, 'a password');
});

test('the environment files are such as systemd and the shell read alike', () => {
  for (const environment of Object.values(environments)) {
    for (const line of logicalLines(text(environment))) assert.match(line, /^[A-Z_]+=\S*( \S+)*$/, environment);
  }
});

// From coordinator/exit_status.h: what a person has to decide on is not repeated.
test('restarts go by the documented exit statuses', () => {
  const statuses = Object.fromEntries([...text('coordinator/exit_status.h').matchAll(/(kExit\w+) = (\d+)/g)].map(([, name, value]) => [name, value]));
  const { kExitDone, kExitInterrupted, ...decisions } = statuses;
  const unit = 'systemd/hypershift-coordinator.service';
  assert.equal(kExitDone, '0');
  const [prevented] = settings(unit, 'RestartPreventExitStatus').map((value) => value.split(' '));
  for (const [name, status] of Object.entries(decisions)) assert.ok(prevented.includes(status), `${name} would be repeated`);
  assert.deepEqual(settings(unit, 'SuccessExitStatus'), [kExitInterrupted]);
  assert.deepEqual(settings('systemd/hypershift-worker@.service', 'RestartPreventExitStatus'), ['2']);
  for (const one of units) {
    assert.deepEqual(settings(one, 'Restart'), ['on-failure']);
    assert.deepEqual(settings(one, 'KillMode'), ['mixed']);
    assert.match(settings(one, 'TimeoutStopSec')[0], /^1\d+min$/);
  }
});
