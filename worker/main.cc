// hypershift-worker: a worker as a process of its own.
#include "worker/program.h"

int main(int argc, char** argv) { return hypershift::RunWorkerProgram(argc, argv); }
