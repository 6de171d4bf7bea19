// What keeps a migration from losing or doubling rows, what keeps an operator's word, and what keeps others out, taken out piece by
// piece: each time a test must fail. Each mutation is an edit of the program's source; `test` says which test knows, and what has to
// be built for it.
const own = 'attempt = ($2::int[])[array_position($1::bigint[], id)]';
const attempt = `\n WHERE id = ANY ($1::bigint[]) AND ${own} AND state = 'leased')sql";\n`;
const finish = `finished_at = clock_timestamp(), error = '', sqlstate = ''${attempt}`;
const claim = `started_at = clock_timestamp()${attempt}`;

const fault = (file, name) => ({ targets: ['hypershift-fault', 'hypershift-fault-coordinator', 'hypershift-fault-worker'], file, name });
const product = (file, name) => ({ targets: ['hypershift', 'hypershift-coordinator', 'hypershift-worker'], file, name });
const library = (filter, servers = ['--source', '--target']) => ({ targets: ['integration_library_tests'], filter, servers });

export const mutations = [
  {
    name: 'attempt, at the end of a task', file: 'common/journal_sql.h',
    edits: [[finish, finish.replace(own, '$2::int[] IS NOT NULL')]],
    test: fault('stale.test.mjs', 'whose task another one does just now commits nothing'),
  },
  {
    name: 'attempt and state, at the end of a task', file: 'common/journal_sql.h',
    edits: [[finish, finish.replace(`${own} AND state = 'leased'`, '$2::int[] IS NOT NULL')]],
    test: fault('stale.test.mjs', 'whose task another one has done commits nothing'),
  },
  {
    name: 'attempt, when a task is claimed', file: 'common/journal_sql.h',
    edits: [[claim, claim.replace(own, '$2::int[] IS NOT NULL')]],
    test: library('WorkerCopyTest.AStaleAttemptCanNotClaim'),
  },
  {
    name: "the stale worker's session is terminated", file: 'coordinator/journal_tasks.cc',
    edits: [['    work.exec_params(kTerminateSql, NumberArray(ids));\n', '    static_cast<void>(work), static_cast<void>(kTerminateSql), static_cast<void>(ids);\n']],
    test: fault('fencing.test.mjs', 'a worker stopped at worker.commit_sent[KIND_CONSTRAINT] for longer than its lease'),
  },
  {
    name: 'rows and journal entry in one commit', file: 'worker/task_journal.cc',
    edits: [['    return target->Execute(kFinishTasksSql, parameters, &finished).status();\n',
      '    HS_RETURN_IF_ERROR(target->Execute("COMMIT; BEGIN").status());\n    return target->Execute(kFinishTasksSql, parameters, &finished).status();\n']],
    test: fault('fencing.test.mjs', 'a worker stopped at worker.commit_sent[KIND_COPY] for longer than its lease'),
  },
  {
    name: 'every task of a bundle, at its end', file: 'worker/task_journal.cc',
    edits: [['  if (finished != static_cast<int64_t>(tasks.size())) {\n', '  if (finished < 1) {\n']],
    test: library('WorkerBundleTest.OneStaleAttemptKeepsAllFromCommitting'),
  },
  {
    name: "rows that the target took are counted", file: 'worker/copy_stream.cc',
    edits: [['    if (rows_taken == rows_sent) continue;\n', '    if (rows_taken >= 0) continue;\n']],
    test: library('WorkerCopyTest.RowsDroppedByATriggerAreNoticed'),
  },
  {
    name: "state, when the coordinator takes a task back", file: 'coordinator/journal_tasks.cc',
    edits: [["lease_expires_at = NULL, worker = ''\n WHERE id = $1 AND attempt = $2 AND state = 'leased'", "lease_expires_at = NULL, worker = ''\n WHERE id = $1 AND attempt = $2"]],
    test: fault('stale.test.mjs', 'that commits while its lease is taken back has committed'),
  },
  {
    name: 'leases are renewed past locked rows', file: 'coordinator/journal_tasks.cc',
    edits: [['FOR NO KEY UPDATE OF t SKIP LOCKED', 'FOR NO KEY UPDATE OF t']],
    test: fault('fencing.test.mjs', 'a worker stopped at worker.commit_sent[KIND_COPY] for longer than its lease'),
  },
  {
    name: 'leases are extended past locked rows', file: 'coordinator/journal_tasks.cc',
    edits: [['                 FOR NO KEY UPDATE SKIP LOCKED', '                 FOR NO KEY UPDATE']],
    test: fault('fencing.test.mjs', 'a coordinator dies while a worker is stopped in its COMMIT'),
  },
  {
    name: 'file-node of the source table', file: 'worker/source_read.cc',
    edits: [['  if (status.ok()) status = CheckNotRewritten();\n', '']],
    test: product('source_ddl.test.mjs', 'a rewritten source table stops alone'),
  },
  {
    name: 'partitions of the source table', file: 'worker/source_read.cc',
    edits: [["(*row)[0] == work.source_partitions()) return", "(*row)[0] != \"\") return"]],
    test: library('WorkerCopyTest.OtherPartitionsThanPlannedAreRefused'),
  },
  {
    name: "epoch of the leader's row", file: 'coordinator/journal_lead.cc',
    edits: [['secs => $2)\n WHERE epoch = $1\n', 'secs => $2)\n WHERE $1::bigint IS NOT NULL\n']],
    test: fault('stale.test.mjs', "a deposed leader's last COMMIT has no effect"),
  },
  {
    name: "lock of the leader's row until the COMMIT", file: 'coordinator/journal_lead.cc',
    edits: [['    HS_RETURN_IF_ERROR(LockLead(work));\n    return body(work);\n',
      '    if (work.exec_params("SELECT FROM _hypershift.leader WHERE epoch = $1", epoch_).empty())\n' +
      '      return absl::AbortedError("another coordinator has taken the lead; this one stops");\n    return body(work);\n']],
    test: fault('stale.test.mjs', "a deposed leader's last COMMIT has no effect"),
  },
  {
    name: "snapshot's rows, when a worker imports it", file: 'worker/source_snapshot.cc',
    edits: [['  if (*(*row)[0] != snapshot.current_snapshot()) {', '  if ((*row)[0]->empty()) {']],
    test: library('WorkerCopyTest.AForeignOrMissingSnapshotIsRefused'),
  },
  {
    name: "snapshot's server, when a worker imports it", file: 'worker/source_snapshot.cc',
    edits: [['  if (*(*row)[1] != snapshot.postmaster_start()) {', '  if ((*row)[1]->empty()) {']],
    test: library('WorkerCopyTest.AForeignOrMissingSnapshotIsRefused'),
  },
  {
    name: 'snapshot, when a coordinator imports it', file: 'coordinator/snapshot.cc',
    edits: [['!SameSnapshot(snapshot, expected)', 'snapshot.current_snapshot().empty()']],
    test: library('CoordinatorSnapshotTest.AnIdThatMeansAnotherSnapshotIsRefused', ['--source']),
  },
  {
    name: "snapshot that a late worker's keeper holds", file: 'worker/keeper.cc',
    edits: [['snapshot_.has_value() && IsSame(*snapshot_, snapshot)', 'snapshot_.has_value() && (IsSame(*snapshot_, snapshot) || true)']],
    test: product('takeover.test.mjs', 'a worker that comes back with the snapshot of before copies under the new one'),
  },
  {
    name: "a successor extends its workers' leases first", file: 'coordinator/migration_resume.cc',
    edits: [['  return journal_->ExtendLeases(record_.id, options_.times.lease_duration);\n', '  return absl::OkStatus();\n']],
    test: product('takeover.test.mjs', 'a worker that is late for a successor keeps its ranges'),
  },
  {
    name: "a deposed leader's session is terminated", file: 'coordinator/journal_lead.cc',
    edits: [['  HS_RETURN_IF_ERROR(session->Query(kEndDeposedSql, absl::ToDoubleSeconds(leader_lease)).status());\n', '  static_cast<void>(kEndDeposedSql);\n']],
    test: fault('fencing.test.mjs', 'a coordinator that pauses at commit_sent[turn] for longer than its lead'),
  },
  {
    name: 'the migration is read again once the lead is taken', file: 'coordinator/migration_resume.cc',
    edits: [['  HS_RETURN_IF_ERROR(ReadRecordAgain());\n', '']],
    test: fault('fencing.test.mjs', 'a coordinator that waits while the leader plans and copies'),
  },
  {
    name: 'a range of time ends before the next begins', file: 'coordinator/chunk_planner.cc',
    edits: [['" AND ", time, " < ",', '" AND ", time, " <= ",']],
    test: library('CoordinatorPlannerTest.EveryRowLiesInOneRange', ['--source']),
  },
  {
    name: 'every chunk of a group is read', file: 'coordinator/chunk_planner.cc',
    edits: [['    for (int64_t start : group.starts) {\n      work->add_source_sql(', '    for (int64_t start : {group.starts.front(), group.starts.back()}) {\n      work->add_source_sql(']],
    test: library('CoordinatorPlannerTest.EveryRowLiesInOneRange', ['--source']),
  },
  {
    name: "a group's digest is that of all its chunks", file: 'worker/copy_task.cc',
    edits: [['      all.digest += read[i].digest;\n', '      all.digest.rows += read[i].digest.rows;\n      all.digest.sum = read[i].digest.sum;\n']],
    test: product('../integration/small_chunks.test.mjs', 'every row arrives once'),
  },
  {
    name: 'a chunk is cut only if its segments are ordered by time first', file: 'coordinator/chunk_planner.cc',
    edits: [['if (compression->orderby.empty() || compression->orderby.front().column != hypertable_.config->time_column_name)',
      'if (compression->orderby.empty())']],
    test: product('../integration/sub_ranges.test.mjs', 'a segment that is ordered by something else first is not cut'),
  },
  {
    name: "rows are sent as sorted only if the target's collation is the source's order", file: 'coordinator/direct_compress.cc',
    edits: [['    if (!collation.empty() && collation != "C" && collation != "POSIX") return false;\n', '    static_cast<void>(collation);\n']],
    test: product('../integration/sub_ranges.test.mjs', 'a segment that is ordered by text of another collation is not cut'),
  },
  {
    name: 'a piece of a chunk keeps a thousand rows for each segment', file: 'coordinator/chunk_planner.cc',
    edits: [['      pieces = std::min(pieces, static_cast<int64_t>(rows / (kRowsPerSegment * segments)));\n', '      static_cast<void>(rows / (kRowsPerSegment * segments));\n']],
    test: product('../integration/sub_ranges.test.mjs', 'a segment keeps a thousand rows in each piece'),
  },
  {
    name: 'hash partitions are bounded as the server bounds them', file: 'coordinator/chunk_slices.cc',
    edits: [['  const int64_t width = kGreatestHash / number_partitions;\n', '  const int64_t width = (kGreatestHash + 1) / number_partitions;\n']],
    test: product('../integration/hash_dimensions.test.mjs', 'every chunk is as the server itself would have bounded it'),
  },
  {
    name: 'all chunks once more after a copy by blocks', file: 'coordinator/block_planner.cc',
    edits: [['    builder_->AddTask(std::move(compress));\n  }\n\n private:\n', '    if (early.empty()) builder_->AddTask(std::move(compress));\n  }\n\n private:\n']],
    test: product('../integration/block_order.test.mjs', 'every chunk that is old enough ends compressed in order'),
  },
  {
    name: 'a partial chunk is compressed as a whole', file: 'worker/compress_task.cc',
    edits: [["('timescaledb.enable_segmentwise_recompression', 'off')", "('timescaledb.enable_segmentwise_recompression', 'on')"]],
    test: product('../integration/block_order.test.mjs', 'every row arrives, and reads back in order'),
  },
  {
    name: "a worker's own servers are compared", file: 'coordinator/migration_placement.cc',
    edits: [['    if (difference.empty()) return absl::OkStatus();\n', '    if (difference.empty() || what != nullptr) return absl::OkStatus();\n']],
    test: product('replicas.test.mjs', 'a worker whose own servers are others is refused'),
  },
  {
    name: 'a pause keeps tasks from being leased', file: 'coordinator/dispatcher.cc',
    edits: [['  if (circumstances_.stopping || circumstances_.paused || circumstances_.throttled) return;\n',
      '  if (circumstances_.stopping || circumstances_.throttled) return;\n']],
    test: product('../steering/commands.test.mjs', 'pause and resume'),
  },
  {
    name: 'bytes are paid for', file: 'worker/source_read.cc',
    edits: [['    HS_RETURN_IF_ERROR(Pay(part, static_cast<int64_t>((*message)->size())));\n', '']],
    test: product('../steering/throttle.test.mjs', 'max-bytes-per-second'),
  },
  {
    name: 'the last that holds the snapshot stays', file: 'coordinator/migration_steering.cc',
    edits: [['    if (!held_elsewhere) {\n', '    if (!held_elsewhere && ranges == 0) {\n']],
    test: product('../steering/commands.test.mjs', 'drain'),
  },
  {
    name: 'what was cancelled is not resumed', file: 'coordinator/migration_setup.cc',
    edits: [['  if (!record.steering.cancelled()) return absl::OkStatus();\n', '  if (!record.id.empty()) return absl::OkStatus();\n']],
    test: product('../steering/commands.test.mjs', 'cancel'),
  },
  {
    name: "a call's token is compared", file: 'coordinator/call_gate.cc',
    edits: [['  if (Authorizes(authorization, token_)) return absl::OkStatus();\n', '  if (!authorization.empty()) return absl::OkStatus();\n']],
    test: product('../security/refused.test.mjs', 'only certificate and token together open the door'),
  },
  {
    name: "a worker reports what it holds alone", file: 'coordinator/migration_state.cc',
    edits: [['  if (MayHold(holding)) return absl::OkStatus();\n', '  if (holding.id > 0) return absl::OkStatus();\n']],
    test: product('../security/protected.test.mjs', 'a replayed completion changes nothing'),
  },
  {
    name: "the page's token is compared", file: 'coordinator/web_server.cc',
    edits: [['    if (!Authorizes(request.authorization, token_)) return', '    if (request.authorization.empty()) return']],
    test: product('../web/page.test.mjs', ''),
  },
  {
    name: "the page's name is looked at", file: 'common/http_server.cc',
    edits: [['    if (!HostIsExpected(request.get_header_value("Host"), host)) {\n', '    if (host.empty()) {\n']],
    test: product('../web/page.test.mjs', 'it is known by no name of others'),
  },
];
