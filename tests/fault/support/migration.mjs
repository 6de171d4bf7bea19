// A small migration that tests make fail, and what must be true of it in the end, however often it was repeated.
//
// Source and target are plain PostgreSQL servers, which are fast; or the target is a TimescaleDB, where what fails has to do
// with hypertables. All migrations of a test file read the same source; each has an empty target.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask } from '../cluster.mjs';
import { differences, fingerprintsOf, fingerprintsSql } from '../../integration/support/oracle.mjs';
import {
  emptyTarget, makeDatabase, processes, query, root, start, startPair, startServer, temporaryFolder, until, withDatabase, writeConfig,
} from '../../integration/support/servers.mjs';

const built = process.env.HYPERSHIFT_FAULT_PROGRAMS ?? join(process.env.HYPERSHIFT_BUILD ?? join(root, 'build'), 'tests/fault');
export const programs = {
  clone: join(built, 'hypershift-fault'),
  coordinator: join(built, 'hypershift-fault-coordinator'),
  worker: join(built, 'hypershift-fault-worker'),
};

export const exitAtFailpoint = 97;
// Leases and leads are as short as they can be on a busy machine; keepers stay and are looked for as long as it takes.
export const times = ['--lease-duration', '2s', '--leader-lease', '1s'];
const keeperTimes = ['--keeper-grace', '5m'];

// Every kind of task that an ordinary database has. `events` is as large as a table that is copied in ranges, but most of it
// is empty space outside its rows.
const ordinarySchema = [`
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO customers SELECT i, 'customer ' || i FROM generate_series(1, 300) i;
CREATE TABLE orders (id bigserial PRIMARY KEY, customer int NOT NULL REFERENCES customers, at timestamptz NOT NULL,
                     lines jsonb, CHECK (id > 0));
INSERT INTO orders (customer, at, lines)
SELECT 1 + i % 300, '2024-01-01'::timestamptz + i * interval '1 minute', jsonb_build_object('n', i, 'x', repeat('é', i % 40))
  FROM generate_series(1, 3000) i;
CREATE INDEX orders_at ON orders (at);
CREATE TABLE events (id bigint NOT NULL UNIQUE, payload text);
ALTER TABLE events ALTER payload SET STORAGE EXTERNAL;
INSERT INTO events SELECT i, CASE WHEN i % 97 > 0 THEN repeat(md5(i::text), 75) END FROM generate_series(1, 21000) i;
DELETE FROM events WHERE id % 20 > 0;
CREATE SEQUENCE tickets START 5;
SELECT nextval('tickets'), nextval('tickets');
CREATE MATERIALIZED VIEW totals AS SELECT customer, count(*) FROM orders GROUP BY 1;
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER orders_keep BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION keep()`,
'VACUUM ANALYZE'];
const ordinaryRelations = ['customers', 'orders', 'events', 'totals'];
const ordinaryConfig = 'parallel_min_table_size: 1\nverify: true\nparallel: 3\nforeign_keys_priority: deferred\n';

// Two hypertables: one that is compressed as it arrives, and one whose order only the target knows, so that its chunks are
// compressed once more. The last chunks are too young to be compressed.
const hypertableSchema = [`
CREATE TABLE metrics (at timestamptz NOT NULL, device int NOT NULL, value double precision, PRIMARY KEY (at, device));
INSERT INTO metrics SELECT date_trunc('day', now()) - i * interval '20 minutes', i % 5, sin(i) FROM generate_series(1, 400) i;
CREATE TABLE labels (at timestamptz NOT NULL, label text COLLATE ucs_basic NOT NULL, n int);
INSERT INTO labels SELECT date_trunc('day', now()) - i * interval '20 minutes', 'label ' || i % 7, i FROM generate_series(1, 400) i;
CREATE INDEX labels_at ON labels (at)`,
'VACUUM ANALYZE'];
const hypertableRelations = ['metrics', 'labels'];
const hypertableConfig = `verify: true
parallel: 3
hypertable_configs:
  - {schema: public, name: metrics, time_column_name: at, chunk_time_interval: 1d,
     compress: {after: 2d, segmentby: [device], orderby: [at desc]}}
  - {schema: public, name: labels, time_column_name: at, chunk_time_interval: 1d, compress: {after: 2d, orderby: [label, at]}}
`;
const chunksSql = `
SELECT format('chunk %s %s %s %s', c.hypertable_name, c.range_start, c.is_compressed, k.status)
  FROM timescaledb_information.chunks c JOIN _timescaledb_catalog.chunk k ON k.table_name = c.chunk_name
UNION ALL SELECT format('job %s %s', proc_name, hypertable_name) FROM timescaledb_information.jobs WHERE hypertable_name IS NOT NULL
UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
ORDER BY 1`;

