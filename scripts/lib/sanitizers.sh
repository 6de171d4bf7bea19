# Sourced after env.sh: what the sanitizers are told, wherever their programs run.

# sanitizer_options [REPORTS]: exports it. With REPORTS, what they find goes to files that begin with that instead of standard error.
sanitizer_options() {
  local log=${1:+:log_path=$1}
  export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1$log
  export LSAN_OPTIONS=suppressions=$ROOT/tests/lsan.supp:print_suppressions=0
  export UBSAN_OPTIONS=print_stacktrace=1$log
  # Debian's gRPC and Abseil are not built for ThreadSanitizer: what they do is not looked at. Failpoints end programs with
  # threads that nobody has joined.
  export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:ignore_noninstrumented_modules=1:report_thread_leaks=0$log
}
