// A worker as a program: hypershift-worker, and `hypershift worker`.
#ifndef HYPERSHIFT_WORKER_PROGRAM_H_
#define HYPERSHIFT_WORKER_PROGRAM_H_

namespace hypershift {

// Blocks until the worker has ended. Returns the exit status: 0 the migration has ended, or the worker was told to
// stop; 1 it gave up; 2 bad input. Takes SIGINT and SIGTERM; called before other threads exist.
int RunWorkerProgram(int argc, char** argv);

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_PROGRAM_H_
