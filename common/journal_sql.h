// What workers say to the journal. The tables themselves, and everything else, belong to the coordinator
// (coordinator/journal.h); these statements stand here because both sides must agree on them.
#ifndef HYPERSHIFT_COMMON_JOURNAL_SQL_H_
#define HYPERSHIFT_COMMON_JOURNAL_SQL_H_

namespace hypershift {

// $1 tasks, $2 the attempt of each. Before a worker begins: records its target session, so that the coordinator can
// terminate it when a lease expires. Must hit every row, else a lease is no longer the worker's. The function and not
// the view pg_stat_activity, which takes the server longer than all the rest of this.
inline constexpr char kClaimTasksSql[] = R"sql(
UPDATE _hypershift.task
   SET session_pid = pg_backend_pid(),
       session_start = (SELECT backend_start FROM pg_stat_get_activity(pg_backend_pid())),
       started_at = clock_timestamp()
 WHERE id = ANY ($1::bigint[]) AND attempt = ($2::int[])[array_position($1::bigint[], id)] AND state = 'leased')sql";

// $1 tasks, and of each: $2 attempt, $3 rows, $4 bytes, $5 digest, $6 rewritable digest (32 hexadecimal digits, or ''
// for none). The last statement of their transaction. Must hit every row, else ROLLBACK: an attempt is stale, or
// somebody else has done its task.
inline constexpr char kFinishTasksSql[] = R"sql(
UPDATE _hypershift.task
   SET state = 'done',
       rows = ($3::bigint[])[array_position($1::bigint[], id)], bytes = ($4::bigint[])[array_position($1::bigint[], id)],
       digest = ($5::text[])[array_position($1::bigint[], id)],
       rewritable_digest = ($6::text[])[array_position($1::bigint[], id)],
       finished_at = clock_timestamp(), error = '', sqlstate = ''
 WHERE id = ANY ($1::bigint[]) AND attempt = ($2::int[])[array_position($1::bigint[], id)] AND state = 'leased')sql";

// $1 task, $2 attempt, of any that were finished together. After a COMMIT whose answer was lost: one row means it had
// committed.
inline constexpr char kTaskIsDoneSql[] = R"sql(
SELECT 1 FROM _hypershift.task WHERE id = $1 AND attempt = $2 AND state = 'done')sql";

// Where the leader listens: "host:port" or "unix:path". For a worker that has lost its coordinator.
inline constexpr char kLeaderAddressSql[] = R"sql(
SELECT address FROM _hypershift.leader WHERE expires_at > clock_timestamp())sql";

// $1 migration. For a worker that has lost its coordinator: whether the snapshot is of no more use, whether all is
// over, and whether the migration was cancelled.
inline constexpr char kMigrationIsOverSql[] = R"sql(
SELECT snapshot_released_at IS NOT NULL, phase = 'done' OR cancelled_at IS NOT NULL, cancelled_at IS NOT NULL
  FROM _hypershift.migration WHERE id = $1)sql";

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_JOURNAL_SQL_H_
