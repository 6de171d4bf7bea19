// Simulated time, and the processes that live in it.
//
// A world is a queue of events, each with its time. What runs is either an event's function or a fiber of a process; it
// takes no time itself, and whatever takes time waits. So all that happens follows from the seed.
#ifndef HYPERSHIFT_TESTS_SIMULATION_WORLD_H_
#define HYPERSHIFT_TESTS_SIMULATION_WORLD_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "tests/simulation/fiber.h"
#include "tests/simulation/random.h"

namespace hypershift::simulation {

class Process;

// A fiber that waits, and for which time.
struct Waiter {
  Process* process = nullptr;
  Fiber* fiber = nullptr;
  uint64_t ticket = 0;
};

class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {}

  absl::Time now() const { return now_; }
  Random& random() { return random_; }

  // Outside of fibers, `delay` from now.
  void At(absl::Duration delay, std::function<void()> body);
  // Wakes the waiter, unless it has been woken otherwise by then.
  void WakeAt(absl::Duration delay, const Waiter& waiter);
  // Until nothing is left to happen before `end`, or `done`, asked after every event.
  void Run(absl::Time end, const std::function<bool()>& done);

  uint64_t NextTicket() { return ++last_ticket_; }

  // Says what happens, for whoever looks into a seed.
  void set_trace(bool trace) { trace_ = trace; }
  template <typename... Args>
  void Trace(const Args&... args) const {
    if (trace_) Print(absl::StrCat(args...));
  }

 private:
  struct Event {
    absl::Time time;
    uint64_t number;
    Waiter waiter;  // Or, without a fiber:
    std::function<void()> body;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.time != b.time ? a.time > b.time : a.number > b.number;
    }
  };
  void Push(Event event);
  void Print(const std::string& line) const;

  Random random_;
  bool trace_ = false;
  absl::Time now_ = absl::FromUnixSeconds(1700000000);
  uint64_t last_ticket_ = 0;
  uint64_t last_number_ = 0;
  std::vector<Event> events_;  // A heap.
};

// What comes back from a call, at most once.
template <typename T>
struct Answer {
  std::optional<T> value;
  Waiter waiter;
};

// What a SIGKILL ends and a SIGSTOP stops: fibers, and functions that were posted to it. Fibers never run while it is
// stopped. Outlived by its world.
class Process {
 public:
  explicit Process(World* world) : world_(world) {}
  // Kills it.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // --- from outside ---
  void Spawn(std::function<void()> body);
  // Runs `body` now, or when it is continued; never once it is killed.
  void Post(std::function<void()> body);
  void Stop() { stopped_ = true; }
  void Continue();
  // Fibers are taken down from where they wait.
  void Kill();
  // Runs the fiber on, if it still waits for just this.
  void Wake(const Waiter& waiter);
  bool alive() const { return alive_; }
  bool stopped() const { return stopped_; }
  // Whether every fiber has ended by itself.
  bool ended();

  // --- from its fibers ---
  void Sleep(absl::Duration duration);
  // Nothing when no answer comes in time. Infinite: one is sure to come.
  template <typename T>
  std::optional<T> Await(const std::shared_ptr<Answer<T>>& answer, absl::Duration timeout) {
    if (!answer->value.has_value()) {
      answer->waiter = PrepareWait();
      if (timeout < absl::InfiniteDuration()) world_->WakeAt(timeout, answer->waiter);
      Block();
      answer->waiter = Waiter();
    }
    return answer->value;
  }

  World* world() const { return world_; }

 private:
  struct Killed {};
  struct Member {
    std::unique_ptr<Fiber> fiber;
    uint64_t ticket = 0;  // Of its wait.
  };

  Waiter PrepareWait();
  void Block();
  void Run(Member* member);

  World* const world_;
  bool alive_ = true;
  bool stopped_ = false;
  std::list<Member> members_;
  Member* running_ = nullptr;
  std::vector<Waiter> woken_while_stopped_;
  std::vector<std::function<void()>> posted_while_stopped_;
};

// Gives the answer `delay` from now, unless there is one already.
template <typename T>
void Deliver(World* world, const std::shared_ptr<Answer<T>>& answer, absl::Duration delay, T value) {
  world->At(delay, [answer, value = std::move(value)] {
    if (answer->value.has_value()) return;
    answer->value = value;
    if (answer->waiter.fiber != nullptr) answer->waiter.process->Wake(answer->waiter);
  });
}

// A process' clock: apart from the world's, as clocks of different machines are.
class SkewedClock : public Clock {
 public:
  SkewedClock(const World* world, absl::Duration offset) : world_(world), offset_(offset) {}
  absl::Time Now() const override { return world_->now() + offset_; }

 private:
  const World* const world_;
  const absl::Duration offset_;
};

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_WORLD_H_
