// Promise: what the Dockerfile and the compose file name is there, and the images hold what the programs need to start.
// There is no docker daemon where this runs: that images build and containers start is not checked here.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { inRoot, logicalLines, text, yaml } from './support/project.mjs';
import { names, program, run } from './support/programs.mjs';

console.log('not checked: that the images build and the containers start (this needs a docker daemon)');
const folder = mkdtempSync(join(tmpdir(), 'hypershift-deploy-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const dockerfile = logicalLines(text('docker/Dockerfile'));
const stages = dockerfile.filter((line) => line.startsWith('FROM ')).map((line) => line.split(/ AS /i)[1]);
const ignored = logicalLines(text('.dockerignore'));

test('COPY takes files that there are, and that the context holds', () => {
  for (const line of dockerfile.filter((line) => line.startsWith('COPY '))) {
    const words = line.split(/\s+/).slice(1);
    const from = words.find((word) => word.startsWith('--from='));
    if (from) {
      assert.ok(stages.includes(from.slice('--from='.length)), line);
      continue;
    }
    for (const path of words.filter((word) => !word.startsWith('--')).slice(0, -1)) {
      assert.ok(existsSync(inRoot(path)), `${path} is not there`);
      assert.ok(!ignored.some((pattern) => path === pattern || path.startsWith(`${pattern}/`)), `${path} is left out by .dockerignore`);
    }
  }
  assert.ok(ignored.includes('docker/secrets'), 'secrets would get into an image');
});

test('the build stage runs the scripts that everybody runs', () => {
  const build = dockerfile.slice(0, dockerfile.findIndex((line) => / AS runtime$/.test(line)));
  const scripts = build.flatMap((line) => line.match(/scripts\/[\w-]+ [^&]*/g) ?? []).filter((call) => !call.includes('scripts/lib'));
  assert.deepEqual(scripts.filter((call) => call.startsWith('scripts/setup ')).slice(-1), ['scripts/setup --build-only']);
  assert.ok(scripts.some((call) => call.startsWith(`scripts/build release ${names.join(' ')}`)), scripts.join('\n'));
  // Everything it wants is installed here, so it has nothing to do; a missing package would be installed.
  const setup = run(inRoot('scripts/setup'), ['--build-only'], { timeout: 600_000 });
  assert.equal(setup.status, 0, setup.stderr);
  assert.equal(run(inRoot('scripts/setup'), ['--everything']).status, 1);
});

test('nobody runs as root', () => {
  for (const stage of ['worker', 'coordinator']) {
    const begin = dockerfile.findIndex((line) => line.endsWith(` AS ${stage}`));
    const next = dockerfile.findIndex((line, at) => at > begin && line.startsWith('FROM '));
    const lines = dockerfile.slice(begin, next < 0 ? undefined : next);
    assert.equal(lines.filter((line) => line.startsWith('USER ')).at(-1), 'USER 10001:10001', stage);
    for (const word of ['HEALTHCHECK', 'ENTRYPOINT']) assert.ok(lines.some((line) => line.startsWith(`${word} `)), `${stage}: no ${word}`);
  }
});

// file → the Debian package that it is from, for many at once, since each question goes through all that is installed.
// dpkg knows libraries by either spelling of a merged /usr.
function packagesOf(files) {
  const real = new Map(files.map((file) => [file, realpathSync(file)]));
  const spellings = (file) => [file, real.get(file)].flatMap((path) => [path, path.replace(/^\/usr/, ''), `/usr${path}`]);
  const known = new Map();
  for (const line of run('dpkg-query', ['-S', ...new Set(files.flatMap(spellings))]).stdout.split('\n')) {
    const [holder, path] = line.split(': ');
    if (path) known.set(path, holder.split(':')[0]);
  }
  const holders = new Map();
  for (const file of files) {
    const found = spellings(file).find((path) => known.has(path));
    assert.ok(found, `no package holds ${file}`);
    holders.set(file, known.get(found));
  }
  return holders;
}

const listed = logicalLines(text('docker/runtime-packages.txt'));
// In debian:12-slim, since apt and dpkg are linked to them.
const inBase = ['libc6', 'libgcc-s1', 'libstdc++6'];
const notLibraries = ['ca-certificates'];

// name of a library → the file that the loader takes for it, of all a program is linked to.
function linked(name) {
  const files = new Map();
  for (const [, library, file] of run('ldd', [program(name)]).stdout.matchAll(/^\s*(\S+) => (\S+)/gm)) files.set(library, file);
  return files;
}

const programs = new Map(names.map((name) => [name, linked(name)]));
const holders = packagesOf([...new Set([...programs.values()].flatMap((files) => [...files.values()]))].filter((file) => file !== 'not'));

test('the run-time packages are those that the programs are linked to', () => {
  const wanted = new Set();
  for (const [name, files] of programs) {
    const needed = run('readelf', ['-d', program(name)]).stdout.matchAll(/\(NEEDED\).*\[(.*)\]/g);
    for (const [, library] of needed) wanted.add(holders.get(files.get(library)));
  }
  for (const one of inBase) wanted.delete(one);
  assert.deepEqual([...wanted].sort(), listed.filter((one) => !notLibraries.includes(one)).sort());
});

test('what the run-time packages depend on brings the rest', () => {
  const depends = new Map();
  for (const line of run('dpkg-query', ['-W', '-f', '${Package}\t${Depends}, ${Pre-Depends}\n']).stdout.split('\n')) {
    const [name, needs = ''] = line.split('\t');
    depends.set(name, needs.split(/[,|]/).map((word) => word.trim().split(/[ :(]/)[0]).filter(Boolean));
  }
  const closure = new Set();
  const open = [...listed, ...inBase];
  while (open.length > 0) {
    const one = open.pop();
    if (closure.has(one)) continue;
    closure.add(one);
    open.push(...(depends.get(one) ?? []));
  }
  for (const [name, files] of programs) {
    for (const [library, file] of files) {
      assert.notEqual(file, 'not', `${name}: ${library} is not found`);
      assert.ok(closure.has(holders.get(file)), `${name} needs ${library} of ${holders.get(file)}, which no run-time package brings`);
    }
  }
});

const [compose] = yaml('docker/compose.yml');
const services = Object.entries(compose.services);

test('the compose file names what there is', () => {
  const made = text('docker/prepare');
  for (const [name, service] of services) {
    for (const other of Object.keys(service.depends_on ?? {})) assert.ok(compose.services[other], `${name} depends on ${other}`);
    for (const secret of service.secrets ?? []) assert.ok(compose.secrets[secret], `${name}: no secret ${secret}`);
    for (const volume of service.volumes ?? []) {
      const [from] = volume.split(':');
      if (from.startsWith('.')) assert.ok(existsSync(inRoot('docker', from)), `${name}: ${from} is not there`);
      else assert.ok(from in compose.volumes, `${name}: no volume ${from}`);
    }
    if (service.build) {
      assert.ok(existsSync(inRoot('docker', service.build.context, service.build.dockerfile)), name);
      assert.ok(stages.includes(service.build.target), `${name}: no stage ${service.build.target}`);
    }
  }
  for (const [name, { file }] of Object.entries(compose.secrets)) {
    assert.equal(file, `./secrets/${name}`);
    assert.ok(made.includes(name), `docker/prepare does not make ${name}`);
  }
});

test('the compose file shows no secret, and opens ports to this machine only', () => {
  for (const [name, service] of services) {
    for (const [variable, value] of Object.entries(service.environment ?? {})) {
      assert.ok(!/PASSWORD|TOKEN/.test(variable) || variable.endsWith('_FILE'), `${name}: ${variable}`);
      assert.doesNotMatch(String(value), /:\/\/[^/@]*:[^/@]*@/, `${name}: ${variable} holds a password`);
    }
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:/, `${name}: port ${port}`);
    if (!service.build) continue;
    assert.ok(service.read_only && service.cap_drop.includes('ALL'), `${name} is not hardened`);
    assert.ok(!('user' in service), `${name}: the image's user is the right one`);
  }
});

test('the entrypoint gives secrets to its user alone, and becomes the program', () => {
  const [secrets, mine] = [mkdtempSync(join(folder, 'mounted-')), join(folder, 'private')];
  for (const name of ['pgpass', 'token']) writeFileSync(join(secrets, name), `of ${name}\n`, { mode: 0o444 });
  const env = { ...process.env, HYPERSHIFT_SECRETS: secrets, HYPERSHIFT_PRIVATE: mine, PGPASSFILE: '' };
  const result = run(inRoot('docker/entrypoint'), ['sh', '-c', 'echo "$PGPASSFILE $1"; exit 7', 'sh', 'an argument'], { env });
  assert.equal(result.stdout, `${mine}/pgpass an argument\n`);
  assert.equal(result.status, 7);
  for (const name of ['pgpass', 'token']) {
    assert.equal(statSync(join(mine, name)).mode & 0o777, 0o600, name);
    assert.equal(readFileSync(join(mine, name), 'utf8'), `of ${name}\n`);
  }
});

test('the configurations are such as the program reads', () => {
  const [kubernetes] = yaml('docker/kubernetes/configuration.yaml');
  const files = { 'compose.yml': text('docker/hypershift.yml'), 'kubernetes.yml': kubernetes.data['hypershift.yml'] };
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), content);
    const nowhere = `host=${folder} dbname=nowhere`;
    const result = run(program('hypershift'), ['clone', '-c', join(folder, name), '-s', nowhere, '-t', nowhere, '--hide-progress']);
    assert.equal(result.status, 2);
    assert.match(result.stderr, /cannot connect/, `${name}: ${result.stderr}`);
  }
});
