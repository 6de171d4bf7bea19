// A real Chromium without a window, driven over the pipe of its DevTools protocol: opens a page, clicks and types as a person
// would, and keeps everything that the page complained about or asked for.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../integration/support/servers.mjs';

const program = process.env.HYPERSHIFT_CHROMIUM ?? 'chromium';
const callSeconds = 30;

export class Chromium {
  static async start() {
    const found = spawnSync(program, ['--version'], { encoding: 'utf8' });
    assert.equal(found.status, 0, `${program} is not here: install what scripts/debian-packages.txt names (scripts/setup)`);
    const browser = new Chromium();
    browser.folder = mkdtempSync(join(tmpdir(), 'hypershift-chromium-'));
    browser.child = spawn(program, ['--headless=new', '--remote-debugging-pipe', '--no-sandbox', '--disable-gpu', '--no-first-run',
      '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--hide-scrollbars', `--user-data-dir=${browser.folder}`],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true });
    browser.ended = new Promise((resolve) => browser.child.on('close', resolve));
    browser.calls = new Map();
    browser.pages = new Map();
    browser.last = 0;
    browser.read(browser.child.stdio[4]);
    browser.child.stdio[3].on('error', () => {});
    await browser.call('Browser.getVersion');
    return browser;
  }

  async stop() {
    // With all its processes: they would go on writing into the folder.
    process.kill(-this.child.pid, 'SIGKILL');
    await this.ended;
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  read(stream) {
    let text = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk) => {
      text += chunk;
      const messages = text.split('\0');
      text = messages.pop();
      for (const message of messages) this.take(JSON.parse(message));
    });
  }

  take(message) {
    const call = this.calls.get(message.id);
    if (!call) return this.pages.get(message.sessionId)?.take(message);
    this.calls.delete(message.id);
    clearTimeout(call.timer);
    if (message.error) call.reject(new Error(`${call.method}: ${message.error.message}`));
    else call.resolve(message.result);
  }

  call(method, params = {}, sessionId = undefined) {
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method}: no answer within ${callSeconds} s`)), callSeconds * 1000);
      this.calls.set(id, { method, resolve, reject, timer });
      this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  // A new page, opened at `url` as wide as that.
  async open(url, { width = 1280, height = 900, dark = false } = {}) {
    const { targetId } = await this.call('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.call('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId);
    this.pages.set(sessionId, page);
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.call(`${domain}.enable`);
    await page.resize(width, height);
    await page.dark(dark);
    await page.call('Page.navigate', { url });
    return page;
  }
}

class Page {
  constructor(browser, sessionId) {
    this.browser = browser;
    this.sessionId = sessionId;
    this.complaints = [];
    this.requests = [];
  }

  call(method, params = {}) {
    return this.browser.call(method, params, this.sessionId);
  }

  take({ method, params }) {
    if (method === 'Runtime.exceptionThrown') this.complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === 'Runtime.consoleAPICalled' && ['error', 'warning', 'assert'].includes(params.type)) this.complaints.push(JSON.stringify(params.args));
    if (method === 'Log.entryAdded' && ['error', 'warning'].includes(params.entry.level)) this.complaints.push(`${params.entry.text} ${params.entry.url ?? ''}`);
    if (method === 'Page.javascriptDialogOpening') this.complaints.push(`a dialog: ${params.message}`);
    if (method === 'Network.requestWillBeSent') this.requests.push(params.request);
  }

  resize(width, height) {
    return this.call('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
  }

  dark(on) {
    return this.call('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: on ? 'dark' : 'light' }] });
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.call('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  }

  // What the element shows.
  text(selector) {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ''`);
  }

  async untilText(selector, pattern, seconds = 60) {
    let text = '';
    await until(`${selector} to show ${pattern}`, async () => pattern.test(text = await this.text(selector)), seconds).catch((error) => {
      throw new Error(`${error.message}; it shows '${text}'`);
    });
    return text;
  }

  // With the mouse, in the element's middle: what covers it or disables it is felt.
  async click(selector) {
    const point = await this.evaluate(`(() => {
      const element = document.querySelector(${JSON.stringify(selector)});
      element.scrollIntoView({ block: 'center' });
      const box = element.getBoundingClientRect();
      return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    })()`);
    for (const type of ['mousePressed', 'mouseReleased']) {
      await this.call('Input.dispatchMouseEvent', { type, ...point, button: 'left', clickCount: 1 });
    }
  }

  type(text) {
    return this.call('Input.insertText', { text });
  }

  async press(key) {
    for (const type of ['keyDown', 'keyUp']) await this.call('Input.dispatchKeyEvent', { type, key, code: key, windowsVirtualKeyCode: { Enter: 13, ArrowRight: 39, ArrowLeft: 37 }[key], text: type === 'keyDown' && key === 'Enter' ? '\r' : undefined });
  }

  // The whole page, as a PNG.
  async screenshot(path) {
    const { data } = await this.call('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true });
    const png = Buffer.from(data, 'base64');
    writeFileSync(path, png);
    return png;
  }
}
