// The web page in a real Chromium, of a real migration: what it shows, what can be clicked, and what it never does.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { query, sleep, until, value } from '../integration/support/servers.mjs';
import { Chromium } from './support/chromium.mjs';
import { assertNoSecret, evilName, get, Migration, pictures, token } from './support/migration.mjs';
import { colours } from './support/png.mjs';

let migration;
let coordinator;
let worker;
let browser;
let page;
let holder;
const api = (path) => `${coordinator.url}api/v1/${path}`;
const tableState = (name) => page.evaluate(`[...document.querySelectorAll('#table-rows tr')].find((row) => row.cells[0].innerText === ${JSON.stringify(name)})?.cells[1].innerText ?? ''`);
const plans = () => (value(migration.to, "SELECT count(*) FROM pg_tables WHERE schemaname = '_hypershift' AND tablename = 'task'") === '1'
  ? Number(value(migration.to, "SELECT count(*) FROM _hypershift.task WHERE kind = 'copy'")) : 0);

before(async () => {
  browser = await Chromium.start();
  migration = await Migration.start();
  coordinator = await migration.coordinator(['--token-file', migration.tokenFile, '--http-linger', '60s']);
  page = await browser.open(coordinator.url);
  await until('a plan', () => plans() > 0);
  query(migration.from, 'REVOKE SELECT ON forbidden FROM secretuser');
  holder = await migration.hold('held');
});
after(async () => {
  await browser?.stop();
  await holder?.end();
  await migration?.stop();
});

// Promise: the page says why nothing moves, before anything does.
test('without a worker it says so', async () => {
  await page.untilText('#status', /^Waits for a worker: none is connected/);
  assert.equal(await page.text('#phase'), 'running');
  await page.untilText('#lanes', /\d+ waiting/);
});

// Promise: what happens shows within moments, without a reload.
test('progress shows live', async () => {
  const before = await page.text('#rows');
  worker = await migration.worker(['--token-file', migration.tokenFile]);
  await page.untilText('#worker-rows', /w1[\s\S]*eu-west-1a/);
  await until('a hypertable that is done', async () => await tableState('public.metrics') === 'done', 120);
  await page.untilText('#lanes', /\d+ compressed/);
  assert.notEqual(await page.text('#rows'), before);
  await page.untilText('#status', /waits for a lock/i);
  // Every other poll brings the chart's points.
  await until('a line of two points', async () =>
    await page.evaluate("document.querySelector('#throughput path.line')?.getAttribute('d').split('L').length ?? 0") >= 2, 20);
});

// Promise: an error stands there in the server's words, with its remedy.
test('a failed table shows its error', async () => {
  assert.match(await page.untilText('#problem-list', /forbidden/), /permission denied for table forbidden[\s\S]*grant the role what it lacks/);
  assert.equal(await tableState('public.forbidden'), 'failed');
});

// Promise: a name is text, whatever it spells.
test('a name that is markup is shown as it is', async () => {
  // It was to travel with the table that is locked.
  await until('the table that is done', async () => await tableState(`public."${evilName}"`) === 'done', 20);
  assert.equal(await page.evaluate("document.querySelectorAll('#table-rows img, #problem-list img, #lanes img').length"), 0);
});

// Promise: without the token the page only shows, and says so; the server refuses whoever asks it directly.
test('nothing can be steered without the token', async () => {
  assert.equal(await page.evaluate("document.getElementById('pause').disabled"), true);
  assert.equal(await page.evaluate("document.querySelector('button.retry').disabled"), true);
  assert.match(await page.text('#read-only'), /token/);
  for (const command of ['pause', 'resume', 'retry?table=public.forbidden', 'check']) {
    for (const headers of [{}, { Authorization: 'Bearer wrong' }, { Authorization: `Bearer ${token}x` }, { Authorization: `Basic ${token}` }]) {
      assert.equal((await get(api(command), { method: 'POST', headers })).status, 401, command);
    }
    assert.equal((await get(api(command))).status, 404, 'never by GET');
  }
  await page.click('#pause');
  await sleep(300);
  assert.equal(page.requests.filter(({ method }) => method === 'POST').length, 0);
});

