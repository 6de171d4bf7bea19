// Takes SIGINT and SIGTERM one by one in a thread of its own, instead of handlers that may do next to nothing.
//
// Construct it before any other thread exists: every thread inherits the blocked signals. SIGPIPE is ignored.
#ifndef HYPERSHIFT_COMMON_SIGNAL_THREAD_H_
#define HYPERSHIFT_COMMON_SIGNAL_THREAD_H_

#include <atomic>
#include <csignal>
#include <functional>
#include <thread>

namespace hypershift {

class SignalThread {
 public:
  SignalThread();
  // Stops.
  ~SignalThread();
  SignalThread(const SignalThread&) = delete;
  SignalThread& operator=(const SignalThread&) = delete;

  // Calls `received` with 1 for the first signal, 2 for the second, …, in the signal thread. From the third on the
  // process ends at once with status 130.
  void Start(std::function<void(int count)> received);
  void Stop();

 private:
  sigset_t signals_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_SIGNAL_THREAD_H_
