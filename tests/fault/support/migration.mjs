// A small migration that tests make fail, and what must be true of it in the end, however often it was repeated.
//
// Source and target are plain PostgreSQL servers: what fails here has nothing to do with hypertables, and they are fast.
// All migrations of a test file read the same source; each has a target database of its own.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { differences, fingerprints } from '../../integration/support/oracle.mjs';
import {
  keepersOf, makeDatabase, query, root, start, startServer, temporaryFolder, until, value, writeConfig,
} from '../../integration/support/servers.mjs';

const built = process.env.HYPERSHIFT_FAULT_PROGRAMS ?? join(root, 'build/tests/fault');
export const programs = {
  clone: join(built, 'hypershift-fault'),
  coordinator: join(built, 'hypershift-fault-coordinator'),
  worker: join(built, 'hypershift-fault-worker'),
};

export const exitAtFailpoint = 97;
// Leases, leads and the search for a keeper are as short as they can be on a busy machine.
const times = ['--lease-duration', '2s', '--leader-lease', '1s', '--keeper-grace', '30s', '--hide-progress'];

// Every kind of task that an ordinary database has. `events` is as large as a table that is copied in ranges, but has few
// rows.
const schema = `
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO customers SELECT i, 'customer ' || i FROM generate_series(1, 300) i;
CREATE TABLE orders (id bigserial PRIMARY KEY, customer int NOT NULL REFERENCES customers, at timestamptz NOT NULL,
                     lines jsonb, CHECK (id > 0));
INSERT INTO orders (customer, at, lines)
SELECT 1 + i % 300, '2024-01-01'::timestamptz + i * interval '1 minute', jsonb_build_object('n', i, 'x', repeat('é', i % 40))
  FROM generate_series(1, 12000) i;
CREATE INDEX orders_at ON orders (at);
CREATE TABLE events (id bigint NOT NULL UNIQUE, payload text);
INSERT INTO events SELECT i, CASE WHEN i % 97 > 0 THEN repeat(md5(i::text), 3) END FROM generate_series(1, 420000) i;
DELETE FROM events WHERE id % 40 > 0;
CREATE SEQUENCE tickets START 5;
SELECT nextval('tickets'), nextval('tickets');
CREATE MATERIALIZED VIEW totals AS SELECT customer, count(*) FROM orders GROUP BY 1;
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER orders_keep BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION keep();
ANALYZE`;
const relations = ['customers', 'orders', 'events', 'totals'];

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

export class World {
  static async start() {
    const world = new World();
    world.place = temporaryFolder();
    const { folder } = world.place;
    // A server each: a target that shared the source's would see its sessions.
    [world.source, world.target] = await Promise.all([
      startServer('source-server', join(folder, 's')), startServer('source-server', join(folder, 't')),
    ]);
    world.from = makeDatabase(world.source.uri);
    query(world.from, schema);
    world.config = writeConfig(folder, 'fault.yml', 'parallel_min_table_size: 1\nverify: true\nparallel: 3\nforeign_keys_priority: deferred\n');
    world.wanted = { catalog: query(world.from, catalogSql), rows: fingerprints(world.from, relations) };
    return world;
  }

  async stop() {
    await this.source?.stop();
    await this.target?.stop();
    this.place.remove();
  }

  // Runs the migration once without any failure: the others must come to the same plan and the same rows of each range.
  async makeReference() {
    const migration = new Migration(this, 'reference');
    const result = await migration.run([]);
    assert.equal(result.code, 0, result.stderr + result.stdout);
    this.wanted.journal = migration.query(journalSql);
    const copies = this.wanted.journal.filter((line) => line.startsWith('copy events'));
    assert.ok(copies.length >= 3, `a table should be copied in ranges: ${copies.join('\n')}`);
    migration.assertWhole();
  }
}

export class Migration {
  constructor(world, name) {
    this.world = world;
    this.name = name;
    this.to = makeDatabase(world.target.uri);
    this.log = join(world.place.folder, `${name}.log`);
    // The same address in every run, so that keepers and workers find the next coordinator at once.
    this.address = `unix:${join(world.place.folder, `${name}.sock`)}`;
    this.pids = [];
    this.story = '';
  }

  query(sql) {
    return query(this.to, sql);
  }

  environment(rules) {
    return { HYPERSHIFT_FAILPOINTS: rules.join(';'), HYPERSHIFT_FAILPOINTS_LOG: this.log };
  }

  databases() {
    return ['-s', this.world.from, '-t', this.to];
  }

  coordinatorArguments() {
    return [...this.databases(), '-c', this.world.config, '--listen', this.address, ...times];
  }

  // Starts one of the programs with these rules in force.
  start(program, args, rules) {
    const running = start(args, this.environment(rules), { program });
    this.pids.push(running.pid);
    running.done.then(({ code, signal, stderr }) => {
      this.story += `--- ${rules.join(';')} ended with ${code ?? signal}\n${stderr}`;
    });
    return running;
  }

  run(rules, more = []) {
    return this.start(programs.clone, ['clone', ...this.coordinatorArguments(), ...more], rules).done;
  }

  // The rules that have fired so far.
  fired() {
    if (!existsSync(this.log)) return [];
    return readFileSync(this.log, 'utf8').split('\n').filter(Boolean).map((line) => line.split(' ')[1]);
  }

  // Nothing lost, nothing doubled: rows by the oracle, everything around them, and the journal: each task of the plan
  // done once, with the rows that it had in the undisturbed run.
  assertWhole() {
    const { from, wanted } = this.world;
    const found = fingerprints(this.to, relations);
    if (JSON.stringify(found) !== JSON.stringify(wanted.rows)) assert.fail(differences(from, this.to, relations));
    assert.deepEqual(this.query(catalogSql), wanted.catalog);
    assert.deepEqual(this.query(journalSql), wanted.journal);
    assert.equal(value(this.to, "SELECT string_agg(phase, ',') FROM _hypershift.migration"), 'done');
  }

  // Nothing goes on on either side, and no keeper is left.
  async assertQuiet() {
    await until(`no keeper of ${this.name}`, () => this.pids.every((pid) => keepersOf(pid).length === 0), 20);
    const name = new URL(this.to).pathname.slice(1);
    await until('no session on the target', () =>
      value(this.world.target.uri, `SELECT count(*) FROM pg_stat_activity WHERE datname = '${name}'`) === '0', 20);
  }
}
