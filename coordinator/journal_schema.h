// The journal's tables, in schema _hypershift on the target. What a migration is and how far it is stands here and
// nowhere else; dropping the schema (hypershift cleanup) forgets it.
#ifndef HYPERSHIFT_COORDINATOR_JOURNAL_SCHEMA_H_
#define HYPERSHIFT_COORDINATOR_JOURNAL_SCHEMA_H_

namespace hypershift {

// Raised when the tables change; a journal of another version is refused.
inline constexpr int kJournalVersion = 3;

inline constexpr char kJournalSchemaSql[] = R"sql(
CREATE SCHEMA IF NOT EXISTS _hypershift;

-- One row per migration; at most one is unfinished.
CREATE TABLE IF NOT EXISTS _hypershift.migration (
  id text PRIMARY KEY,
  journal_version int NOT NULL,
  phase text NOT NULL CHECK (phase IN ('schema', 'hypertables', 'plan', 'run', 'done')),
  program_version text NOT NULL,
  source text NOT NULL,
  target text NOT NULL,
  system_identifier text NOT NULL,
  timeline bigint NOT NULL,
  database_oid bigint NOT NULL,
  config text NOT NULL,
  snapshot text NOT NULL,
  postmaster_start text NOT NULL,
  snapshot_taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  snapshot_released_at timestamptz,
  -- now() on the source when it was planned, in microseconds since the Unix epoch: what "old" chunks are measured by.
  source_now bigint NOT NULL,
  archive bytea,
  warnings text NOT NULL DEFAULT '[]',
  left_out text NOT NULL DEFAULT '[]',
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at timestamptz,
  -- What people have asked for: unset, it is not paused, and not cancelled. A cancelled one never ends otherwise.
  paused_at timestamptz,
  cancelled_at timestamptz,
  -- hypershift.v1.Limits, as JSON.
  limits text NOT NULL DEFAULT '{}'
);
-- Where a migration ended under version 1.
ALTER TABLE _hypershift.migration ADD COLUMN IF NOT EXISTS paused_at timestamptz,
  ADD COLUMN IF NOT EXISTS cancelled_at timestamptz, ADD COLUMN IF NOT EXISTS limits text NOT NULL DEFAULT '{}';
CREATE UNIQUE INDEX IF NOT EXISTS migration_one_unfinished ON _hypershift.migration ((true)) WHERE phase <> 'done';

-- Who leads. Every write of a coordinator locks this row and checks its epoch in the same transaction.
CREATE TABLE IF NOT EXISTS _hypershift.leader (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  holder text NOT NULL,
  address text NOT NULL,
  epoch bigint NOT NULL,
  expires_at timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS _hypershift.source_table (
  migration_id text NOT NULL REFERENCES _hypershift.migration ON DELETE CASCADE,
  id int NOT NULL,
  schema_name text NOT NULL,
  table_name text NOT NULL,
  -- What the plan decided, as JSON: method, format, columns, …
  plan text NOT NULL,
  PRIMARY KEY (migration_id, id)
);

CREATE TABLE IF NOT EXISTS _hypershift.barrier (
  migration_id text NOT NULL REFERENCES _hypershift.migration ON DELETE CASCADE,
  id bigint NOT NULL,
  parent bigint NOT NULL,
  PRIMARY KEY (migration_id, id)
);

CREATE TABLE IF NOT EXISTS _hypershift.task (
  id bigint PRIMARY KEY,
  migration_id text NOT NULL REFERENCES _hypershift.migration ON DELETE CASCADE,
  table_id int NOT NULL,
  kind text NOT NULL,
  state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'leased', 'done', 'failed')),
  attempt int NOT NULL DEFAULT 0,
  sequence bigint NOT NULL,
  estimated_bytes bigint NOT NULL,
  -- May share a transaction with others.
  small boolean NOT NULL DEFAULT false,
  barrier bigint NOT NULL,
  gates bigint[] NOT NULL,
  range_key text NOT NULL,
  description text NOT NULL,
  -- hypershift.v1.TaskWork, serialized.
  work bytea NOT NULL,
  worker text NOT NULL DEFAULT '',
  lease_expires_at timestamptz,
  session_pid int,
  session_start timestamptz,
  failures int NOT NULL DEFAULT 0,
  error text NOT NULL DEFAULT '',
  sqlstate text NOT NULL DEFAULT '',
  started_at timestamptz,
  finished_at timestamptz,
  rows bigint NOT NULL DEFAULT 0,
  bytes bigint NOT NULL DEFAULT 0,
  digest text NOT NULL DEFAULT '',
  rewritable_digest text NOT NULL DEFAULT ''
) WITH (fillfactor = 70);
-- Where a migration ended under version 2.
ALTER TABLE _hypershift.task ADD COLUMN IF NOT EXISTS small boolean NOT NULL DEFAULT false;
CREATE INDEX IF NOT EXISTS task_by_migration ON _hypershift.task (migration_id, table_id);

CREATE TABLE IF NOT EXISTS _hypershift.worker (
  migration_id text NOT NULL REFERENCES _hypershift.migration ON DELETE CASCADE,
  name text NOT NULL,
  zone text NOT NULL,
  slots int NOT NULL,
  version text NOT NULL,
  registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (migration_id, name)
);
)sql";

// $1 holder, $2 address, $3 seconds. The new epoch, or no row if another coordinator leads. Waits for nobody's
// lock: whoever leads holds it when it writes, and who was left behind is ended before the next try.
inline constexpr char kTakeLeadSql[] = R"sql(
INSERT INTO _hypershift.leader (holder, address, epoch, expires_at)
SELECT $1, $2, 1, clock_timestamp() + make_interval(secs => $3)
 WHERE NOT EXISTS (SELECT 1 FROM _hypershift.leader)
    OR EXISTS (SELECT 1 FROM _hypershift.leader FOR UPDATE SKIP LOCKED)
ON CONFLICT (only_row) DO UPDATE
   SET holder = excluded.holder, address = excluded.address, epoch = leader.epoch + 1, expires_at = excluded.expires_at
 WHERE leader.expires_at <= clock_timestamp()
RETURNING epoch
)sql";

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_JOURNAL_SCHEMA_H_
