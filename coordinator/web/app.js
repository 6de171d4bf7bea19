// The page: asks the coordinator once a second how the migration stands, and shows it. Everything that came from a
// database reaches the page as text, never as markup.
import { bytes, clock, Lane, ThroughputChart } from './charts.js';

const $ = (id) => document.getElementById(id);
const pollMilliseconds = 1000;
const hiddenMilliseconds = 5000;
const answerMilliseconds = 5000;
const firstTables = 100;
const firstLanes = 8;

const phases = {
  unspecified: ['starting', 'idle'], check: ['checking', 'run'], schema: ['schema', 'run'], plan: ['planning', 'run'],
  run: ['running', 'run'], done: ['done', 'good'], failed: ['unfinished', 'bad'], stopped: ['stopped', 'warn'], cancelled: ['given up', 'bad'],
};
const tones = { done: 'good', failed: 'bad', waiting: 'idle' };

let state = null;
let lastSeen = 0; // Milliseconds, by this machine's clock.
let token = '';
let polls = 0;
let shownTables = firstTables;
let shownLanes = firstLanes;
let rate = 0; // Smoothed, for the time left.
const rows = new Map();
const lanes = new Map();
const chart = new ThroughputChart($('throughput'), $('throughput-readout'));

const count = (value) => value.toLocaleString();
const many = (value, one, more = `${one}s`) => `${count(value)} ${value === 1 ? one : more}`;

function duration(seconds) {
  const whole = Math.max(Math.round(seconds), 0);
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  const two = (value) => String(value).padStart(2, '0');
  if (days > 0) return `${days}d ${two(hours)}h`;
  if (hours > 0) return `${hours}h ${two(minutes)}m`;
  if (minutes > 0) return `${minutes}m ${two(whole % 60)}s`;
  return `${whole}s`;
}

// Rounded down: nothing is 100 % before it is.
const percent = (share) => `${Math.floor(share * 100)} %`;

// Touches the document only where something has changed.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
function setTone(element, tone) {
  if (element.dataset.tone !== tone) element.dataset.tone = tone;
}
function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

function make(name, { className = '', text = '', ...attributes } = {}, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function makeBar(label) {
  return make('div', { className: 'bar', role: 'progressbar', 'aria-label': label, 'aria-valuemin': '0', 'aria-valuemax': '100' }, make('div'));
}

function setBar(bar, share, tone = '') {
  const value = String(Math.floor(share * 100));
  if (bar.getAttribute('aria-valuenow') !== value) bar.setAttribute('aria-valuenow', value);
  bar.firstElementChild.style.width = `${share * 100}%`;
  setTone(bar, tone);
}

async function ask(path, options = {}) {
  const response = await fetch(path, { ...options, cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout(answerMilliseconds) });
  const answer = await response.json();
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.error || `status ${response.status}`), { status: response.status });
}

const ended = () => state !== null && ['done', 'failed', 'stopped', 'cancelled'].includes(state.migration.phase);

// --- what is shown ---

function showHead() {
  const { migration } = state;
  const [word, tone] = phases[migration.phase] ?? [migration.phase, 'idle'];
  const paused = migration.paused && !ended();
  setText($('phase'), paused ? 'paused' : word);
  setTone($('phase'), paused ? 'warn' : tone);
  setText($('route'), migration.source ? `${migration.source} → ${migration.target}` : '');
  setText($('status'), sentence(migration));
  document.title = `${percent(state.share)} ${paused ? 'paused' : word} · Hypershift`;
  setText($('about'), `Hypershift ${state.version}${migration.id ? ` · migration ${migration.id}` : ''}${migration.resumed ? ' · resumed' : ''}`);
}

function sentence(migration) {
  if (migration.paused && !ended()) return `Paused: ${migration.status_line || 'nothing new is begun until it is resumed'}`;
  const line = migration.status_line || 'starting';
  return line[0].toUpperCase() + line.slice(1);
}

