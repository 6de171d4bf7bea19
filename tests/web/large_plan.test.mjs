// 100,000 ranges: answers stay small, are made no more often than they are worth, and the page stays quick.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { root, sleep, until } from '../integration/support/servers.mjs';
import { Chromium } from './support/chromium.mjs';
import { get, pictures } from './support/migration.mjs';
import { parse, sampleOf } from './support/prometheus.mjs';

const ranges = 100000;
let server;
let url;
let browser;

before(async () => {
  server = spawn(join(process.env.HYPERSHIFT_BUILD ?? join(root, 'build'), 'tests/web/large_plan_server'), [String(ranges)], { stdio: ['pipe', 'pipe', 'inherit'] });
  url = await new Promise((resolve, reject) => {
    server.stdout.once('data', (line) => resolve(String(line).trim()));
    server.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
  browser = await Chromium.start();
});
after(async () => {
  await browser?.stop();
  server?.stdin.end();
});

async function timed(path) {
  const begin = performance.now();
  const answer = await get(url + path);
  return { ...answer, milliseconds: performance.now() - begin };
}

// Promise: no answer grows with the number of ranges, and most cost next to nothing.
test('answers are small and quick', async () => {
  await timed('api/v1/state'); // The first has to read everything.
  for (const [path, most] of [['api/v1/state', 20000], ['api/v1/history', 60000], ['api/v1/ranges?table=public.measurements_1&buckets=2000', 120000],
    ['api/v1/ranges?table=public.measurements_1&buckets=99999999', 120000], ['metrics', 60000]]) {
    const times = [];
    let answer;
    for (let i = 0; i < 10; ++i) {
      answer = await timed(path);
      assert.equal(answer.status, 200, answer.text);
      times.push(answer.milliseconds);
      await sleep(200);
    }
    times.sort((a, b) => a - b);
    console.log(`${path}: ${answer.text.length} bytes, median ${times[5].toFixed(1)} ms, worst ${times[9].toFixed(1)} ms`);
    assert.ok(answer.text.length < most, `${path}: ${answer.text.length} bytes`);
    assert.ok(times[5] < 100, `${path}: ${times[5]} ms`);
  }
  const metrics = parse((await timed('metrics')).text);
  console.log(`reading the state took ${(sampleOf(metrics, 'hypershift_http_collect_seconds') * 1000).toFixed(0)} ms`);
});

// Promise: what is put together still says how many there are.
test('no range is lost in the drawing', async () => {
  for (const buckets of [1, 7, 400, 2000]) {
    const drawn = JSON.parse((await timed(`api/v1/ranges?table=public.measurements_2&buckets=${buckets}`)).text);
    const sum = drawn.buckets.reduce((total, bucket) => total + bucket.slice(2).reduce((a, b) => a + b), 0);
    assert.equal(sum, ranges / 5);
    assert.equal(drawn.totals.reduce((a, b) => a + b), ranges / 5);
    assert.ok(drawn.buckets.length <= buckets);
  }
});

// Promise: the page keeps up, and many readers cost no more than one.
test('the page stays quick', async () => {
  const page = await browser.open(url);
  await page.untilText('#lanes', /measurements_5/);
  const before = await page.text('#ranges');
  await Promise.all(Array.from({ length: 50 }, () => get(`${url}api/v1/state`)));
  await until('progress', async () => await page.text('#ranges') !== before);
  // The page's thread is free: it answers at once.
  const begin = performance.now();
  for (let i = 0; i < 20; ++i) await page.evaluate('1');
  const milliseconds = (performance.now() - begin) / 20;
  console.log(`the page answers in ${milliseconds.toFixed(1)} ms`);
  assert.ok(milliseconds < 100, `${milliseconds} ms`);
  await page.screenshot(join(pictures(), 'large-plan.png'));
  assert.deepEqual(page.complaints, []);
  assert.match(await page.text('#read-only'), /started without a token/);
  assert.equal(await page.evaluate("document.getElementById('pause').disabled"), true);
  assert.equal((await get(`${url}api/v1/pause`, { method: 'POST', headers: { Authorization: 'Bearer ' } })).status, 403);
});
