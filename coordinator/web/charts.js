// The two drawings of the page: throughput over time, and the ranges of a hypertable along its time.

const svgNamespace = 'http://www.w3.org/2000/svg';

function svg(name, attributes = {}) {
  const element = document.createElementNS(svgNamespace, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

export function bytes(count) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = Math.max(count, 0);
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    ++unit;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

export const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });

// The axis' limit: a power of two, as the units are.
function roundLimit(value) {
  let step = 256;
  while (step * 4 < value) step *= 2;
  return step * 4;
}

// Workers report every second or two, so single points jump.
function smooth(points) {
  const reach = points.length > 30 ? 3 : 1;
  return points.map(([start, length], index) => {
    const near = points.slice(Math.max(0, index - reach), index + reach + 1);
    const seconds = near.reduce((sum, point) => sum + point[1], 0);
    const total = (column) => near.reduce((sum, point) => sum + point[column] * point[1], 0) / seconds;
    return { time: start + length / 2, bytes: total(2), rows: total(3) };
  });
}

export class ThroughputChart {
  constructor(place, readout) {
    this.place = place;
    this.readout = readout;
    this.points = [];
    this.selected = -1;
    new ResizeObserver(() => this.draw()).observe(place);
    place.addEventListener('pointermove', (event) => this.selectAt(event.clientX));
    place.addEventListener('pointerleave', () => this.select(-1));
    place.addEventListener('blur', () => this.select(-1));
    place.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || this.points.length === 0) return;
      event.preventDefault();
      const from = this.selected < 0 ? this.points.length : this.selected;
      this.select(Math.min(Math.max(from + step, 0), this.points.length - 1));
    });
  }

  show(points) {
    this.points = smooth(points);
    this.draw();
  }

  selectAt(clientX) {
    if (this.points.length === 0) return;
    const box = this.place.getBoundingClientRect();
    const time = this.from + ((clientX - box.left - this.left) / this.width) * (this.to - this.from);
    let best = 0;
    this.points.forEach((point, index) => {
      if (Math.abs(point.time - time) < Math.abs(this.points[best].time - time)) best = index;
    });
    this.select(best);
  }

  select(index) {
    this.selected = index;
    this.draw();
  }

  draw() {
    const width = this.place.clientWidth;
    const height = this.place.clientHeight;
    if (width === 0) return;
    const root = svg('svg', { viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' });
    const top = 8;
    const bottom = height - 22;
    this.left = 76;
    this.width = width - this.left - 8;
    const limit = roundLimit(Math.max(...this.points.map((point) => point.bytes), 1024));
    const y = (value) => bottom - (value / limit) * (bottom - top);
    for (let quarter = 0; quarter <= 4; quarter += 2) {
      const at = y((limit * quarter) / 4);
      root.append(svg('line', { class: 'grid', x1: this.left, x2: width - 8, y1: at, y2: at }));
      const label = svg('text', { x: this.left - 8, y: at + 4, 'text-anchor': 'end' });
      label.textContent = quarter === 0 ? '0' : `${bytes((limit * quarter) / 4)}/s`;
      root.append(label);
    }
    if (this.points.length > 1) this.drawPoints(root, y, bottom, width, height);
    this.place.replaceChildren(root);
  }

  drawPoints(root, y, bottom, width, height) {
    this.from = this.points[0].time;
    this.to = Math.max(this.points[this.points.length - 1].time, this.from + 1);
    const x = (time) => this.left + ((time - this.from) / (this.to - this.from)) * this.width;
    const path = this.points.map((point, index) => `${index ? 'L' : 'M'}${x(point.time).toFixed(1)} ${y(point.bytes).toFixed(1)}`).join('');
    root.append(svg('path', { class: 'area', d: `${path}L${x(this.to).toFixed(1)} ${bottom}L${this.left} ${bottom}Z` }), svg('path', { class: 'line', d: path }));
    for (const [time, anchor] of [[this.from, 'start'], [this.to, 'end']]) {
      const label = svg('text', { x: x(time), y: height - 4, 'text-anchor': anchor });
      label.textContent = clock(time);
      root.append(label);
    }
    const point = this.points[this.selected];
    this.readout.textContent = point ? `${clock(point.time)} · ${bytes(point.bytes)}/s · ${Math.round(point.rows).toLocaleString()} rows/s` : '';
    if (point) root.append(svg('line', { class: 'cursor', x1: x(point.time), x2: x(point.time), y1: 8, y2: bottom }));
  }
}

// From the bottom of a column to its top.
const order = ['compressed', 'compressing', 'copied', 'copying', 'failed', 'waiting'];

export class Lane {
  constructor(table) {
    this.element = document.createElement('div');
    this.element.className = 'lane';
    const head = document.createElement('div');
    head.className = 'head';
    this.title = document.createElement('h3');
    this.title.textContent = table;
    this.totals = document.createElement('ul');
    this.totals.className = 'legend';
    head.append(this.title, this.totals);
    this.canvas = document.createElement('canvas');
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute('role', 'img');
    this.axis = document.createElement('div');
    this.axis.className = 'axis';
    this.element.append(head, this.canvas, this.axis);
    this.table = table;
    this.selected = -1;
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.canvas.addEventListener('pointermove', (event) => this.selectAt(event.offsetX));
    this.canvas.addEventListener('pointerleave', () => this.select(-1));
    this.canvas.addEventListener('blur', () => this.select(-1));
    this.canvas.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || !this.data) return;
      event.preventDefault();
      this.select(Math.min(Math.max(this.selected + step, 0), this.data.buckets.length - 1));
    });
  }

  show(data) {
    this.data = data;
    const buckets = data.buckets;
    this.from = buckets[0][0];
    this.to = buckets.reduce((last, bucket) => Math.max(last, bucket[1]), this.from + 1);
    const words = data.stages.map((stage, index) => [stage, data.totals[index]]).filter(([, count]) => count > 0);
    this.totals.replaceChildren(...words.map(([stage, count]) => {
      const item = document.createElement('li');
      const swatch = document.createElement('span');
      swatch.className = 'swatch';
      swatch.dataset.stage = stage;
      item.append(swatch, `${count.toLocaleString()} ${stage}`);
      return item;
    }));
    this.canvas.setAttribute('aria-label', `Ranges of ${this.table}: ${words.map(([stage, count]) => `${count} ${stage}`).join(', ')}`);
    this.draw();
  }

  moment(value) {
    if (this.data.integer) return value.toLocaleString();
    const date = new Date(value / 1000);
    if (Number.isNaN(date.getTime())) return 'beyond the calendar';
    const text = date.toISOString();
    return (this.to - this.from) / 1e6 > 3 * 86400 ? text.slice(0, 10) : text.slice(0, 16).replace('T', ' ');
  }

  describe(bucket) {
    const counts = this.data.stages.map((stage, index) => [stage, bucket[2 + index]]).filter(([, count]) => count > 0);
    const what = counts.length === 1 && counts[0][1] === 1 ? counts[0][0] : counts.map(([stage, count]) => `${count} ${stage}`).join(', ');
    return `${this.moment(bucket[0])} – ${this.moment(bucket[1])}: ${what}`;
  }

  selectAt(offsetX) {
    if (!this.data) return;
    const value = this.from + (offsetX / this.canvas.clientWidth) * (this.to - this.from);
    this.select(this.data.buckets.findIndex((bucket) => value >= bucket[0] && value < bucket[1]));
  }

  select(index) {
    this.selected = index;
    if (this.data) this.draw();
  }

  draw() {
    if (!this.data) return;
    const scale = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    if (width === 0) return;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    const context = this.canvas.getContext('2d');
    context.scale(scale, scale);
    const style = getComputedStyle(this.canvas);
    const color = Object.fromEntries(order.map((stage) => [stage, style.getPropertyValue(`--${stage}`).trim()]));
    context.fillStyle = style.getPropertyValue('--track').trim();
    context.globalAlpha = 0.5;
    context.fillRect(0, height / 2 - 1, width, 2);
    context.globalAlpha = 1;
    this.data.buckets.forEach((bucket, index) => this.drawBucket(context, bucket, index, width, height, color));
    const chosen = this.data.buckets[this.selected];
    const readout = document.createElement('span');
    readout.textContent = chosen ? this.describe(chosen) : '';
    const ends = [this.from, this.to].map((value) => {
      const end = document.createElement('span');
      end.textContent = this.moment(value);
      return end;
    });
    this.axis.replaceChildren(ends[0], readout, ends[1]);
  }

  drawBucket(context, bucket, index, width, height, color) {
    const x = ((bucket[0] - this.from) / (this.to - this.from)) * width;
    const full = ((bucket[1] - bucket[0]) / (this.to - this.from)) * width;
    const shown = Math.max(full > 4 ? full - 1 : full, 1);
    const total = bucket.slice(2).reduce((sum, count) => sum + count, 0);
    let base = height;
    for (const stage of order) {
      const count = bucket[2 + this.data.stages.indexOf(stage)];
      if (count === 0) continue;
      // Even one in a thousand shows.
      const part = Math.min(Math.max((count / total) * height, 3), base);
      context.fillStyle = color[stage];
      context.fillRect(x, base - part, shown, part);
      base -= part;
    }
    if (index !== this.selected) return;
    context.strokeStyle = getComputedStyle(this.canvas).color;
    context.lineWidth = 2;
    context.strokeRect(x + 1, 1, Math.max(shown - 2, 1), height - 2);
  }
}
