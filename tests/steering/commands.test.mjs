// Each command that steers a migration, while one runs between real servers with two workers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ask } from '../fault/cluster.mjs';
import { query, sleep, start, until, value } from '../integration/support/servers.mjs';
import { programs } from '../fault/support/scene.mjs';
import { attempts, begin, command, journal, readers, refuses, sessions, startScene, statusLine, succeeds } from './support.mjs';

let scene;
before(async () => {
  scene = await startScene('max_bytes_per_second: 2MB\n');
});
after(() => scene?.stop());

// Promise: the lists show what there is, the limits of the configuration hold and can be seen and changed while it runs, and an
// unknown name is refused in one line that says what there is. With the limits gone the migration ends whole.
test('tables, tasks, workers and set', async (t) => {
  const { move } = await begin(t, scene, 14);
  assert.match(await succeeds(move, 'tables'), /^public\.t3 .*(copying|waiting|done)/m);
  assert.equal(JSON.parse(await succeeds(move, 'tables', '--json')).tables.length, 15);
  const tasks = await succeeds(move, 'tasks');
  assert.match(tasks, /copy +leased +1 +w[12] /);
  assert.match(tasks, /pending.*waits for a free slot/);
  assert.match(tasks, /pending.*waits for earlier steps of its table/);
  const all = (await succeeds(move, 'tasks', '--json')).trim().split('\n').map((line) => JSON.parse(line));
  assert.equal(all.length, await move.count('true'));
  const own = (await succeeds(move, 'tasks', '--table', 'public.t1', '--json')).trim().split('\n').map((line) => JSON.parse(line));
  assert.ok(own.length > 0 && own.every(({ table }) => table === 'public.t1'));
  assert.match(await succeeds(move, 'tasks', '--state', 'failed'), /no such task/);
  assert.match(await succeeds(move, 'workers'), /^w1 .*held.*connected$/m);
  assert.equal(JSON.parse(await succeeds(move, 'workers', '--json')).workers.length, 2);
  await refuses(move, /no table public\.t99: there are public\.small, public\.t0/, 'tasks', '--table', 'public.t99');
  await refuses(move, /there are pending, leased, done, failed/, 'tasks', '--state', 'lost');
  await refuses(move, /there is no limit 'max-speed': there are max-slots, /, 'set', 'max-speed', '4');

  assert.match(await succeeds(move, 'set'), /^max-bytes-per-second +2MB$/m);
  // Measured over some seconds.
  await move.untilStatus('a rate', ({ migration }) => Number(migration.bytesPerSecond) > 1.5e6 && /max-bytes-per-second 2MB/.test(migration.throttled));
  assert.match(await succeeds(move, 'status'), /limits +max-bytes-per-second 2MB/);
  assert.match(await succeeds(move, 'workers'), /MiB\/s/);

  // One task at a time: others end, none begins.
  assert.match(await succeeds(move, 'set', 'max-slots', '1'), /^max-slots +1$/m);
  await move.untilStatus('one task', ({ migration }) => /max-slots 1/.test(migration.throttled) && Number(migration.tasksRunning) === 1);
  for (let i = 0; i < 10; ++i) {
    assert.ok(await move.count("state = 'leased'") <= 1);
    await sleep(100);
  }
  await succeeds(move, 'set', 'max-slots', 'off', 'max-bytes-per-second', '0');
  await move.endsWell();
  assert.deepEqual(JSON.parse(await journal(move, 'limits')), { maxSlots: 0, maxBytesPerSecond: '0' });
  move.assertWhole();
});

// Promise: after `pause` nothing begins: reads stop with the ranges that run. It says so, keeps the snapshot, outlives a kill -9
// of the coordinator, and `resume` brings a target that equals the source as of the snapshot.
test('pause and resume', async (t) => {
  const { move, leader, workers } = await begin(t, scene, 14);
  const before = await attempts(move, 'copy');
  assert.match(await succeeds(move, 'pause'), /running tasks finish/);
  assert.match(await statusLine(move), /^paused since .* UTC: .*`hypershift resume` goes on$/);
  await until('the end of what runs', async () => await move.count("state = 'leased'") === 0, 30);
  const begun = await attempts(move);
  // What was decided while the command started may have begun with it; no more than there are slots.
  const copies = await attempts(move, 'copy') - before;
  assert.ok(copies <= 3, `${copies} copies began`);
  const left = await move.count("kind = 'copy' AND state = 'pending'");
  assert.ok(left > 2, 'nothing was left to pause');
  for (let i = 0; i < 20; ++i) {
    assert.equal(await readers(move), 0);
    await sleep(200);
  }
  assert.equal(await attempts(move), begun);
  assert.match(await succeeds(move, 'tasks', '--state', 'pending'), /waits for the end of the pause: hypershift resume/);
  const snapshot = await journal(move, 'snapshot');

  leader.child.kill('SIGKILL');
  await leader.done;
  query(move.from, "UPDATE t9 SET payload = 'later'; DELETE FROM t8 WHERE id % 2 = 0");
  const second = move.coordinator();
  // Not before it leads: until then it refuses commands.
  await move.untilStatus('the pause again', ({ migration, workers: known }) => migration.phase === 'PHASE_RUN' && migration.paused
    && known.filter((w) => w.connected).length === 2);
  await succeeds(move, 'pause'); // Once more changes nothing.
  await sleep(3000);
  assert.equal(await attempts(move), begun);
  assert.equal(await readers(move), 0);
  const { migration } = await move.status();
  assert.ok(migration.paused && migration.snapshotHolders === 2, JSON.stringify(migration));

  await succeeds(move, 'resume');
  await until('a range after it', async () => await attempts(move) > begun, 10);
  assert.equal(await journal(move, 'snapshot'), snapshot);
  await succeeds(move, 'set', 'max-bytes-per-second', 'off');
  await move.endsWell(second, ...workers);
  move.assertWhole();
});