function showFinal() {
  const { migration } = state;
  show($('final'), ended());
  if (!ended()) return;
  const took = migration.started_at && migration.finished_at ? ` in ${duration(migration.finished_at - migration.started_at)}` : '';
  const words = {
    done: ['good', `Done${took}: ${many(migration.tables[1], 'table')}, ${count(migration.rows[0])} rows.`],
    failed: ['bad', `Ended${took} with ${many(migration.tables[2], 'failed table')}. Remove the cause, then run the same command again: it goes on with what is left.`],
    stopped: ['warn', `Stopped${took}. The same command resumes it.`],
    cancelled: ['bad', 'Given up. It can\'t be resumed; what has committed stays on the target.'],
  }[migration.phase];
  setTone($('final'), words[0]);
  setText($('final'), words[1] + (migration.error ? `\n${migration.error}` : ''));
}

function showFigures() {
  const { migration, share } = state;
  setBar($('bar'), share, { failed: 'bad', done: 'good' }[migration.phase] ?? '');
  setText($('percent'), percent(share));
  const [rowsDone, rowsRunning, rowsEstimated] = migration.rows;
  setText($('rows'), count(rowsDone));
  setText($('rows-more'), share < 1 ? `of about ${count(Math.max(rowsEstimated, rowsDone))}${rowsRunning ? `, ${count(rowsRunning)} in flight` : ''}` : 'committed on the target');
  setText($('bytes'), bytes(migration.bytes[0]));
  setText($('bytes-more'), migration.bytes[1] > 0 ? `and ${bytes(migration.bytes[1])} in flight` : `${bytes(migration.bytes[2])} on the source's disk`);
  setText($('ranges'), `${count(migration.ranges[0])} of ${count(migration.ranges[1])}`);
  setText($('ranges-more'), `${count(migration.tasks[0])} of ${many(migration.tasks[1], 'task')} done`);
  showTimeLeft();
  showSnapshot();
}

function showTimeLeft() {
  const { migration } = state;
  rate = rate === 0 ? state.bytes_per_second : rate + 0.1 * (state.bytes_per_second - rate);
  const since = migration.started_at ? `${duration((migration.finished_at ?? state.now) - migration.started_at)} since the start` : '';
  let left = '–';
  const moves = state.bytes_per_second >= 1;
  if (migration.ranges[1] > 0 && migration.ranges[0] === migration.ranges[1]) left = 'copied';
  else if (!ended() && !migration.paused && moves && state.bytes_left > 0) left = `about ${duration(state.bytes_left / rate)}`;
  setText($('eta'), left);
  setText($('eta-more'), since);
}

function showSnapshot() {
  const { migration } = state;
  if (migration.snapshot_released) {
    setText($('snapshot'), 'released');
    setText($('snapshot-more'), 'nothing is held on the source');
  } else if (migration.snapshot_age === undefined) {
    setText($('snapshot'), 'not taken');
    setText($('snapshot-more'), '');
  } else {
    setText($('snapshot'), duration(migration.snapshot_age));
    const xmin = migration.snapshot_xmin_age > 0 ? `, ${many(migration.snapshot_xmin_age, 'transaction')} kept from vacuum` : '';
    setText($('snapshot-more'), `${many(migration.snapshot_holders, 'keeper')} hold${migration.snapshot_holders === 1 ? 's' : ''} it${xmin}`);
  }
}

// Lists are small and seldom change: written anew when they do.
function showList(list, items) {
  const version = JSON.stringify(items.map(({ title, text, tone, table }) => [title, text, tone, table]));
  if (list.dataset.version === version) return;
  list.dataset.version = version;
  list.replaceChildren(...items.map(({ title, text, tone, table }) => {
    const item = make('li', { 'data-tone': tone ?? '' });
    if (title) item.append(make('strong', { text: title }));
    item.append(text);
    if (table) {
      const retry = make('button', { className: 'small retry', type: 'button', text: 'Try again', 'aria-label': `Try ${table} again` });
      retry.dataset.table = table;
      retry.addEventListener('click', () => steer('retry', { table }, `${table}: its failed steps are tried again.`));
      item.append(make('div', {}, retry));
    }
    return item;
  }));
}