// What the two databases must have in common besides rows.
const catalogSql = `
SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT format('constraint %s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
           WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT format('sequence %s %s', sequencename, last_value) FROM pg_sequences WHERE schemaname = 'public'
UNION ALL SELECT format('view %s %s %s', matviewname, ispopulated, definition) FROM pg_matviews WHERE schemaname = 'public'
ORDER BY 1`;

// Every task of the plan: what it did, and how often it is there.
const journalSql = `
SELECT concat_ws(' ', t.kind, s.table_name, t.description, t.range_key, t.state, t.rows, t.digest)
  FROM _hypershift.task t LEFT JOIN _hypershift.source_table s ON (s.migration_id, s.id) = (t.migration_id, t.table_id)
 ORDER BY 1`;

const phaseSql = "SELECT string_agg(phase, ',') FROM _hypershift.migration";

// Answers to several queries, over one connection.
async function askAll(uri, ...queries) {
  const answers = [[]];
  for (const line of await ask(uri, queries.join(";\nSELECT '-----';\n"))) {
    if (line === '-----') answers.push([]);
    else answers.at(-1).push(line);
  }
  return answers;
}

export class World {
  static async start() {
    const world = new World();
    Object.assign(world, { relations: ordinaryRelations, catalogSql });
    world.place = temporaryFolder();
    const { folder } = world.place;
    // A server each: a target that shared the source's would see its sessions.
    const settings = ['--set', 'max_connections=300', '--set', 'full_page_writes=off', '--set', 'autovacuum=off'];
    [world.source, world.target] = await Promise.all([
      startServer('source-server', join(folder, 's'), ...settings), startServer('source-server', join(folder, 't'), ...settings),
    ]);
    await world.fill(ordinarySchema, ordinaryConfig);
    world.wanted.catalog = await ask(world.from, catalogSql);
    return world;
  }

  // What has to do with hypertables, on a target that has them.
  static async startWithHypertables() {
    const world = new World();
    Object.assign(world, { relations: hypertableRelations, catalogSql: chunksSql, hypertables: true });
    world.place = temporaryFolder();
    ({ source: world.source, target: world.target } = await startPair(world.place.folder));
    await world.fill(hypertableSchema, hypertableConfig);
    return world;
  }

  async fill(schema, config) {
    // The system's psql and pg_dump are scripts that look for the real ones; that costs as much as a small migration.
    process.env.PATH = `${readFileSync(join(this.place.folder, 's/source/bindir'), 'utf8')}:${process.env.PATH}`;
    this.from = makeDatabase(this.source.uri);
    for (const part of schema) query(this.from, part);
    this.config = writeConfig(this.place.folder, 'fault.yml', config);
    this.wanted = { rows: fingerprintsOf(this.relations, await ask(this.from, fingerprintsSql(this.relations))) };
  }

  // An empty database on the target, or one that is like that of another migration.
  async makeTarget(id, like) {
    if (this.hypertables) return emptyTarget(this.target);
    await ask(this.target.uri, `CREATE DATABASE ${id} ${like === null ? '' : `TEMPLATE ${like.id}`}`);
    return withDatabase(this.target.uri, id);
  }

  async stop() {
    await this.source?.stop();
    await this.target?.stop();
    this.place.remove();
  }

  // Runs the migration once without any failure: the others must come to the same plan and the same rows of each range.
  async makeReference() {
    const migration = await Migration.create(this, 'reference');
    const result = await migration.run([]);
    assert.equal(result.code, 0, result.stderr + result.stdout);
    this.wanted.journal = await ask(migration.to, journalSql);
    this.wanted.catalog ??= await ask(migration.to, this.catalogSql);
    const copies = this.wanted.journal.filter((line) => line.startsWith(`copy ${this.hypertables ? 'labels' : 'events'}`));
    assert.ok(copies.length >= 3, `a table should be copied in ranges: ${copies.join('\n')}`);
    await migration.assertWhole();
    await migration.assertQuiet();
    this.reference = migration;
  }
}

