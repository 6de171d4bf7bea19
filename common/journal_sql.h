// What workers say to the journal. The tables themselves, and everything else, belong to the coordinator
// (coordinator/journal.h); these statements stand here because both sides must agree on them.
#ifndef HYPERSHIFT_COMMON_JOURNAL_SQL_H_
#define HYPERSHIFT_COMMON_JOURNAL_SQL_H_

namespace hypershift {

// $1 task, $2 attempt. Before a worker begins: records its target session, so that the coordinator can terminate it
// when the lease expires. Must hit one row, else the lease is no longer the worker's. The function and not the view
// pg_stat_activity, which takes the server longer than all the rest of this.
inline constexpr char kClaimTaskSql[] = R"sql(
UPDATE _hypershift.task
   SET session_pid = pg_backend_pid(),
       session_start = (SELECT backend_start FROM pg_stat_get_activity(pg_backend_pid())),
       started_at = clock_timestamp()
 WHERE id = $1 AND attempt = $2 AND state = 'leased')sql";

// $1 task, $2 attempt, $3 rows, $4 bytes, $5 digest, $6 rewritable digest (32 hexadecimal digits, or '' for none). The
// last statement of a task's transaction. Must hit one row, else ROLLBACK: the attempt is stale, or somebody else has
// done the task.
inline constexpr char kFinishTaskSql[] = R"sql(
UPDATE _hypershift.task
   SET state = 'done', rows = $3, bytes = $4, digest = $5, rewritable_digest = $6,
       finished_at = clock_timestamp(), error = '', sqlstate = ''
 WHERE id = $1 AND attempt = $2 AND state = 'leased')sql";

// $1 task, $2 attempt. After a COMMIT whose answer was lost: one row means it had committed.
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
