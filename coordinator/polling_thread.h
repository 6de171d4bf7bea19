// A thread that does the same thing again and again until its owner ends.
//
// The first time comes after one interval. The destructor waits for what is being done; whatever the function uses must
// live until then, so this is the last member of its owner.
#ifndef HYPERSHIFT_COORDINATOR_POLLING_THREAD_H_
#define HYPERSHIFT_COORDINATOR_POLLING_THREAD_H_

#include <functional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "common/mutex.h"

namespace hypershift {

class PollingThread {
 public:
  PollingThread(absl::Duration interval, std::function<void()> function)
      : interval_(interval), function_(std::move(function)), thread_([this] { Loop(); }) {}
  ~PollingThread() {
    {
      MutexLock lock(&mutex_);
      ending_ = true;
      changed_.NotifyAll();
    }
    thread_.join();
  }
  PollingThread(const PollingThread&) = delete;
  PollingThread& operator=(const PollingThread&) = delete;

  // Doesn't wait for the interval. Any thread.
  void Hurry() {
    MutexLock lock(&mutex_);
    hurried_ = true;
    changed_.NotifyAll();
  }
  // For a function that takes long: whether it should return soon. Any thread.
  bool ending() {
    MutexLock lock(&mutex_);
    return ending_;
  }

 private:
  void Loop() {
    while (true) {
      {
        MutexLock lock(&mutex_);
        if (!ending_ && !hurried_) changed_.WaitFor(&mutex_, interval_);
        if (ending_) return;
        hurried_ = false;
      }
      function_();
    }
  }

  const absl::Duration interval_;
  const std::function<void()> function_;
  Mutex mutex_;
  CondVar changed_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool hurried_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_POLLING_THREAD_H_
