// Promise: dashboard and alerts ask for metrics that there are, by queries that Prometheus understands.
import { parser } from '@prometheus-io/lezer-promql';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { text, yaml } from './support/project.mjs';

const histogramParts = ['_bucket', '_sum', '_count'];

// name → type and labels, from the tables of docs/metrics.md.
function documentedMetrics() {
  const metrics = new Map();
  for (const line of text('docs/metrics.md').split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    const [, name] = cells[1]?.match(/^`(hypershift_\w+)`$/) ?? [];
    if (!name) continue;
    const labels = [...cells[3].replace(/\([^)]*\)/g, '').matchAll(/`(\w+)`/g)].map(([, label]) => label);
    const known = metrics.get(name);
    metrics.set(name, { type: cells[2], labels: [...labels, ...(known?.labels ?? [])] });
    if (cells[2] === 'histogram') {
      for (const part of histogramParts) metrics.set(name + part, { type: cells[2], labels: [...labels, 'le'] });
    }
  }
  return metrics;
}

const metrics = documentedMetrics();
const fromPrometheus = new Map([['up', { labels: ['job', 'instance'] }]]);

// What is wrong with a query: its syntax, a metric or a label that is not documented.
export function problemsOf(query, known = metrics) {
  const problems = [];
  parser.parse(query).iterate({
    enter(node) {
      const word = query.slice(node.from, node.to);
      if (node.type.isError) problems.push(`syntax error at '${query.slice(node.from)}'`);
      if (node.name !== 'VectorSelector') return;
      const [, name] = word.match(/^([A-Za-z_:][\w:]*)/) ?? [];
      const metric = known.get(name) ?? fromPrometheus.get(name);
      if (!metric) return void problems.push(`no metric ${name}`);
      for (const [, label] of word.matchAll(/[{,]\s*(\w+)\s*[=!]/g)) {
        if (!['job', 'instance', ...metric.labels].includes(label)) problems.push(`${name} has no label ${label}`);
      }
    },
  });
  return problems;
}

test('a query that is wrong is found', () => {
  const known = new Map([['hypershift_a', { labels: ['kind'] }]]);
  assert.deepEqual(problemsOf('sum by (kind) (rate(hypershift_a{kind="copy"}[1m])) > 0', known), []);
  assert.deepEqual(problemsOf('hypershift_b > 0', known), ['no metric hypershift_b']);
  assert.deepEqual(problemsOf('hypershift_a{worker="w"}', known), ['hypershift_a has no label worker']);
  assert.match(problemsOf('sum(hypershift_a', known)[0] ?? '', /syntax error/);
});

test('the list of metrics is read', () => {
  assert.ok(metrics.size > 40, `${metrics.size} metrics in docs/metrics.md`);
  assert.deepEqual(metrics.get('hypershift_tasks').labels, ['kind', 'state']);
});

const rules = yaml('docker/alerts.yml')[0].groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(text('docker/grafana/hypershift.json'));

test('alerts', () => {
  assert.ok(rules.length > 5);
  for (const rule of rules) {
    assert.deepEqual(problemsOf(rule.expr), [], rule.alert);
    assert.match(rule.labels.severity, /^(critical|warning|info)$/);
    assert.ok(rule.annotations.summary, `${rule.alert} has no summary`);
    if (rule.for) assert.match(rule.for, /^\d+[smh]$/);
  }
});

test('the dashboard', () => {
  assert.equal(new Set(dashboard.panels.map((panel) => panel.id)).size, dashboard.panels.length, 'panels share an id');
  for (const panel of dashboard.panels) {
    assert.ok(panel.targets.length > 0, `${panel.title} asks nothing`);
    for (const target of panel.targets) assert.deepEqual(problemsOf(target.expr), [], panel.title);
    const { x, y, w, h } = panel.gridPos;
    assert.ok(x + w <= 24, `${panel.title} is too wide`);
    for (const other of dashboard.panels.filter((one) => one.id < panel.id)) {
      const o = other.gridPos;
      const apart = x + w <= o.x || o.x + o.w <= x || y + h <= o.y || o.y + o.h <= y;
      assert.ok(apart, `${panel.title} lies over ${other.title}`);
    }
  }
});

test('each alert has its chapter in the runbook, and the other way round', () => {
  const chapters = text('docs/runbook/alerts.md').match(/^## Hypershift\w+/gm).map((line) => line.slice(3));
  assert.deepEqual(chapters.sort(), rules.map((rule) => rule.alert).sort());
  for (const rule of rules) assert.equal(rule.annotations.runbook, `docs/runbook/alerts.md#${rule.alert.toLowerCase()}`);
});

test('Prometheus scrapes the services that there are, by rules that are mounted', () => {
  const [compose] = yaml('docker/compose.yml');
  const [prometheus] = yaml('docker/prometheus.yml');
  const mounted = compose.services.prometheus.volumes.map((volume) => volume.split(':')[1]);
  for (const file of prometheus.rule_files) assert.ok(mounted.includes(file), `${file} is not mounted`);
  for (const job of prometheus.scrape_configs) {
    for (const { names, port } of job.dns_sd_configs) {
      for (const name of names) {
        assert.ok(compose.services[name].command.some((flag) => flag === `--http=0.0.0.0:${port}`), `${name} has no port ${port}`);
      }
    }
  }
  const jobs = prometheus.scrape_configs.map((job) => job.job_name);
  for (const rule of rules) {
    for (const [, job] of rule.expr.matchAll(/job="([^"]*)"/g)) assert.ok(jobs.includes(job), `${rule.alert}: no job ${job}`);
  }
});
