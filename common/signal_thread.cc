#include "common/signal_thread.h"

#include <pthread.h>
#include <unistd.h>

#include <utility>

namespace hypershift {
namespace {

constexpr int kExitInterruptedStatus = 130;
constexpr int kPatience = 2;  // Signals that are passed on.

}  // namespace

SignalThread::SignalThread() {
  std::signal(SIGPIPE, SIG_IGN);
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGUSR1);  // From Stop().
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
}

SignalThread::~SignalThread() { Stop(); }

void SignalThread::Start(std::function<void(int count)> received) {
  thread_ = std::thread([this, received = std::move(received)] {
    int count = 0;
    while (true) {
      int signal = 0;
      if (sigwait(&signals_, &signal) != 0) continue;
      if (ended_) return;
      if (signal == SIGUSR1) continue;
      if (++count > kPatience) _exit(kExitInterruptedStatus);
      received(count);
    }
  });
}

void SignalThread::Stop() {
  if (!thread_.joinable()) return;
  ended_ = true;
  pthread_kill(thread_.native_handle(), SIGUSR1);
  thread_.join();
}

}  // namespace hypershift
