// Metrics of coordinator and worker, scraped while a real migration runs: well-formed, never falling, and right in the end.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, until, value } from '../integration/support/servers.mjs';
import { assertNoSecret, evilName, get, Migration } from './support/migration.mjs';
import { parse, sampleOf } from './support/prometheus.mjs';

let migration;
let coordinator;
let worker;
const documented = readFileSync(join(root, 'docs/metrics.md'), 'utf8');

before(async () => {
  migration = await Migration.start();
});
after(() => migration?.stop());

async function scrape(url) {
  const { status, headers, text } = await get(url);
  assert.equal(status, 200, text);
  assert.match(headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  assertNoSecret(text);
  const families = parse(text);
  for (const [family, { type }] of families) assert.match(documented, new RegExp(`\`${family}\` \\| ${type}`), `${family} stands in docs/metrics.md`);
  return families;
}

// Counters of a scrape by series.
const counters = (families) => new Map([...families].filter(([, { type }]) => type === 'counter')
  .flatMap(([, { samples }]) => samples.map(({ metric, labels, value: number }) => [`${metric} ${JSON.stringify(labels)}`, number])));

function assertNotFallen(before, now) {
  for (const [series, number] of counters(before)) assert.ok((counters(now).get(series) ?? -1) >= number, `${series} fell from ${number}`);
}

// Promise: what is off this machine can't read them in plain text, and bad addresses are told at once.
test('an address off loopback is refused', async () => {
  for (const [address, words] of [['0.0.0.0:0', /--http: .*not on loopback/], ['nonsense', /--http: .*host:port/], ['[::]:80', /--http: .*not on loopback/]]) {
    const refused = await run(['clone', '--http', address, '-c', migration.config], migration.connections());
    assert.equal(refused.code, 2, refused.stderr);
    assert.match(refused.stderr, words);
    assert.equal(refused.stderr.trim().split('\n').length, 1, refused.stderr);
  }
  const noToken = await run(['clone', '--http', '127.0.0.1:0', '--token-file', migration.config + '.none'], migration.connections());
  assert.equal(noToken.code, 2);
  assert.match(noToken.stderr, /--token-file: .*none/);
});

// Promise: the counters of a finished migration are the source's own counts, and none has fallen on the way, not even when the
// coordinator was killed.
test('counters go up, outlive the coordinator and end at the source\'s counts', async () => {
  coordinator = await migration.coordinator(['--lease-duration', '2s', '--leader-lease', '2s']);
  await until('a plan', async () => sampleOf(await scrape(`${coordinator.url}metrics`), 'hypershift_migration_phase', { phase: 'run' }) === 1);
  const holder = await migration.hold('held');
  worker = await migration.worker();
  let last = await scrape(`${coordinator.url}metrics`);
  let lastWorker = await scrape(worker.url);
  const look = async () => {
    const now = await scrape(`${coordinator.url}metrics`);
    assertNotFallen(last, now);
    last = now;
  };
  const lookAtWorker = async () => {
    const now = await scrape(worker.url);
    assertNotFallen(lastWorker, now);
    lastWorker = now;
  };
  await until('all tables but one', async () => {
    await look();
    await lookAtWorker();
    return sampleOf(last, 'hypershift_tables', { state: 'done' }) === 3;
  }, 120);
  assert.ok(sampleOf(last, 'hypershift_snapshot_age_seconds') > 0);
  assert.equal(sampleOf(last, 'hypershift_snapshot_holders'), 1);
  assert.equal(sampleOf(last, 'hypershift_worker_slots', { worker: 'w1', zone: 'eu-west-1a' }), 3);
  assert.equal(sampleOf(last, 'hypershift_worker_leases', { worker: 'w1' }), 1);
  assert.equal(sampleOf(lastWorker, 'hypershift_worker_coordinator_connected'), 1);
  assert.equal(sampleOf(lastWorker, 'hypershift_worker_snapshot_held'), 1);
  assert.equal(sampleOf(lastWorker, 'hypershift_worker_slots_busy'), 1);
  const others = ['metrics', 'forbidden', evilName].reduce((sum, table) => sum + Number(value(migration.from, `SELECT count(*) FROM "${table}"`)), 0);
  await until('the worker to have counted them', async () => {
    await lookAtWorker();
    return sampleOf(lastWorker, 'hypershift_worker_rows_copied_total') === others;
  });

  coordinator.child.kill('SIGKILL');
  await until('the worker to notice', async () => sampleOf(await scrape(worker.url), 'hypershift_worker_coordinator_connected') === 0);
  coordinator = await migration.coordinator(['--lease-duration', '2s', '--leader-lease', '2s', '--http-linger', '60s']);
  // Missing for a moment, but never less than it was.
  await until('the plan to be read again', async () => {
    const now = await scrape(`${coordinator.url}metrics`);
    for (const [series, number] of counters(now)) assert.ok(number >= (counters(last).get(series) ?? 0), series);
    return now.has('hypershift_tasks_done_total') && now.has('hypershift_rows_copied_total');
  });
  await look();
  await holder.end();
  await until('the end', async () => {
    await look();
    return sampleOf(last, 'hypershift_migration_phase', { phase: 'done' }) === 1;
  }, 120);
  let all = 0;
  for (const table of ['metrics', 'forbidden', 'held', evilName]) {
    const rows = Number(value(migration.from, `SELECT count(*) FROM "${table}"`));
    all += rows;
    assert.equal(sampleOf(last, 'hypershift_table_rows_copied_total', { schema: 'public', table }), rows, table);
  }
  assert.equal(sampleOf(last, 'hypershift_rows_copied_total'), all);
  assert.equal(sampleOf(last, 'hypershift_bytes_copied_total'), Number(value(migration.to, "SELECT sum(bytes) FROM _hypershift.task WHERE kind = 'copy'")));
  const ranges = Number(value(migration.to, "SELECT count(*) FROM _hypershift.task WHERE kind = 'copy'"));
  assert.equal(sampleOf(last, 'hypershift_ranges_done_total'), ranges);
  assert.equal(last.get('hypershift_task_duration_seconds').samples.find(({ metric, labels }) => metric.endsWith('_count') && labels.kind === 'copy').value, ranges);
  assert.equal(sampleOf(last, 'hypershift_snapshot_released'), 1);
  assert.equal(last.has('hypershift_snapshot_age_seconds'), false);
  coordinator.child.kill('SIGTERM');
  assert.equal((await coordinator.done).code, 0);
});