function showProblems() {
  const { migration } = state;
  const items = state.errors.map((error) => ({
    tone: error.failed ? 'bad' : 'warn',
    title: `${error.table || 'The migration'}: ${error.kind.replaceAll('_', ' ')}${error.description ? ` ${error.description}` : ''} ${error.failed ? 'has failed' : `is tried again (attempt ${error.attempt})`}`,
    text: error.error,
    table: error.failed && !ended() ? error.table : '',
  }));
  if (state.errors_total > items.length) items.push({ tone: 'warn', text: `And ${many(state.errors_total - items.length, 'more task')} with errors.` });
  if (migration.error && !ended()) items.unshift({ tone: 'bad', text: migration.error });
  if (migration.throttled) items.push({ tone: 'warn', title: 'Held back', text: migration.throttled });
  // The first one is what the status line says already.
  for (const wait of migration.waits.filter((line) => !migration.status_line.includes(line))) items.push({ tone: 'warn', title: 'Waits', text: wait });
  for (const warning of migration.warnings) items.push({ tone: 'warn', title: 'Warning', text: warning });
  show($('problems'), items.length > 0);
  showList($('problem-list'), items);
  show($('notes'), migration.left_out.length > 0);
  showList($('left-out'), migration.left_out.map((text) => ({ text })));
}

function makeTableRow(table) {
  const bar = makeBar(`Progress of ${table.table}`);
  const cells = {
    state: make('td'), share: make('td', { className: 'wide' }),
    rows: make('td', { className: 'number', 'data-label': 'rows' }), bytes: make('td', { className: 'number', 'data-label': 'data' }),
    ranges: make('td', { className: 'number', 'data-label': 'ranges' }), tasks: make('td', { className: 'number', 'data-label': 'tasks' }),
  };
  const chip = make('span', { className: 'chip' });
  const verdict = make('span', { className: 'chip verdict', hidden: '' });
  const label = make('span');
  cells.state.append(chip, verdict);
  cells.share.append(make('div', { className: 'share' }, bar, label));
  const element = make('tr', {}, make('th', { scope: 'row', text: table.table }), ...Object.values(cells));
  return { element, bar, chip, verdict, label, cells };
}

const verdicts = { equal: ['equal', 'good'], equal_rewritten: ['equal*', 'good'], different: ['differs', 'bad'], not_checked: ['not checked', 'idle'] };

function showTableRow(row, table) {
  setText(row.chip, table.phase);
  setTone(row.chip, tones[table.phase] ?? 'run');
  const verdict = verdicts[table.verify];
  show(row.verdict, verdict !== undefined);
  if (verdict) {
    setText(row.verdict, verdict[0]);
    setTone(row.verdict, verdict[1]);
    row.verdict.title = table.verify_detail;
  }
  setBar(row.bar, table.share, tones[table.phase] === 'idle' ? '' : tones[table.phase] ?? '');
  setText(row.label, percent(table.share));
  setText(row.cells.rows, count(table.rows[0] + table.rows[1]));
  setText(row.cells.bytes, bytes(table.bytes[0] + table.bytes[1]));
  setText(row.cells.ranges, table.ranges[1] === 0 ? '–' : `${count(table.ranges[0])}/${count(table.ranges[1])}`);
  setText(row.cells.tasks, `${count(table.tasks[0])}/${count(table.tasks[1])}`);
}

// What needs a look first, then what moves.
const rank = (table) => ({ failed: 0, waiting: 2, done: 3 })[table.phase] ?? 1;