// Promise: a drained worker finishes what it runs, gets nothing more and ends with 0; the last one that holds the snapshot is
// not sent away, a keeper not either, and what is left is done by others.
test('drain', async (t) => {
  const { move, leader, workers } = await begin(t, scene, 12);
  await refuses(move, /there is no worker w9: there are w1, w2/, 'drain', 'w9');
  const running = await ask(move.to, "SELECT id FROM _hypershift.task WHERE state = 'leased' AND worker = 'w1'");
  assert.match(await succeeds(move, 'drain', 'w1'), /Worker w1 (drains|runs nothing)/);
  const { workers: known } = await move.status();
  assert.ok(known.find(({ name }) => name === 'w1').draining);
  await refuses(move, /worker w2 is the last that holds the source's snapshot, and \d+ ranges are left/, 'drain', 'w2');
  const { code, stderr } = await workers[0].done;
  assert.equal(code, 0, stderr);
  if (running.length > 0) {
    assert.equal(await move.count(`id IN (${running.join(',')}) AND state = 'done' AND attempt = 1 AND worker = 'w1'`), running.length);
  }
  assert.equal(await move.count("state = 'leased' AND worker = 'w1'"), 0);
  assert.ok(await move.count("kind = 'copy' AND state <> 'done'") > 0, 'nothing was left to do');
  // With a keeper beside it the other one may go; then the keeper is the last.
  const keeper = move.worker({ name: 'keeper', slots: 0 });
  await move.untilStatus('the keeper', ({ workers: all }) => all.some((w) => w.name === 'keeper' && w.holdsSnapshot));
  await succeeds(move, 'drain', 'w2');
  await refuses(move, /worker keeper is the last that holds/, 'drain', 'keeper');
  assert.equal((await workers[1].done).code, 0);
  assert.match(await statusLine(move), /waits for a worker/);
  const last = move.worker({ name: 'w3', slots: 3 });
  await succeeds(move, 'set', 'max-bytes-per-second', 'off');
  await move.endsWell(leader, keeper, last);
  move.assertWhole();
});

// Promise: `cancel` asks first, then gives the migration up: running ranges are rolled back, nothing is held on the source, all
// processes end, and nobody resumes it: neither a stand-by nor the same command again, which says what to do.
test('cancel', async (t) => {
  const { move, leader, workers } = await begin(t, scene, 14);
  const standby = move.coordinator({ name: 'b', more: ['--standby'] });
  // It must have seen the migration.
  await until('the stand-by', async () => (await start(['status', '--json', '--coordinator', move.address('b')], {}, { program: programs.clone }).done)
    .stdout.includes('leads migration'));
  const asked = await command(move, 'cancel');
  assert.equal(asked.code, 2);
  assert.match(asked.stdout, /would end for good[^]*rolled back[^]*stays/);
  assert.match(asked.stderr, /nothing was cancelled: say --yes/);
  assert.ok(await move.count("state = 'leased'") > 0);

  assert.match(await succeeds(move, 'cancel', '--yes'), /^Cancelled: /);
  const ended = await leader.done;
  assert.equal(ended.code, 5, ended.stderr);
  assert.match(ended.stderr, /hypershift-coordinator: cancelled: the schema and \d+ rows in \d+ of \d+ ranges stay on the target; .*`hypershift cleanup`/);
  for (const worker of workers) assert.equal((await worker.done).code, 0);
  assert.equal((await standby.done).code, 0);
  await until('no session on the source', async () => await sessions(move.from) === 0, 10);
  await until('no session on the target', async () => await sessions(move.to) === 0, 10);
  assert.equal(await move.count("state = 'leased'"), 0);
  assert.equal(await journal(move, "cancelled_at IS NOT NULL AND snapshot_released_at IS NOT NULL AND phase <> 'done'"), 't');
  // What has committed is there, and nothing else.
  for (const line of query(move.to, `SELECT t.table_name || '|' || coalesce(sum(k.rows) FILTER (WHERE k.state = 'done'), 0)
    FROM _hypershift.task k JOIN _hypershift.source_table t ON t.id = k.table_id WHERE k.kind = 'copy' GROUP BY t.table_name`)) {
    const [name, rows] = line.split('|');
    assert.equal(value(move.to, `SELECT count(*) FROM ${name}`), rows, name);
  }

  const again = await move.coordinator().done;
  assert.equal(again.code, 2);
  assert.match(again.stderr, /was cancelled at .* can't be resumed: .*`hypershift cleanup`/);
  const late = await move.coordinator({ name: 'c', more: ['--standby'] }).done;
  assert.equal(late.code, 2, late.stderr);
  const cleaned = await start(['cleanup', '-t', move.to], {}, { program: programs.clone }).done;
  assert.equal(cleaned.code, 0, cleaned.stderr);
});

// Promise: the same in one process: `clone` ends with 5 and says what stays.
test('cancel of a clone, found by its target', async (t) => {
  const move = scene.move('CREATE TABLE a AS SELECT i, repeat(md5(i::text), 200) AS t FROM generate_series(1, 5000) i;');
  t.after(() => move.end());
  const clone = move.clone();
  await until('a copy', async () => await move.count("kind = 'copy' AND state = 'leased'") > 0);
  const cancelled = await start(['cancel', '--yes', '-t', move.to], {}, { program: programs.clone }).done;
  assert.equal(cancelled.code, 0, cancelled.stderr);
  const { code, stdout } = await clone.done;
  assert.equal(code, 5, stdout);
  assert.match(stdout, /Migration \w+ cancelled: /);
  await until('nothing on the source', async () => await sessions(move.from) === 0, 10);
});