let migrations = 0;

export class Migration {
  // `like`: another one, whose target the new one begins with.
  static async create(world, name, like = null) {
    const migration = new Migration();
    Object.assign(migration, { world, name, programs: [], story: '' });
    migration.id = `f${++migrations}`;
    migration.to = await world.makeTarget(migration.id, like);
    migration.log = join(world.place.folder, `${migration.id}.log`);
    // The same address in every run, so that keepers and workers find the next coordinator at once.
    migration.address = `unix:${join(world.place.folder, `${migration.id}.sock`)}`;
    return migration;
  }

  environment(rules) {
    return { HYPERSHIFT_FAILPOINTS: rules.join(';'), HYPERSHIFT_FAILPOINTS_LOG: this.log };
  }

  // Starts one of the programs with these rules in force.
  start(program, args, rules) {
    const running = start(args, this.environment(rules), { program });
    this.programs.push(running);
    running.done.then(({ code, signal, stderr }) => {
      this.story += `--- ${args[0]} with ${rules.join(';')} ended with ${code ?? signal}\n${stderr}`;
    });
    return running;
  }

  run(rules, more = []) {
    return this.start(programs.clone, ['clone', ...this.coordinatorArguments(), '--hide-progress', ...more], rules).done;
  }

  verify(rules) {
    return this.start(programs.clone, ['verify', '-t', this.to, '-c', this.world.config, '--listen', this.address, '--hide-progress', ...times], rules).done;
  }

  // What an operator says to it.
  control(...args) {
    return this.start(programs.clone, [...args, '--coordinator', this.address], []).done;
  }

  coordinatorArguments(address = this.address) {
    return ['-s', this.world.from, '-t', this.to, '-c', this.world.config, '--listen', address, ...times, ...keeperTimes];
  }

  coordinator(rules, { address = this.address, more = [] } = {}) {
    return this.start(programs.coordinator, [...this.coordinatorArguments(address), ...more], rules);
  }

  worker(name, rules, { slots = 2, coordinators = [this.address], more = [] } = {}) {
    return this.start(programs.worker, [...coordinators.flatMap((address) => ['--coordinator', address]),
      '-s', this.world.from, '-t', this.to, '--name', name, '--slots', String(slots), ...more], rules);
  }

  // The rules that have fired so far.
  fired() {
    if (!existsSync(this.log)) return [];
    return readFileSync(this.log, 'utf8').split('\n').filter(Boolean).map((line) => line.split(' ')[1]);
  }

  // '' if there is no journal.
  async phase() {
    const [there] = await ask(this.to, "SELECT to_regclass('_hypershift.migration') IS NOT NULL");
    return there === 't' ? (await ask(this.to, phaseSql))[0] ?? '' : '';
  }

  keepers() {
    return processes((command) => command.includes('worker --keeper ') && command.includes(`--coordinator ${this.address} `));
  }

  // Nothing lost, nothing doubled: rows by the oracle, everything around them, and the journal: each task of the plan
  // done once, with the rows that it had in the undisturbed run.
  async assertWhole() {
    const { from, wanted, relations } = this.world;
    const [rows, catalog, journal, phase] = await askAll(this.to, fingerprintsSql(relations), this.world.catalogSql, journalSql, phaseSql);
    const found = fingerprintsOf(relations, rows);
    if (JSON.stringify(found) !== JSON.stringify(wanted.rows)) assert.fail(differences(from, this.to, relations));
    assert.deepEqual(catalog, wanted.catalog);
    assert.deepEqual(journal, wanted.journal);
    assert.deepEqual(phase, ['done']);
  }

  // Nothing goes on on either side, and no keeper is left.
  async assertQuiet() {
    await until(`no keeper of ${this.name}`, () => this.keepers().length === 0, 20);
    if (this.world.hypertables) return;
    await until('no session on the target', async () =>
      (await ask(this.world.target.uri, `SELECT count(*) FROM pg_stat_activity WHERE datname = '${this.id}'`))[0] === '0', 20);
  }

  // Whatever it was, it is over.
  async end() {
    for (const { child } of this.programs) child.kill('SIGKILL');
    for (const pid of this.keepers()) process.kill(pid, 'SIGKILL');
    if (!this.world.hypertables) await ask(this.world.target.uri, `DROP DATABASE IF EXISTS ${this.id} WITH (FORCE)`);
  }
}