function showTables() {
  const wanted = $('filter').value.toLowerCase();
  const tables = state.tables.filter((table) => table.table.toLowerCase().includes(wanted)).sort((a, b) => rank(a) - rank(b));
  const visible = tables.slice(0, shownTables);
  for (const table of visible) {
    if (!rows.has(table.table)) rows.set(table.table, makeTableRow(table));
    showTableRow(rows.get(table.table), table);
  }
  const elements = visible.map((table) => rows.get(table.table).element);
  const body = $('table-rows');
  if (elements.length !== body.children.length || elements.some((element, index) => body.children[index] !== element)) body.replaceChildren(...elements);
  show($('no-tables'), state.tables.length === 0);
  setText($('tables-count'), state.tables_total > 0 ? `${count(state.migration.tables[0])} of ${count(state.tables_total)} done` : '');
  show($('more-tables'), tables.length > visible.length);
  setText($('more-tables'), `Show all ${count(tables.length)} tables`);
}

function showWorkers() {
  const version = JSON.stringify(state.workers.map((worker) => ({ ...worker, last_seen: Math.round(state.now - worker.last_seen) })));
  const body = $('worker-rows');
  show($('no-workers'), state.workers.length === 0);
  const slots = state.workers.filter((worker) => worker.connected).reduce((sum, worker) => sum + worker.slots[1], 0);
  setText($('workers-count'), slots > 0 ? many(slots, 'slot') : '');
  if (body.dataset.version === version) return;
  body.dataset.version = version;
  body.replaceChildren(...state.workers.map((worker) => {
    const [busy, all] = worker.slots;
    const squares = Array.from({ length: Math.min(all, 64) }, (_, index) => make('i', { className: index < busy ? 'busy' : '', 'aria-hidden': 'true' }));
    const word = !worker.connected ? 'silent' : worker.draining ? 'draining' : all === 0 ? 'keeper' : busy > 0 ? 'working' : 'idle';
    const tone = { silent: 'bad', draining: 'warn', working: 'run' }[word] ?? 'idle';
    const speed = worker.bytes_per_second > 0 ? `, ${bytes(worker.bytes_per_second)}/s` : '';
    const slowest = worker.bottleneck ? `, slowest: ${worker.bottleneck.replace('_', ' ')}` : '';
    return make('tr', {}, make('th', { scope: 'row', text: worker.name }),
      make('td', { text: worker.zone || '–', 'data-label': 'zone' }),
      make('td', {}, make('span', { className: 'chip', 'data-tone': tone, text: word })),
      make('td', { className: 'wide' }, make('div', { className: 'slots' }, ...squares, make('span', { text: all === 0 ? 'none' : `${busy} of ${all} busy${speed}${slowest}` }))),
      make('td', { text: worker.holds_snapshot ? 'held' : '–', 'data-label': 'snapshot' }),
      make('td', { className: 'number', text: `${duration(state.now - worker.last_seen)} ago`, 'data-label': 'heard' }));
  }));
}

// --- ranges along time ---

async function showLanes() {
  const tables = state.tables.filter((table) => table.method === 'time' && table.ranges[1] > 0);
  show($('lanes-section'), tables.length > 0);
  show($('more-lanes'), tables.length > shownLanes);
  setText($('more-lanes'), `Show all ${count(tables.length)} hypertables`);
  for (const table of tables.slice(0, shownLanes)) {
    if (!lanes.has(table.table)) {
      lanes.set(table.table, { lane: new Lane(table.table), version: '' });
      $('lanes').append(lanes.get(table.table).lane.element);
    }
    const entry = lanes.get(table.table);
    const version = JSON.stringify([table.tasks, table.phase]);
    if (entry.version === version || !isNear(entry.lane.element)) continue;
    const buckets = Math.min(Math.max(Math.round(entry.lane.canvas.clientWidth / 2), 50), 2000);
    entry.lane.show(await ask(`/api/v1/ranges?table=${encodeURIComponent(table.table)}&buckets=${buckets}`));
    // What was asked may be older than what is known: once more next time, until nothing moves.
    entry.version = entry.asked === version ? version : '';
    entry.asked = version;
  }
}

