// What scripts/mutation-check breaks, one at a time, and the test that must notice.
//
// `from` stands once in `file`. A mutation takes a check away; it does not make a statement that no server would take, for
// that any test would notice.
const claim = `       started_at = clock_timestamp()
 WHERE id = $1 AND attempt = $2 AND state = 'leased')sql";`;
const finish = `       finished_at = clock_timestamp(), error = '', sqlstate = ''
 WHERE id = $1 AND attempt = $2 AND state = 'leased')sql";`;
const anyAttempt = (statement) => statement.replace('attempt = $2', '$2::int IS NOT NULL');

export const mutations = [
  {
    name: 'the attempt check, of claim and end',
    changes: [
      { file: 'common/journal_sql.h', from: claim, to: anyAttempt(claim) },
      { file: 'common/journal_sql.h', from: finish, to: anyAttempt(finish) },
    ],
    test: 'fault_fencing',
  },
  {
    name: 'the attempt check, of the claim',
    changes: [{ file: 'common/journal_sql.h', from: claim, to: anyAttempt(claim) }],
    test: 'integration_worker',
  },
  {
    name: 'the attempt check, of the end',
    changes: [{ file: 'common/journal_sql.h', from: finish, to: anyAttempt(finish) }],
    test: 'integration_worker',
  },
  {
    name: 'rows and journal entry in one commit',
    changes: [{
      file: 'worker/task_journal.cc',
      from: '    return target->Execute(kFinishTaskSql, parameters, &finished).status();',
      to: '    HS_RETURN_IF_ERROR(target->Execute("COMMIT; BEGIN").status());\n    return target->Execute(kFinishTaskSql, parameters, &finished).status();',
    }],
    test: 'fault_fencing',
  },
  {
    name: 'the coordinator\'s compare-and-set',
    changes: [{
      file: 'coordinator/journal.cc',
      from: "lease_expires_at = NULL, worker = ''\n WHERE id = $1 AND attempt = $2 AND state = 'leased'",
      to: "lease_expires_at = NULL, worker = ''\n WHERE id = $1 AND attempt = $2",
    }],
    test: 'fault_fencing',
  },
  {
    name: 'sessions of expired leases are ended',
    changes: [{ file: 'coordinator/turn.cc', from: 'return journal_->TerminateSessions(expired);', to: 'return absl::OkStatus();' }],
    test: 'fault_fencing',
  },
  {
    name: 'the file-node check',
    changes: [{
      file: 'worker/source_read.cc', from: '  if (work_.source_filenode() == 0) return absl::OkStatus();', to: '  if (work_.source_filenode() != 0) return absl::OkStatus();',
    }],
    test: 'fault_source_ddl',
  },
  {
    name: 'rows read and rows taken are compared',
    changes: [{ file: 'worker/copy_task.cc', from: 'if (rows_taken != read.rows()) {', to: 'if (rows_taken < 0) {' }],
    test: 'integration_worker',
  },
  {
    name: 'the epoch check',
    changes: [{ file: 'coordinator/journal.cc', from: 'if (lead.affected_rows() != 1) {', to: 'if (lead.affected_rows() > 1) {' }],
    test: 'fault_takeover',
  },
  {
    name: 'the epoch lock: checked, not locked',
    changes: [{
      file: 'coordinator/journal.cc',
      from: 'UPDATE _hypershift.leader SET expires_at = clock_timestamp() + make_interval(secs => $2)\n WHERE epoch = $1',
      to: 'SELECT $2::float8 FROM _hypershift.leader WHERE epoch = $1',
    }],
    test: 'fault_fencing',
  },
  {
    name: 'the deposed leader\'s session is ended',
    changes: [{
      file: 'coordinator/journal.cc', from: '  HS_RETURN_IF_ERROR(session->Query(kEndDeposedSql).status());', to: '  (void)kEndDeposedSql;',
    }],
    test: 'fault_fencing',
  },
  {
    name: 'the journal is read again once the lead is taken',
    changes: [{ file: 'coordinator/migration_setup.cc', from: '  HS_RETURN_IF_ERROR(ReadRecordAgain());\n', to: '' }],
    test: 'fault_fencing',
  },
  {
    name: 'the snapshot comparison, of a worker: the rows',
    changes: [{ file: 'worker/source_snapshot.cc', from: 'if (*(*row)[0] != snapshot.current_snapshot()) {', to: 'if ((*row)[0]->empty()) {' }],
    test: 'integration_worker',
  },
  {
    name: 'the snapshot comparison, of a worker: the server',
    changes: [{ file: 'worker/source_snapshot.cc', from: 'if (*(*row)[1] != snapshot.postmaster_start()) {', to: 'if ((*row)[1]->empty()) {' }],
    test: 'integration_worker',
  },
  {
    name: 'the snapshot comparison, of the coordinator',
    changes: [{
      file: 'coordinator/snapshot.cc', from: 'if (expected != nullptr && !SameSnapshot(snapshot, *expected)) {', to: 'if (expected != nullptr && snapshot.current_snapshot().empty()) {',
    }],
    test: 'integration_coordinator',
  },
];

// What a test needs to be built.
export const targetsOf = {
  fault_fencing: ['hypershift-fault', 'hypershift-fault-coordinator', 'hypershift-fault-worker'],
  fault_source_ddl: ['hypershift-coordinator', 'hypershift-worker'],
  fault_takeover: ['hypershift', 'hypershift-coordinator', 'hypershift-worker'],
  integration_coordinator: ['integration_library_tests'],
  integration_worker: ['integration_library_tests'],
};
