// A strict reader of Prometheus' text format 0.0.4: refuses what promtool would complain of, and more.
import assert from 'node:assert/strict';

const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

function parseLabels(text, line) {
  const labels = {};
  let rest = text;
  while (rest !== '') {
    const found = rest.match(/^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/);
    assert.ok(found, `labels of ${line}`);
    assert.ok(!(found[1] in labels), `${found[1]} twice in ${line}`);
    labels[found[1]] = found[2].replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped));
    rest = rest.slice(found[0].length);
  }
  return labels;
}

function parseSample(line) {
  const found = line.match(/^([^\s{]+)(?:\{(.*)\})? (\S+)$/);
  assert.ok(found, `no sample: ${line}`);
  assert.match(found[1], name);
  const value = found[3] === '+Inf' ? Infinity : Number(found[3]);
  assert.ok(found[3] === 'Nan' || !Number.isNaN(value), `no value: ${line}`);
  return { metric: found[1], labels: parseLabels(found[2] ?? '', line), value };
}

function checkHistograms(family, samples) {
  const series = new Map();
  for (const { metric, labels, value } of samples) {
    const { le, ...others } = labels;
    const key = JSON.stringify(others);
    if (!series.has(key)) series.set(key, { buckets: [] });
    const one = series.get(key);
    if (metric === `${family}_bucket`) one.buckets.push([le === '+Inf' ? Infinity : Number(le), value]);
    else one[metric.slice(family.length + 1)] = value;
  }
  for (const [key, { buckets, sum, count }] of series) {
    assert.ok(sum >= 0 && count >= 0, `${family} ${key} lacks its sum or count`);
    for (let i = 1; i < buckets.length; ++i) assert.ok(buckets[i][0] > buckets[i - 1][0] && buckets[i][1] >= buckets[i - 1][1], `buckets of ${family} ${key}`);
    assert.deepEqual(buckets.at(-1), [Infinity, count], `${family} ${key}`);
  }
}

// Families by name: { type, help, samples }.
export function parse(text) {
  assert.ok(text.endsWith('\n'), 'the last line is not ended');
  const families = new Map();
  let current;
  const seen = new Set();
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = line.match(/^# (HELP|TYPE) (\S+) (.*)$/);
    if (comment) {
      const [, what, family, rest] = comment;
      if (!families.has(family)) families.set(family, { samples: [] });
      current = family;
      const key = what.toLowerCase();
      assert.ok(!(key in families.get(family)), `${what} of ${family} twice`);
      assert.equal(families.get(family).samples.length, 0, `${what} of ${family} after its samples`);
      families.get(family)[key] = rest;
      continue;
    }
    const sample = parseSample(line);
    const { type } = families.get(current);
    const allowed = type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => current + end) : [current];
    assert.ok(allowed.includes(sample.metric), `${sample.metric} among the samples of ${current}`);
    const series = JSON.stringify([sample.metric, Object.entries(sample.labels).sort()]);
    assert.ok(!seen.has(series), `twice: ${line}`);
    seen.add(series);
    families.get(current).samples.push(sample);
  }
  for (const [family, { type, help, samples }] of families) {
    assert.match(family, name);
    assert.ok(['counter', 'gauge', 'histogram'].includes(type) && help, `type and help of ${family}`);
    assert.ok(samples.length > 0, `no sample of ${family}`);
    assert.ok(type !== 'counter' || family.endsWith('_total'), `${family} is a counter and does not say so`);
    assert.ok(type === 'counter' || !family.endsWith('_total'), `${family} is no counter`);
    if (type === 'counter') for (const { value } of samples) assert.ok(value >= 0, family);
    if (type === 'histogram') checkHistograms(family, samples);
  }
  return families;
}

// The value of the one sample with these labels.
export function sampleOf(families, metric, labels = {}) {
  const samples = families.get(metric)?.samples.filter((sample) => Object.entries(labels).every(([key, wanted]) => sample.labels[key] === wanted)) ?? [];
  assert.equal(samples.length, 1, `${metric} ${JSON.stringify(labels)}: ${samples.length} samples`);
  return samples[0].value;
}
