// Promise: the manifests hang together: names that one uses another one has, and nothing runs with more rights than it needs.
// There is no cluster where this runs: that one takes them is not checked here.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filesBelow, inRoot, yaml } from './support/project.mjs';
import { run } from './support/programs.mjs';

console.log('not checked: that a cluster takes the manifests');
const [kustomization] = yaml('docker/kubernetes/kustomization.yaml');
const objects = kustomization.resources.flatMap((file) => yaml(`docker/kubernetes/${file}`));
const ofKind = (kind) => objects.filter((object) => object.kind === kind);
const pods = objects.filter((object) => object.spec?.template).map((object) => [object.metadata.name, object.spec.template]);
// Made by hand, as docker/README.md says.
const secretKeys = {
  'hypershift-databases': ['pgpass'],
  'hypershift-token': ['token'],
  'hypershift-tls': ['ca.pem', 'server.pem', 'server.key'],
};
const versions = {
  ConfigMap: 'v1', Deployment: 'apps/v1', Job: 'batch/v1', Namespace: 'v1', NetworkPolicy: 'networking.k8s.io/v1', Service: 'v1',
};
const selects = (selector, labels) => Object.entries(selector).every(([key, value]) => labels[key] === value);

test('every manifest is in the kustomization, with kind, version and name', () => {
  const files = filesBelow('docker/kubernetes', /\.yaml$/).map((path) => path.split('/').pop());
  assert.deepEqual([...kustomization.resources, 'kustomization.yaml'].sort(), files);
  for (const object of objects) {
    assert.equal(object.apiVersion, versions[object.kind], object.kind);
    assert.match(object.metadata.name, /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
  }
  assert.deepEqual(pods.map(([name]) => name).sort(), ['hypershift-coordinator', 'hypershift-keeper', 'hypershift-worker']);
});

test('selectors select', () => {
  for (const deployment of ofKind('Deployment')) {
    assert.ok(selects(deployment.spec.selector.matchLabels, deployment.spec.template.metadata.labels), deployment.metadata.name);
  }
  const labels = pods.map(([, pod]) => pod.metadata.labels);
  for (const selector of [
    ...ofKind('Service').map((service) => service.spec.selector),
    ...ofKind('NetworkPolicy').map((policy) => policy.spec.podSelector.matchLabels),
  ]) {
    assert.ok(labels.some((one) => selects(selector, one)), JSON.stringify(selector));
  }
});

test('services lead to ports that there are', () => {
  for (const service of ofKind('Service')) {
    const [, pod] = pods.find(([, pod]) => selects(service.spec.selector, pod.metadata.labels));
    const ports = pod.spec.containers.flatMap((container) => container.ports.map((port) => port.name));
    for (const port of service.spec.ports) assert.ok(ports.includes(port.targetPort), `no port ${port.targetPort}`);
  }
  const service = ofKind('Service')[0];
  for (const [name, pod] of pods.filter(([name]) => name !== 'hypershift-coordinator')) {
    assert.ok(pod.spec.containers[0].args.includes(`--coordinator=${service.metadata.name}:${service.spec.ports[0].port}`), name);
  }
});

test('volumes, keys and variables are there', () => {
  const [configuration] = ofKind('ConfigMap');
  for (const [name, { spec }] of pods) {
    const [container] = spec.containers;
    const volumes = new Map(spec.volumes.map((volume) => [volume.name, volume]));
    for (const mount of container.volumeMounts) assert.ok(volumes.has(mount.name), `${name}: no volume ${mount.name}`);
    assert.equal(volumes.size, container.volumeMounts.length, `${name}: a volume that nobody mounts`);
    const projected = volumes.get('secrets').projected.sources.map((source) => source.secret);
    const files = projected.flatMap((secret) => secret.items.map((item) => item.path));
    for (const secret of projected) {
      for (const { key } of secret.items) assert.ok(secretKeys[secret.name].includes(key), `${name}: ${secret.name} has no ${key}`);
    }
    const made = container.env.map((variable) => variable.name);
    for (const argument of container.args) {
      for (const [, variable] of argument.matchAll(/\$\((\w+)\)/g)) assert.ok(made.includes(variable), `${name}: no ${variable}`);
      const [, file] = argument.match(/=\/tmp\/secrets\/(.*)/) ?? [];
      if (file) assert.ok(files.includes(file), `${name}: ${argument} is no secret of its`);
    }
    for (const { name: variable, valueFrom } of container.env) {
      if (!valueFrom?.configMapKeyRef) continue;
      assert.equal(valueFrom.configMapKeyRef.name, configuration.metadata.name);
      assert.ok(valueFrom.configMapKeyRef.key in configuration.data, `${name}: ${variable}`);
    }
  }
  for (const value of Object.values(configuration.data)) assert.doesNotMatch(value, /:\/\/[^/@\s]*:[^/@\s]*@/, 'a password');
});

test('pods have no more rights than they need, and time to end', () => {
  for (const [name, { spec }] of pods) {
    const { securityContext: pod, containers: [{ securityContext: own, resources, args }] } = spec;
    assert.equal(pod.runAsNonRoot, true, name);
    assert.equal(pod.runAsUser, 10001, name);
    assert.equal(pod.seccompProfile.type, 'RuntimeDefault', name);
    assert.equal(own.allowPrivilegeEscalation, false, name);
    assert.equal(own.readOnlyRootFilesystem, true, name);
    assert.deepEqual(own.capabilities.drop, ['ALL'], name);
    assert.equal(spec.automountServiceAccountToken, false, name);
    assert.ok(resources.requests.memory && resources.limits.memory && resources.requests.cpu, name);
    if (!args.includes('--slots=0')) assert.ok(spec.terminationGracePeriodSeconds >= 600, name);
  }
});

test('a Job does not repeat what a person must decide on', () => {
  const [job] = ofKind('Job');
  assert.equal(job.spec.template.spec.restartPolicy, 'Never');
  const rule = job.spec.podFailurePolicy.rules.find((one) => one.action === 'FailJob');
  assert.deepEqual(rule.onExitCodes.values, [1, 2, 3, 4, 5]);
  assert.equal(rule.onExitCodes.containerName, job.spec.template.spec.containers[0].name);
});

test('kubectl puts them together', (t) => {
  if (run('sh', ['-c', 'command -v kubectl']).status !== 0) return t.skip('there is no kubectl');
  const built = run('kubectl', ['kustomize', inRoot('docker/kubernetes')]);
  assert.equal(built.status, 0, built.stderr);
  assert.equal(built.stdout.match(/^kind:/gm).length, objects.length);
});