function isNear(element) {
  const box = element.getBoundingClientRect();
  return box.bottom > -200 && box.top < window.innerHeight + 200;
}

// --- steering ---

function showControls() {
  const pause = $('pause');
  const paused = state.migration.paused;
  setText(pause, paused ? 'Resume' : 'Pause');
  const locked = state.read_only !== '' || token === '';
  pause.disabled = locked || ended();
  for (const retry of document.querySelectorAll('button.retry')) retry.disabled = locked || ended();
  show($('unlock'), state.read_only === '' && token === '' && !ended());
  const why = state.read_only || (token === '' ? 'Steering takes the coordinator\'s token.' : '');
  show($('read-only'), why !== '' && !ended());
  setText($('read-only'), why);
}

function say(text, tone) {
  show($('said'), text !== '');
  setTone($('said'), tone);
  setText($('said'), text);
  clearTimeout(say.timer);
  say.timer = setTimeout(() => show($('said'), false), tone === 'good' ? 6000 : 20000);
}

const post = (command, query = {}) => ask(`/api/v1/${command}?${new URLSearchParams(query)}`, { method: 'POST', headers: { Authorization: `Bearer ${token}` } });

async function steer(command, query, done) {
  try {
    await post(command, query);
    say(done, 'good');
  } catch (error) {
    if (error.status === 401) token = '';
    say(`${command}: ${error.message}`, 'bad');
  }
  await poll();
}

$('pause').addEventListener('click', () => (state.migration.paused
  ? steer('resume', {}, 'Resumed.')
  : steer('pause', {}, 'Paused: what runs is finished, nothing new is begun.')));
$('unlock').addEventListener('click', () => {
  setText($('token-error'), '');
  $('token-dialog').showModal();
});
$('token-cancel').addEventListener('click', () => $('token-dialog').close());
$('token-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  token = $('token').value.trim();
  try {
    await post('check');
    $('token').value = '';
    $('token-dialog').close();
  } catch (error) {
    token = '';
    setText($('token-error'), error.message);
  }
  showControls();
});
$('filter').addEventListener('input', () => state && showTables());
$('more-tables').addEventListener('click', () => {
  shownTables = Infinity;
  showTables();
});
$('more-lanes').addEventListener('click', () => {
  shownLanes = Infinity;
  poll();
});

// --- the loop ---

function showContact(error) {
  const age = Math.round((Date.now() - lastSeen) / 1000);
  const lost = error !== undefined;
  setTone($('live'), lost ? 'bad' : 'good');
  setText($('live-text'), lost ? 'no contact' : 'live');
  show($('lost'), lost);
  if (!lost) return;
  setTone($('lost'), ended() ? 'warn' : 'bad');
  if (ended()) setText($('lost'), `The coordinator has ended. This is how the migration stood at ${clock(lastSeen / 1000)}.`);
  else if (lastSeen === 0) setText($('lost'), `No coordinator answers: ${error.message}. Trying again.`);
  else setText($('lost'), `Connection to the coordinator lost. Last seen at ${clock(lastSeen / 1000)}, ${duration(age)} ago: what is shown is of that time. Trying again. If it has crashed, the same command resumes.`);
}

function showAll() {
  for (const part of [showHead, showFinal, showFigures, showProblems, showTables, showWorkers, showControls]) part();
}

async function poll() {
  try {
    state = await ask('/api/v1/state');
    lastSeen = Date.now();
    showAll();
    if (polls % 2 === 0) chart.show((await ask('/api/v1/history')).points);
    setText($('rate'), `${bytes(state.bytes_per_second)}/s · ${count(Math.round(state.rows_per_second))} rows/s`);
    await showLanes();
    ++polls;
    showContact();
  } catch (error) {
    showContact(error);
  }
}

async function loop() {
  await poll();
  setTimeout(loop, document.hidden ? hiddenMilliseconds : pollMilliseconds);
}

loop();