// Promise: pages of others can't reach it through a name that leads here, and no browser loads anything from elsewhere for it.
test('it is known by no name of others', async () => {
  const { hostname, port } = new URL(coordinator.url);
  const { request } = await import('node:http');
  const statusOf = (host) => new Promise((resolve, reject) => {
    request({ host: hostname, port, path: '/api/v1/state', headers: { Host: host } }, (response) => resolve(response.resume().statusCode)).on('error', reject).end();
  });
  assert.equal(await statusOf(`evil.example:${port}`), 421);
  assert.equal(await statusOf(`localhost:${port}`), 200);
  const { headers, text } = await get(coordinator.url);
  assert.match(headers.get('content-security-policy'), /^default-src 'self'/);
  assert.equal(headers.get('x-content-type-options'), 'nosniff');
  for (const file of ['', 'app.js', 'charts.js', 'style.css', 'icon.svg']) {
    assert.doesNotMatch((await get(coordinator.url + file)).text.replaceAll('http://www.w3.org/2000/svg', ''), /https?:\/\//, file);
  }
  assert.match(text, /<title>Hypershift/);
});

// Promise: with the token a click tries a failed table again.
test('with the token a failed table is tried again', async () => {
  await page.click('#unlock');
  await page.click('#token');
  await page.type('not-the-token-at-all');
  await page.press('Enter');
  await page.untilText('#token-error', /not this coordinator/);
  // The refusal is what the test is about; nothing else may have been complained of.
  assert.deepEqual(page.complaints.filter((line) => !/401/.test(line)), []);
  page.complaints = [];
  await page.evaluate("document.getElementById('token').value = ''");
  await page.click('#token');
  await page.type(token);
  await page.press('Enter');
  await until('the buttons', () => page.evaluate("!document.getElementById('pause').disabled && !document.querySelector('button.retry').disabled"));
  query(migration.from, 'GRANT SELECT ON forbidden TO secretuser');
  await page.click('button.retry');
  await page.untilText('#said', /public\.forbidden: its failed steps are tried again/);
  await until('its rows', () => value(migration.to, 'SELECT count(*) FROM forbidden') === '2000');
  await until('it to be done', async () => await tableState('public.forbidden') === 'done');
});

// Promise: Pause asks the coordinator, and the page tells what it answers.
test('pause and resume by a click', async () => {
  await page.click('#pause');
  await until('a request', () => page.requests.some(({ url, method }) => method === 'POST' && url.endsWith('/api/v1/pause?')));
  await page.untilText('#phase', /^paused$/);
  await page.click('#pause');
  await page.untilText('#phase', /^running$/);
});

// Promise: it can be read at every width, in light and dark. The pictures are for people; here only that something is drawn.
test('pictures of it', async () => {
  for (const [name, width, height, dark] of [['wide-light', 1280, 900, false], ['wide-dark', 1280, 900, true], ['phone-light', 390, 844, false], ['phone-dark', 390, 844, true]]) {
    await page.resize(width, height);
    await page.dark(dark);
    await sleep(1500);
    const overflow = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
    assert.ok(overflow <= 0, `${name} is ${overflow} px too wide`);
    const seen = colours(await page.screenshot(join(pictures(), `page-${name}.png`)));
    assert.ok(seen.size > 50, `${name}: ${seen.size} colours`);
    const lane = await page.evaluate(`(() => {
      const canvas = document.querySelector('.lane canvas');
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      let drawn = 0;
      for (let i = 3; i < data.length; i += 4) drawn += data[i] === 255;
      return drawn / (data.length / 4);
    })()`);
    assert.ok(lane > 0.5, `${name}: ${lane} of the lane is drawn`);
  }
  await page.resize(1280, 900);
  await page.dark(false);
});

// Promise: the last thing that it says is how the migration ended; and when nobody answers any more, since when.
test('the end shows, and that the coordinator has gone', async () => {
  await holder.end();
  holder = undefined;
  await page.untilText('#final', /^Done in .*4 tables, 68,000 rows/, 120);
  assert.equal(await page.text('#phase'), 'done');
  assert.equal(await page.text('#percent'), '100 %');
  assertNoSecret(await page.evaluate('document.documentElement.outerHTML'));
  for (const path of ['state', 'history', 'ranges?table=public.metrics']) assertNoSecret((await get(api(path))).text);
  await page.screenshot(join(pictures(), 'page-done.png'));
  assert.deepEqual(page.complaints, []);
  coordinator.child.kill('SIGTERM');
  const { code, stderr } = await coordinator.done;
  assert.equal(code, 0, stderr);
  assertNoSecret(stderr);
  await page.untilText('#lost', /^The coordinator has ended/);
  const { code: workerCode } = await worker.done;
  assert.equal(workerCode, 0);
  // Nothing was asked of anybody else.
  const { origin } = new URL(coordinator.url);
  assert.deepEqual([...new Set(page.requests.map(({ url }) => new URL(url).origin))], [origin]);
});
